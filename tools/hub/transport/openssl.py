"""TLS by Python's own ssl: certificates, and from Python 3.13 on also pre-shared keys."""

import ssl
import sys
from collections.abc import Iterable
from contextlib import suppress
from tempfile import NamedTemporaryFile

from tools.hub.transport.engine import MAX_RECORD_BYTES, FindKey, TlsFailed, certificate_proof
from tools.hub.transport.stream import Proof

HAS_PSK = sys.version_info >= (3, 13) and ssl.HAS_PSK
# The documents name TLS 1.0 to 1.2; what only speaks 1.3 would not reach the cloud.
_VERSION = ssl.TLSVersion.TLSv1_2
_PSK_CIPHERS = "PSK+AES"


def certificate_context(credentials_pem: Iterable[bytes], authority_pem: bytes) -> ssl.SSLContext:
    """For a server with these credentials (certificate and key; one for each kind of key).

    A client may show a certificate; one that does must have it from the authority.
    """
    context = open_context(credentials_pem)
    context.load_verify_locations(cadata=authority_pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def open_context(credentials_pem: Iterable[bytes]) -> ssl.SSLContext:
    """The same for a server that asks nobody for a certificate."""
    context = _server_context()
    for credential_pem in credentials_pem:
        # Python's ssl reads them from files only.
        with NamedTemporaryFile() as file:
            file.write(credential_pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = _VERSION
    return context


class OpenSslEngine:
    """One session over memory instead of a socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._in, self._out, server_side=True)

    def feed(self, data: bytes) -> None:
        self._in.write(data)

    def outgoing(self) -> bytes:
        return self._out.read()

    def shake_hands(self) -> bool:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsFailed(_explain(error)) from None
        return True

    def proof(self) -> Proof | None:
        certificate_der = self._session.getpeercert(binary_form=True)
        return None if certificate_der is None else certificate_proof(certificate_der)

    def decrypt(self) -> bytes | None:
        pieces = []
        try:
            while piece := self._session.read(MAX_RECORD_BYTES):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces)
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            raise TlsFailed(_explain(error)) from None
        return b"".join(pieces) or None

    def encrypt(self, data: bytes) -> None:
        try:
            self._session.write(data)
        except ssl.SSLError as error:
            raise TlsFailed(_explain(error)) from None

    def say_goodbye(self) -> None:
        # Without the client's answer, which is not waited for, unwrap() wants to read.
        with suppress(ssl.SSLError):
            self._session.unwrap()


class PskEngine(OpenSslEngine):
    """A session by pre-shared key. Only where HAS_PSK."""

    def __init__(self, find_key: FindKey) -> None:
        self._find_key = find_key
        self._identity: str | None = None
        context = _server_context()
        context.set_ciphers(_PSK_CIPHERS)
        # Typed since 3.13, which is newer than what types are checked for.
        context.set_psk_server_callback(self._key)  # type: ignore[attr-defined]
        super().__init__(context)

    def _key(self, identity: str | None) -> bytes:
        self._identity = identity or ""
        # OpenSSL refuses the identity for which there is no key.
        return self._find_key(self._identity) or b""

    def shake_hands(self) -> bool:
        try:
            return super().shake_hands()
        except TlsFailed as failed:
            raise TlsFailed(f"{failed}{_shown(self._identity)}") from None

    def proof(self) -> Proof | None:
        return None if self._identity is None else Proof(self._identity)


def _explain(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words, with what it found wrong in a certificate."""
    detail = getattr(error, "verify_message", None)
    reason = (error.reason or "TLS failed").replace("_", " ").lower()
    return f"{reason}: {detail}" if detail else reason


def _shown(identity: str | None) -> str:
    return "" if identity is None else f" (identity {identity[:64]!r})"
