"""What `make provision` makes of configurations, certificates, lists and secrets."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.boards.errors import BoardError
from tools.pki import issue, make_authority
from tools.provision import __main__ as provision
from tools.provision import configuration, factory, secrets
from tools.provision.certificates import certificate_der, pair_der
from tools.provision.contents import files_for

ROOT = Path(__file__).resolve().parents[3]
SECRET = "c2VjcmV0IG9mIHRoaXMgZGV2aWNl"
FIELDS = {"product_id": "A1B2C3D4E5", "device_name": "dev-1", "device_secret": SECRET}
# As the vendor's Python SDK ships it, filled in.
VENDOR = {
    "auth_mode": "KEY",
    "productId": "A1B2C3D4E5",
    "productSecret": "YOUR_PRODUCT_SECRET",
    "deviceName": "dev-1",
    "key_deviceinfo": {"deviceSecret": SECRET},
    "cert_deviceinfo": {
        "devCaFile": "YOUR_DEVICE_CA_FILE_NAME",
        "devCertFile": "YOUR_DEVICE_CERT_FILE_NAME",
        "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME",
    },
    "subDev": {"subdev_num": 0, "subdev_list": []},
    "region": "china",
}


@pytest.fixture(scope="module")
def pair():
    authority = make_authority("CA of a test")
    return authority, issue(authority, "device", ["A1B2C3D4E5dev-1"])


def test_the_vendors_device_info_becomes_ours(tmp_path):
    path = tmp_path / "device_info.json"
    path.write_text(json.dumps(VENDOR))
    assert configuration.read_configuration(path) == {**FIELDS, "region": "china"}
    certificate = {"devCertFile": "dev.crt", "devPrivateKeyFile": "dev.key"}
    assert configuration.from_vendor({**VENDOR, "auth_mode": "CERT"}) == {
        "product_id": "A1B2C3D4E5",
        "device_name": "dev-1",
        "region": "china",
    }
    made = configuration.from_vendor(
        {**VENDOR, "auth_mode": "CERT", "cert_deviceinfo": certificate}
    )
    assert (made["certificate"], made["private_key"]) == ("dev.crt", "dev.key")
    registering = {**VENDOR, "productSecret": "0123456789abcdef", "key_deviceinfo": {}}
    assert configuration.from_vendor(registering)["product_secret"] == "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "no JSON object"),
        ("{", "is not JSON"),
        ('{"auth_mode": "TOKEN"}', "neither KEY nor CERT"),
        ("x" * 70_000, "is not JSON"),
    ],
    ids=["list", "cut", "mode", "huge"],
)
def test_a_configuration_that_is_none_is_refused(tmp_path, text, reason):
    path = tmp_path / "device.json"
    path.write_text(text)
    with pytest.raises(BoardError, match=reason):
        configuration.read_configuration(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"product_id": "TOO-LONG-FOR-ONE"}, "product_id"),
        ({"transport": "carrier pigeon"}, "transport must be|transport"),
        ({"port": "8883"}, "port must be of type int|port"),
        ({"sekret": 1}, "sekret is not a field|sekret"),
        ({"network": {"ssid": "home", "password": "short"}}, "network.password"),
        ({"network": [{"ssid": "home"}, {"password": "of no network"}]}, "network.ssid"),
    ],
    ids=["id", "transport", "type", "unknown", "password", "ssid"],
)
def test_the_library_itself_judges_the_fields_and_tells_no_secret(change, reason):
    with pytest.raises(BoardError, match=reason) as told:
        configuration.check({**FIELDS, **change})
    assert SECRET not in str(told.value)
    configuration.check({**FIELDS, "network": {"ssid": "home", "password": "long enough"}})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"host": "127.0.0.1"}, "host"),
        ({"host": "localhost"}, "host"),
        ({"http": {"host": "127.0.0.1"}}, "http's host"),
        ({"coap": {"host": "127.0.0.1"}}, "coap's host"),
    ],
    ids=["address", "name", "http", "coap"],
)
def test_a_board_on_wifi_does_not_look_for_the_hub_on_itself(change, name):
    configuration.check({**FIELDS, **change})  # without Wi-Fi it may be the desk's own
    wifi = {"network": {"ssid": "home", "password": "hunter22"}}
    configuration.check({**FIELDS, **wifi, "host": "192.0.2.2"})
    with pytest.raises(BoardError, match=f"{name} is .*\n.*--host 0.0.0.0"):
        configuration.check({**FIELDS, **wifi, **change})


def test_the_configuration_comes_last_and_names_what_is_there(tmp_path, pair):
    authority, device = pair
    (tmp_path / "dev.crt").write_bytes(device.certificate_pem)
    (tmp_path / "dev.key").write_bytes(device.key_pem)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust/root.der").write_bytes(authority.certificate_der)
    fields = {**FIELDS, "certificate": "dev.crt", "private_key": "dev.key"}
    del fields["device_secret"]
    files = files_for(fields, tmp_path, tmp_path / "trust")
    assert list(files) == ["/device.der", "/device.key.der", "/trust/root.der", "/device.json"]
    assert files["/device.der"] == device.certificate_der
    assert files["/device.key.der"] == device.key_der
    assert json.loads(files["/device.json"]) == {
        "product_id": "A1B2C3D4E5",
        "device_name": "dev-1",
        "certificate": "/device.der",
        "private_key": "/device.key.der",
        "ca": "/trust",
    }


def test_a_ca_of_its_own_takes_the_place_of_the_anchors(tmp_path, pair):
    authority, _ = pair
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    files = files_for({**FIELDS, "ca": "ca.pem"}, tmp_path, tmp_path)
    assert files["/trust/ca.der"] == authority.certificate_der
    assert json.loads(files["/device.json"])["ca"] == "/trust/ca.der"


def test_certificates_that_are_none_or_of_another_key_are_refused(tmp_path, pair):
    authority, device = pair
    (tmp_path / "dev.der").write_bytes(device.certificate_der)
    (tmp_path / "dev.key").write_bytes(device.key_der)
    (tmp_path / "ca.key").write_bytes(authority.key_pem)
    (tmp_path / "text").write_text("no certificate")
    assert pair_der(tmp_path / "dev.der", tmp_path / "dev.key") == (
        device.certificate_der,
        device.key_der,
    )
    with pytest.raises(BoardError, match=r"ca\.key does not belong to .*dev\.der"):
        pair_der(tmp_path / "dev.der", tmp_path / "ca.key")
    with pytest.raises(BoardError, match="is no private key"):
        pair_der(tmp_path / "dev.der", tmp_path / "text")
    with pytest.raises(BoardError, match="is no certificate"):
        certificate_der(tmp_path / "text")
    with pytest.raises(BoardError, match="No such file"):
        certificate_der(tmp_path / "gone")


def test_secrets_come_from_a_file_standard_input_or_a_prompt(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert secrets.read_secret(str(tmp_path / "secret"), "device secret") == SECRET
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\nanother line"))
    assert secrets.read_secret("-", "device secret") == SECRET
    monkeypatch.setattr("getpass.getpass", lambda prompt: SECRET)
    assert secrets.read_secret(None, "device secret") == SECRET
    (tmp_path / "two").write_text("one\ntwo\n")
    with pytest.raises(BoardError, match="not one line"):
        secrets.read_secret(str(tmp_path / "two"), "device secret")
    with pytest.raises(BoardError, match="No such file"):
        secrets.read_secret(str(tmp_path / "gone"), "device secret")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("product_id,device_name\n", "has 0 devices"),
        ("product_id,colour\nP,red\n", r"unknown columns \['colour'\]"),
        ("product_id,device_name\nP,a\nP,\n", "line 3 lacks product_id or device_name"),
        ("product_id,device_name\nP,a\nP,a\n", "line 3 is there twice"),
        ("product_id,device_name\n\nP,a\n\nP,a\n", "line 5 is there twice"),
        ("product_id,device_name\nP,a\nP,b,c2Vj\n", "line 3 has more values than .* columns"),
    ],
    ids=["empty", "column", "name", "twice", "blank-lines", "too-long"],
)
def test_a_list_with_a_mistake_is_refused_with_its_line(tmp_path, text, reason):
    path = tmp_path / "devices.csv"
    path.write_text(text)
    with pytest.raises(BoardError, match=reason):
        factory.read_devices(path)


def result(name: str, status: str = factory.DONE) -> factory.Result:
    return factory.Result("2026-01-01T00:00:00+00:00", "P", name, "e6", "B", "1.27.0", status, "")


@pytest.mark.parametrize("place", ["nowhere/results.csv", "folder", "binary"])
def test_a_result_file_that_is_none_is_told_before_the_first_board(tmp_path, capsys, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    devices = tmp_path / "devices.csv"
    devices.write_text(f"product_id,device_name,device_secret\nA1B2C3D4E5,d,{SECRET}\n")
    arguments = ["--factory", str(devices), "--set", "transport=tcp"]
    assert provision.main([*arguments, "--results", str(tmp_path / place)]) == 1
    told = capsys.readouterr()
    assert "opening the result file" in told.err and "--results" in told.err
    assert told.out == ""


def test_a_result_that_cannot_be_noted_is_told_with_its_device(tmp_path):
    with pytest.raises(BoardError, match=r"P/a is done, and it is not noted: .*Is a directory"):
        factory._append(tmp_path, result("a"))


@pytest.mark.parametrize(
    ("setting", "taken"),
    [
        ("keep_product_secret=true", True),
        ("keepalive_s=60", True),
        ('http={"alone": true}', True),
        ("product_secret=0123456789abcdef", False),
        ("private_key=key.pem", False),
        ('network={"ssid": "home", "password": "hunter22"}', False),
        ('network=[{"ssid": "home", "password": "hunter22"}]', False),
    ],
    ids=lambda value: str(value).split("=")[0],
)
def test_any_field_but_a_secret_can_be_set(tmp_path, capsys, setting, taken):
    (tmp_path / "secret").write_text("0123456789abcdef")
    arguments = ["A1B2C3D4E5", "d", "--product-secret-file", str(tmp_path / "secret")]
    more = ["--set", "transport=tcp", "--set", setting, "--port", "/dev/nowhere"]
    assert provision.main([*arguments, *more]) == 1
    told = capsys.readouterr().err
    assert ("there is no /dev/nowhere" in told) is taken
    assert ("--set takes no such field" in told) is not taken
    assert "hunter22" not in told


def test_results_survive_a_half_written_line(tmp_path):
    path = tmp_path / "results.csv"
    assert factory.read_results(path) == []
    factory._append(path, result("a"))
    factory._append(path, result("b", factory.FAILED))
    whole = path.read_bytes()
    for cut in range(len(whole.split(b"\r\n")[0]) + 2, len(whole)):
        path.write_bytes(whole[:cut])
        factory._append(path, result("c"))
        found = factory.read_results(path)
        assert found[-1] == result("c")
        assert set(found) <= {result("a"), result("b", factory.FAILED), result("c")}
    assert os.listdir(tmp_path) == ["results.csv"]


def test_without_a_terminal_no_secret_is_asked_for(tmp_path):
    code = (
        "from tools.provision.__main__ import main; raise SystemExit(main(['A1B2C3D4E5', 'dev']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=SECRET,
        capture_output=True,
        text=True,
        cwd=ROOT,
        start_new_session=True,  # getpass looks for the terminal of the session, too
        timeout=30,
    )
    assert done.returncode == 1
    assert "reading the device secret: there is no terminal to ask at" in done.stderr
    assert "- for standard input" in done.stderr
    assert "Warning" not in done.stderr and SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--reset-pin", "22"], "--reset-pin without the profile"),
        (["--profile", "production", "--reset-pin", "99"], "--reset-pin is 99, not 0 to 48"),
    ],
    ids=["profile", "pin"],
)
def test_a_reset_pin_that_makes_no_sense_is_refused(arguments, reason, capsys):
    assert provision.main([*arguments, "--port", "/dev/nowhere"]) == 1
    assert reason in capsys.readouterr().err
