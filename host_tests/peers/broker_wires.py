"""What lies between a test client and a broker: TCP, TLS, TLS-PSK, WebSocket. Each is a socket as
far as a test needs one, and none shares code with the hub's side.
"""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Protocol

from websockets.client import ClientProtocol
from websockets.frames import BINARY, CLOSE, Frame
from websockets.uri import parse_uri

try:
    from mbedtls import tls as mbed
    from mbedtls.exceptions import TLSError
except ImportError:
    mbed = None  # type: ignore[assignment]

TIMEOUT_S = 5.0
PSK_SUITES = ("TLS-PSK-WITH-AES-128-CBC-SHA", "TLS-PSK-WITH-AES-256-CBC-SHA")


class Wire(Protocol):
    """The part of a socket that tests use."""

    def sendall(self, data: bytes) -> None: ...
    def recv(self, limit: int) -> bytes: ...
    def settimeout(self, timeout_s: float | None) -> None: ...
    def close(self) -> None: ...


def tcp(port: int) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


@dataclass(frozen=True)
class ClientCertificate:
    """Files a TLS client shows itself by."""

    certificate: str
    key: str


class TlsWire:
    """Python's ssl, the server verified against one authority."""

    def __init__(
        self, port: int, authority_pem: str, certificate: ClientCertificate | None = None
    ) -> None:
        context = ssl.create_default_context(cadata=authority_pem)
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        self.socket = context.wrap_socket(tcp(port), server_hostname="127.0.0.1")

    def sendall(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except ssl.SSLError as error:
            raise ConnectionResetError from error

    def recv(self, limit: int) -> bytes:
        try:
            return self.socket.recv(limit)
        except ssl.SSLError as error:
            raise ConnectionResetError from error

    def settimeout(self, timeout_s: float | None) -> None:
        self.socket.settimeout(timeout_s)

    def close(self) -> None:
        self.socket.close()


class _MbedTlsPskWire:
    """Mbed TLS as a client with the vendor's C SDK's suites."""

    def __init__(self, port: int, identity: str, key: bytes) -> None:
        self._socket = tcp(port)
        configuration = mbed.TLSConfiguration(
            validate_certificates=False,
            ciphers=PSK_SUITES,
            lowest_supported_version=mbed.TLSVersion.TLSv1_2,
            highest_supported_version=mbed.TLSVersion.TLSv1_2,
            pre_shared_key=(identity, key),
        )
        self._session = mbed.ClientContext(configuration).wrap_buffers(None)
        while self._session._handshake_state is not mbed.HandshakeStep.HANDSHAKE_OVER:
            try:
                self._session.do_handshake()
            except mbed.WantReadError:
                self._flush()
                self._feed()
            except mbed.WantWriteError:
                self._flush()
            except TLSError as error:
                raise ConnectionResetError(str(error)) from error
        self._flush()

    def _flush(self) -> None:
        data = self._session.peek_outgoing(65536)
        self._session.consume_outgoing(len(data))
        self._socket.sendall(data)

    def _feed(self) -> None:
        data = self._socket.recv(16384)
        if not data:
            raise ConnectionResetError("closed")
        self._session.receive_from_network(data)

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), 16384):
            self._session.write(data[start : start + 16384])
            self._flush()

    def recv(self, limit: int) -> bytes:
        buffer: Any = bytearray(limit)
        while True:
            try:
                return bytes(buffer[: self._session.readinto(buffer, limit)])
            except mbed.WantReadError:
                self._feed()
            except TLSError as error:
                if "0x7880" in str(error):
                    return b""
                raise ConnectionResetError(str(error)) from error

    def settimeout(self, timeout_s: float | None) -> None:
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        self._socket.close()


class _OpenSslPskWire(TlsWire):
    """Python's ssl as a client with a key, from 3.13 on."""

    def __init__(self, port: int, identity: str, key: bytes) -> None:
        context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA")
        context.set_psk_client_callback(lambda _hint: (identity, key))
        try:
            self.socket = context.wrap_socket(tcp(port))
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from error


PskWire = _OpenSslPskWire if mbed is None else _MbedTlsPskWire


class WebSocketWire:
    """A WebSocket client over another wire; what is written goes out as one binary message."""

    def __init__(self, below: Wire, url: str = "ws://127.0.0.1/mqtt") -> None:
        self._below = below
        self._protocol = ClientProtocol(parse_uri(url), subprotocols=["mqtt"])  # type: ignore
        self._received = b""
        self._frames: list[Frame] = []
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state.name == "CONNECTING":
            self._feed()
            if self._protocol.handshake_exc is not None:
                raise ConnectionResetError from self._protocol.handshake_exc
        assert self._protocol.subprotocol == "mqtt"

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._below.sendall(data)

    def _feed(self) -> None:
        data = self._below.recv(16384)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._frames += [e for e in self._protocol.events_received() if isinstance(e, Frame)]
        with contextlib.suppress(OSError):
            self._flush()
        if not data and not self._frames:
            raise EOFError

    def sendall(self, data: bytes) -> None:
        if self._protocol.state.name != "OPEN":
            raise BrokenPipeError
        self._protocol.send_binary(data)
        self._flush()

    def recv(self, limit: int) -> bytes:
        while not self._received:
            if not self._frames:
                try:
                    self._feed()
                except EOFError:
                    return b""
                continue
            frame = self._frames.pop(0)
            if frame.opcode is CLOSE:
                return b""
            if frame.opcode is BINARY:
                self._received = bytes(frame.data)
        data, self._received = self._received[:limit], self._received[limit:]
        return data

    def settimeout(self, timeout_s: float | None) -> None:
        self._below.settimeout(timeout_s)

    def close(self) -> None:
        self._below.close()
