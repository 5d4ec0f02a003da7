"""libcoap's servers, with either TLS library, and a cloud of the tests' own over plain UDP."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host_tests.e2e.datagram_server import DatagramServer
from host_tests.peers.tls_servers import HOST, PSK_HEX, Place, free_port
from tools import prerequisites

SERVERS = ("coap-server-openssl", "coap-server-gnutls")
_START_TIMEOUT_S = 10.0
_AGAIN_S = 0.1


@dataclass
class CoapServer:
    """`port` is of plain UDP, `dtls_port` of DTLS."""

    port: int
    dtls_port: int
    log: Path


@contextlib.contextmanager
def libcoap(name: str, place: Place, *settings: object) -> Iterator[CoapServer]:
    """Takes devices with a certificate of the place's authority, or with its device's secret."""
    port = free_port()
    log = place.folder / "coap.log"
    command = [
        prerequisites.find(name) or name, "-A", HOST, "-p", str(port), "-d", "20", "-v", "6",
        *map(str, settings),
    ]  # fmt: skip
    key = [b"-k", bytes.fromhex(PSK_HEX)] if "-c" not in settings else []
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *key], stdout=output, stderr=output)
    try:
        _wait_for_datagrams(process, port + 1)
        yield CoapServer(port, port + 1, log)
    finally:
        process.kill()
        process.wait(10)


def pki_settings(place: Place) -> list[object]:
    certificate, key = place.server()
    return ["-c", certificate, "-j", key, "-C", place.folder / "ca.pem"]


def _wait_for_datagrams(process: "subprocess.Popen[bytes]", port: int) -> None:
    wanted = f":{port:04X} "
    give_up_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up_s:
        if process.poll() is not None:
            raise RuntimeError("the CoAP server does not start")
        if wanted in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.01)
    raise RuntimeError("the CoAP server does not listen")


class CoapCloud(DatagramServer):
    """The cloud's side of PROTOCOL section 2.1: authentication, tokens, codes. `published` are
    (path, payload); `refusals` the codes of the next answers; tokens not in `tokens` are stale."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[str, bytes]] = []
        self.authentications: list[bytes] = []
        self.tokens: set[bytes] = set()
        self.refusals: list[int] = []
        self.separate = False
        self._answers: dict[bytes, list[bytes]] = {}
        self._next_id = 5000
        self._unacknowledged: set[bytes] = set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        kind, token_size = data[0] >> 4 & 3, data[0] & 15
        message_id = data[2:4]
        if kind != 0:
            self._unacknowledged.discard(message_id)
            return
        if message_id not in self._answers:  # or it is a duplicate, which is answered alike
            token = data[4 : 4 + token_size]
            options, payload = _options(data[4 + token_size :])
            assert data[1] == 2, "POST only"
            assert options[62] == [b"0"] and len(options[11]) == 1
            code, answer = self._answer(options[11][0].decode(), options.get(61), payload)
            body = b"\xff" + answer if answer else b""
            if self.separate:
                self._next_id += 1
                own_id = self._next_id.to_bytes(2, "big")
                self._answers[message_id] = [b"\x60\x00" + message_id]
                self._unacknowledged.add(own_id)
                response = bytes((0x40 | token_size, code)) + own_id + token + body
                loop = asyncio.get_running_loop()
                loop.call_soon(self._send_until_acknowledged, response, addr)
            else:
                head = bytes((0x60 | token_size, code))
                self._answers[message_id] = [head + message_id + token + body]
        for datagram in self._answers[message_id]:
            self.send(datagram, addr)

    def _send_until_acknowledged(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if datagram[2:4] in self._unacknowledged and not self.is_closing:
            self.send(datagram, addr)
            asyncio.get_running_loop().call_later(
                _AGAIN_S, self._send_until_acknowledged, datagram, addr
            )

    def _answer(self, path: str, tokens: list[bytes] | None, payload: bytes) -> tuple[int, bytes]:
        if self.refusals:
            return self.refusals.pop(0), b"on request"
        if path.endswith("/txauth9w0BAQsFA"):
            self.authentications.append(payload)
            token = b"token%05d" % len(self.authentications)
            self.tokens.add(token)
            return 0x45, token
        if not tokens or tokens[0] not in self.tokens:
            return 0x81, b""
        self.published.append((path, payload))
        return 0x41, b""


def _options(data: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    options: dict[int, list[bytes]] = {}
    number = at = 0
    while at < len(data) and data[at] != 0xFF:
        fields = [data[at] >> 4, data[at] & 15]
        at += 1
        for i, field in enumerate(fields):
            if field == 13:
                fields[i] = data[at] + 13
                at += 1
            elif field == 14:
                fields[i] = int.from_bytes(data[at : at + 2], "big") + 269
                at += 2
        number += fields[0]
        options.setdefault(number, []).append(data[at : at + fields[1]])
        at += fields[1]
    return options, data[at + 1 :]
