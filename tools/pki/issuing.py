"""Makes certificate authorities and certificates: X.509 v3 as RFC 5280 wants them."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.pki.credential import Credential, PkiError, PrivateKey

Kind = Literal["ec", "rsa"]
Purpose = Literal["server", "device"]

RSA_KEY_BITS = 2048
AUTHORITY_DAYS = 3650
# What browsers and phones accept at most from a server.
ISSUED_DAYS = 397
# A device's clock may be a little behind the one that issued.
_BACKDATED = timedelta(days=1)
_MAX_COMMON_NAME_LETTERS = 64
_USES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "device": ExtendedKeyUsageOID.CLIENT_AUTH,
}


def make_authority(
    name: str,
    kind: Kind = "ec",
    valid_from: datetime | None = None,
    valid_days: int = AUTHORITY_DAYS,
) -> Credential:
    """A self-signed authority that issues certificates, but no further authorities. P-256 or
    RSA-2048. Raises PkiError."""
    key = _make_key(kind)
    subject = _subject(name)
    builder = _builder(subject, subject, key, valid_from, valid_days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
    return Credential(builder.sign(key, SHA256()), key)


def issue(
    authority: Credential,
    purpose: Purpose,
    names: Sequence[str],
    valid_from: datetime | None = None,
    valid_days: int = ISSUED_DAYS,
    kind: Kind = "ec",
) -> Credential:
    """A certificate for a server or a device. `names` are host names and IP addresses of a server;
    for a device the first is its client id (product id + device name). The first becomes the
    common name. `valid_from` is aware; without it, a day ago. Raises PkiError."""
    if not names:
        raise PkiError("a certificate needs a name")
    key = _make_key(kind)
    issuer = authority.certificate
    builder = _builder(_subject(names[0]), issuer.subject, key, valid_from, valid_days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_key_usage(is_authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_USES[purpose]]), critical=False)
    if purpose == "server":
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative_name(name) for name in names]), False
        )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False
    )
    return Credential(builder.sign(authority.key, SHA256()), key)


def _make_key(kind: Kind) -> PrivateKey:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "rsa":
        return rsa.generate_private_key(65537, RSA_KEY_BITS)
    raise PkiError(f"a key is of kind ec or rsa, not {kind!r}")


def _subject(name: str) -> x509.Name:
    if not 0 < len(name) <= _MAX_COMMON_NAME_LETTERS:
        raise PkiError(f"a name has 1 to {_MAX_COMMON_NAME_LETTERS} letters: {name!r}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    valid_from: datetime | None,
    valid_days: int,
) -> x509.CertificateBuilder:
    start = valid_from or datetime.now(timezone.utc) - _BACKDATED
    public_key = key.public_key()
    return (
        x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=valid_days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_encipherment=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
