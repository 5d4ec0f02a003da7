"""What a TLS library must do for `TlsStream`: bytes in, bytes out, no socket."""

from collections.abc import Callable
from typing import Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from tools.hub.transport.stream import Proof

# The key that belongs to a client id; None when there is none.
FindKey = Callable[[str], bytes | None]
# Plaintext handed over at once: one record's worth.
MAX_RECORD_BYTES = 16 * 1024


class TlsFailed(Exception):
    """A handshake or a record that TLS refuses. The text says why, for the hub's record."""


class Engine(Protocol):
    """One session of a TLS server."""

    def feed(self, data: bytes) -> None:
        """Take what came from the network."""
        ...

    def outgoing(self) -> bytes:
        """What is to go to the network, an alert included; empty when nothing is."""
        ...

    def shake_hands(self) -> bool:
        """Go on as far as what was fed allows; whether it is done. Raises TlsFailed."""
        ...

    def proof(self) -> Proof | None:
        """Whom the handshake proved the client to be, if anybody."""
        ...

    def decrypt(self) -> bytes | None:
        """Plaintext so far; None once the client has said it sends no more. Raises TlsFailed."""
        ...

    def encrypt(self, data: bytes) -> None:
        """Put plaintext into `outgoing`. Raises TlsFailed."""
        ...

    def say_goodbye(self) -> None:
        """Put a close_notify into `outgoing`, if there is a session to close."""
        ...


def certificate_proof(certificate_der: bytes) -> Proof:
    """Whom a client's certificate, which the handshake has verified, is about."""
    subject = x509.load_der_x509_certificate(certificate_der).subject
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return Proof(names[0] if names else "", certificate_der)
