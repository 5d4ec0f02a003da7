"""The hub's own certificates: made once, kept, renewed when they must be."""

import asyncio
import functools
import json
import stat
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tools.hub import Hub, HubConfig
from tools.hub.authority import Authority
from tools.hub.files import FileError
from tools.hub.registry import RegistryError
from tools.pki import Credential, issue


def in_a_loop(test):
    @functools.wraps(test)
    def run(**fixtures):
        asyncio.run(test(**fixtures))

    return run


def names(credential: Credential) -> set[str]:
    extension = credential.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return {str(each.value) for each in extension.value}


def test_kept_over_a_restart(tmp_path):
    first, second = (Authority(tmp_path / "ca") for _ in range(2))
    assert first.certificate_der == second.certificate_der
    assert (tmp_path / "ca/ca.der").read_bytes() == first.certificate_der
    servers = [
        [each.key_pem for each in made.server_credentials(["a"])] for made in (first, second)
    ]
    assert servers[0] == servers[1]
    for name, mode in (("ca.key.pem", 0o600), ("server-rsa.key.pem", 0o600), ("ca.pem", 0o644)):
        assert stat.S_IMODE((tmp_path / "ca" / name).stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_without_a_directory_each_is_another():
    assert Authority(None).certificate_der != Authority(None).certificate_der


def test_a_server_has_both_kinds_of_key_and_every_name(tmp_path):
    credentials = Authority(None).server_credentials(["10.1.2.3", "desk"])
    kinds = [type(each.key) for each in credentials]
    assert issubclass(kinds[0], ec.EllipticCurvePrivateKey)
    assert issubclass(kinds[1], rsa.RSAPrivateKey)
    for credential in credentials:
        assert {"10.1.2.3", "desk", "127.0.0.1", "::1", "localhost"} <= names(credential)
        assert "*.iotcloud.tencentdevices.com" in names(credential)


def test_a_server_certificate_is_made_again_for_other_names(tmp_path):
    authority = Authority(tmp_path)
    first = authority.server_credentials(["10.1.2.3"])[0]
    second = authority.server_credentials(["10.1.2.4"])[0]
    assert "10.1.2.4" in names(second) and "10.1.2.3" not in names(second)
    assert first.certificate_der != second.certificate_der


@pytest.mark.parametrize(("days_left", "same"), [(31, True), (29, False), (-1, False)])
def test_a_server_certificate_is_made_again_in_time(tmp_path, days_left, same):
    authority = Authority(tmp_path)
    (good, _) = authority.server_credentials(["a"])
    old = issue(
        authority._credential,
        "server",
        [str(each) for each in names(good)],
        valid_from=datetime.now(timezone.utc) - timedelta(days=100),
        valid_days=100 + days_left,
    )
    (tmp_path / "server-ec.pem").write_bytes(old.certificate_pem)
    (tmp_path / "server-ec.key.pem").write_bytes(old.key_pem)
    again = authority.server_credentials(["a"])[0]
    assert (again.certificate_der == old.certificate_der) is same


def test_a_server_certificate_of_a_lost_authority_is_made_again(tmp_path):
    Authority(tmp_path).server_credentials(["a"])
    (tmp_path / "ca.pem").unlink()
    authority = Authority(tmp_path)
    for credential in authority.server_credentials(["a"]):
        credential.certificate.verify_directly_issued_by(authority._credential.certificate)


def test_damaged_files_are_told(tmp_path):
    Authority(tmp_path)
    (tmp_path / "ca.key.pem").write_text("nothing")
    with pytest.raises(FileError, match="remove it and its key"):
        Authority(tmp_path)


def config(data=None) -> HubConfig:
    return HubConfig(mqtt_port=0, api_port=0, data=data)


@in_a_loop
async def test_provisioning_writes_what_a_device_reads(tmp_path):
    async with Hub(config(tmp_path)) as hub:
        product = hub.registry.add_product("certified", "cert")
        new = await hub.provisioning.add_device(product.product_id, "dev01")
        assert new.folder is not None
        settings = json.loads((new.folder / "device.json").read_text())
    assert settings["certificate"] == str(new.folder / "certificate.der")
    assert settings["private_key"] == str(new.folder / "private_key.der")
    assert "device_secret" not in settings and settings["transport"] == "tls"
    kept = Credential.from_pem(
        (new.folder / "certificate.pem").read_bytes(),
        (new.folder / "private_key.pem").read_bytes(),
    )
    assert kept.certificate_der == new.device.certificate
    assert kept.key_der == (new.folder / "private_key.der").read_bytes()
    for name in ("private_key.der", "private_key.pem", "device.json"):
        assert stat.S_IMODE((new.folder / name).stat().st_mode) == 0o600


@in_a_loop
async def test_the_private_key_is_not_in_the_database(tmp_path):
    settings = HubConfig(mqtt_port=0, api_port=0, data=tmp_path, database=str(tmp_path / "hub.db"))
    async with Hub(settings) as hub:
        product = hub.registry.add_product("certified", "cert")
        new = await hub.provisioning.add_device(product.product_id, "dev01", "ec")
        assert new.credential is not None
    database = (tmp_path / "hub.db").read_bytes()
    assert new.credential.certificate_der in database
    assert isinstance(new.credential.key, ec.EllipticCurvePrivateKey)
    number = new.credential.key.private_numbers().private_value
    assert number.to_bytes(32, "big") not in database
    async with Hub(settings) as hub:
        device = hub.registry.device(product.product_id, "dev01")
        assert device.certificate == new.credential.certificate_der


@in_a_loop
async def test_a_folder_that_cannot_be_written_adds_no_device(tmp_path):
    async with Hub(config(tmp_path)) as hub:
        product = hub.registry.add_product("certified", "cert")
        (tmp_path / "devices").write_text("in the way")
        with pytest.raises(FileError, match="writing into"):
            await hub.provisioning.add_device(product.product_id, "dev01", "ec")
        with pytest.raises(RegistryError, match="has no device"):
            hub.registry.device(product.product_id, "dev01")
