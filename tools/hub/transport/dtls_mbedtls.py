"""DTLS 1.2 by Mbed TLS, without sockets: one session a client, by certificate or pre-shared key.

Python's own ssl has no DTLS. Where python-mbedtls has no wheel (Python 3.13 on) there is none.
"""

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from mbedtls.exceptions import TLSError
from mbedtls.pk import ECC, RSA
from mbedtls.tls import (
    DTLSConfiguration,
    DTLSVersion,
    HandshakeStep,
    HelloVerifyRequest,
    RaggedEOF,
    ServerContext,
    TrustStore,
    WantReadError,
    WantWriteError,
    ciphers_available,
)
from mbedtls.x509 import CRT

from tools.hub.transport.engine import MAX_RECORD_BYTES, FindKey, TlsFailed, certificate_proof
from tools.hub.transport.psk_mbedtls import Keys, explain
from tools.hub.transport.stream import Proof
from tools.pki import Credential

# What fits every path of the internet with its headers; a flight of certificates takes several.
MTU_BYTES = 1200
_RECORD_HEADER_BYTES = 13
_OUTGOING_BYTES = 64 * 1024
# As the documents' C SDK repeats its own flights.
_REPEAT_AFTER_S, _REPEAT_AT_MOST_S = 1.0, 8.0
# First the keys: who knows one and shows a certificate as well is asked for less.
_SUITES = (
    "TLS-ECDHE-PSK-WITH-AES-",
    "TLS-PSK-WITH-AES-",
    "TLS-ECDHE-ECDSA-WITH-AES-",
    "TLS-ECDHE-RSA-WITH-AES-",
    "TLS-RSA-WITH-AES-",
)


class CookieWanted(Exception):
    """A client was asked to show that it is where it says; nothing of it is kept."""


class DtlsContext:
    """What all sessions of a port share. `authorities` (DER) issue the clients' certificates."""

    def __init__(
        self, credential: Credential, authorities: Iterable[bytes], find_key: FindKey
    ) -> None:
        self.keys = Keys(find_key)
        kind = RSA if isinstance(credential.key, RSAPrivateKey) else ECC
        available = ciphers_available()
        self._configuration = DTLSConfiguration(
            validate_certificates=True,
            certificate_chain=(
                (CRT.from_DER(credential.certificate_der),),
                kind.from_DER(credential.key_der),
            ),
            trust_store=TrustStore([CRT.from_DER(each) for each in authorities]),
            ciphers=tuple(
                name for start in _SUITES for name in available if name.startswith(start)
            ),
            lowest_supported_version=DTLSVersion.DTLSv1_2,
            highest_supported_version=DTLSVersion.DTLSv1_2,
            handshake_timeout_min=_REPEAT_AFTER_S,
            handshake_timeout_max=_REPEAT_AT_MOST_S,
            pre_shared_key_store=self.keys,
        )
        self._context = ServerContext(self._configuration)

    def session(self) -> "DtlsSession":
        return DtlsSession(self, self._context)


class DtlsSession:
    """One client's. Greets one after the other until one shows a cookie."""

    def __init__(self, context: DtlsContext, server: ServerContext) -> None:
        self._keys = context.keys
        self._session = server.wrap_buffers()
        self._session.setmtu(MTU_BYTES)
        self._identity: str | None = None
        # The library resets a session that failed or was closed: it is not to be touched again.
        self._over = False

    def greet(self, peer: bytes, client_hello: bytes) -> None:
        """Take a first datagram from `peer`. Raises CookieWanted, after which another may be
        greeted, or TlsFailed; else this session is that client's."""
        self._session.setcookieparam(peer)
        self.feed(client_hello)
        self.shake_hands()

    def feed(self, datagram: bytes) -> None:
        """Take one datagram; the next only after all of this one was used."""
        if not self._over:
            self._session.receive_from_network(datagram)

    def shake_hands(self) -> bool:
        """Go on as far as what was fed allows, and repeat what was not answered in time; whether
        it is done. Raises TlsFailed or CookieWanted."""
        while self._session._handshake_state is not HandshakeStep.HANDSHAKE_OVER:
            self._keys.asked = None
            try:
                self._session.do_handshake()
            except WantReadError:
                return False
            except WantWriteError:
                # Something is to be sent, and the handshake goes on.
                self._note_identity()
            except HelloVerifyRequest:
                raise CookieWanted from None
            except TLSError as error:
                self._over = True
                self._note_identity()
                raise TlsFailed(explain(error, self._identity)) from None
            self._note_identity()
        return True

    def _note_identity(self) -> None:
        if self._keys.asked is not None:
            self._identity = self._keys.asked

    def proof(self) -> Proof | None:
        """Whom the handshake proved the client to be."""
        certificate_der = self._session.getpeercert(binary_form=True)
        if certificate_der is not None:
            return certificate_proof(bytes(certificate_der))
        return None if self._identity is None else Proof(self._identity)

    def decrypt(self) -> list[bytes] | None:
        """The datagrams inside what was fed; None once the client has hung up."""
        found: list[bytes] = []
        buffer = bytearray(MAX_RECORD_BYTES)
        while not self._over:
            try:
                # Its stubs say bytes, which nothing can be read into.
                count = self._session.readinto(buffer, len(buffer))  # type: ignore[arg-type]
                found.append(bytes(buffer[:count]))
            except (WantReadError, WantWriteError):
                return found
            except (RaggedEOF, TLSError):
                self._over = True
        return found or None

    def encrypt(self, datagram: bytes) -> None:
        if self._over:
            return
        try:
            self._session.write(datagram)
        except TLSError:
            self._over = True

    def outgoing(self) -> list[bytes]:
        """The datagrams that are to go to the network: the library hands them out joined."""
        data = bytes(self._session.peek_outgoing(_OUTGOING_BYTES))
        self._session.consume_outgoing(len(data))
        datagrams = []
        while len(data) >= _RECORD_HEADER_BYTES:
            size = _RECORD_HEADER_BYTES + int.from_bytes(data[11:13], "big")
            datagrams.append(data[:size])
            data = data[size:]
        return datagrams

    def say_goodbye(self) -> None:
        if not self._over:
            self._over = True
            self._session.shutdown()
