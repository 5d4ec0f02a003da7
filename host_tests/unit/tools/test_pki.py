"""tools.pki, judged by openssl: what it issues is what others accept."""

import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from host_tests.conftest import requires
from tools.pki import Credential, PkiError, issue, make_authority
from tools.pki.issuing import Purpose

pytestmark = requires("openssl")

# our purpose: openssl's name for it, and for what it does not allow
USES: tuple[tuple[Purpose, str, str], ...] = (
    ("server", "sslserver", "sslclient"),
    ("device", "sslclient", "sslserver"),
)


def openssl(*arguments: object, given: bytes = b"") -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=given, capture_output=True, timeout=30
    )
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("authority_kind", ["ec", "rsa"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_openssl_accepts_what_is_issued_for_its_purpose_only(tmp_path, authority_kind, kind):
    authority = make_authority("Test CA", authority_kind)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate_pem)
    for purpose, use, other in USES:
        made = issue(authority, purpose, ["PRODUCTID1dev01"], kind=kind)
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(made.certificate_pem)
        verify = ("verify", "-x509_strict", "-CAfile", ca, "-purpose")
        assert openssl(*verify, use, leaf) == f"{leaf}: OK\n"
        assert "unsuitable certificate purpose" in openssl(*verify, other, leaf)


def test_a_server_has_all_its_names_and_addresses():
    authority = make_authority("Test CA")
    made = issue(authority, "server", ["hub.local", "localhost", "127.0.0.1", "::1"])
    text = openssl("x509", "-noout", "-text", "-inform", "DER", given=made.certificate_der)
    assert "DNS:hub.local, DNS:localhost, IP Address:127.0.0.1" in text
    assert "IP Address:0:0:0:0:0:0:0:1" in text
    assert "Subject: CN = hub.local" in text


def test_validity_is_as_asked_for():
    authority = make_authority("Test CA")
    start = datetime(2020, 2, 1, tzinfo=timezone.utc)
    made = issue(authority, "device", ["d"], valid_from=start, valid_days=10)
    assert made.certificate.not_valid_before_utc == start
    assert made.certificate.not_valid_after_utc == start + timedelta(days=10)
    usual = issue(authority, "device", ["d"])
    now = datetime.now(timezone.utc)
    assert usual.certificate.not_valid_before_utc < now < usual.certificate.not_valid_after_utc


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_pem_is_read_back_and_openssl_reads_the_der_key(kind):
    made = make_authority("Test CA", kind)
    again = Credential.from_pem(made.certificate_pem, made.key_pem)
    assert again.certificate_der == made.certificate_der
    assert again.key_der == made.key_der
    told = openssl("pkey", "-inform", "DER", "-noout", "-check", given=made.key_der)
    assert "Key is valid" in told
    # What an authority that was read back issues, the first one's anchor proves.
    issue(again, "device", ["d"]).certificate.verify_directly_issued_by(made.certificate)


def test_what_cannot_be_made_or_read_is_told():
    authority = make_authority("Test CA")
    other = make_authority("Other CA")
    with pytest.raises(PkiError, match="needs a name"):
        issue(authority, "server", [])
    with pytest.raises(PkiError, match="1 to 64 letters"):
        make_authority("n" * 65)
    with pytest.raises(PkiError, match="not PEM"):
        Credential.from_pem(authority.certificate_der, authority.key_pem)
    with pytest.raises(PkiError, match="private key is not PEM"):
        Credential.from_pem(authority.certificate_pem, b"")
    with pytest.raises(PkiError, match="do not belong together"):
        Credential.from_pem(authority.certificate_pem, other.key_pem)
    assert "PRIVATE" not in repr(authority) and "key=" not in repr(authority)
