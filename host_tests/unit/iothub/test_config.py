import binascii
import json
import os

from iothub import config
from iothub.config import Config
from iothub.errors import BadInput

from host_tests.unit.iothub.expect import raises

PSK = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
LEAST = {
    "product_id": "PRODUCTID1",
    "device_name": "dev01",
    "device_secret": PSK,
    "transport": "tcp",
}
# field, a value that is refused
BAD: tuple = (
    ("product_id", ""),
    ("product_id", 5),
    ("product_id", "PRODUCTID12"),
    ("device_name", "a/b"),
    ("device_name", ["dev01"]),
    ("device_secret", ""),
    ("device_secret", "not base64"),
    ("device_secret", 5),
    ("device_secret", [PSK]),
    ("region", "moon"),
    ("region", 1),
    ("region", ["china"]),
    ("host", 5),
    ("port", -1),
    ("port", 65536),
    ("port", "1883"),
    ("port", True),
    ("port", 1883.0),
    ("transport", "udp"),
    ("websocket_path", "mqtt"),
    ("transport", 1),
    ("keepalive_s", "240"),
    ("clean_session", 1),
    ("clean_session", "yes"),
    ("algorithm", "rsa-sha256"),
    ("algorithm", "HmacSha256"),
    ("product_secret", 5),
    ("keep_product_secret", 1),
    ("http", []),
    ("http", {"transport": "tcp"}),
    ("http", {"port": -1}),
    ("http", {"port": "80"}),
    ("http", {"hosts": "h"}),
    ("http", {"alone": 1}),
    ("coap", {"transport": "tls"}),
    ("coap", {"alone": True}),
    ("coap", {"port": 65536}),
    ("update", {"unsigned": True}),
    ("update", {"accept_unsigned_images": 1}),
    ("network", 5),
    ("network", "wifi"),
    ("app", 5),
    ("device_secrets", PSK),
    ("deviceName", "dev01"),
)
# What may stand in the place of a name when a value is missing: not to be repeated.
NAMELESS = (PSK, "hzvfLFSisvBhDSauWMaIkabc", "lDZ6", "", 5, None, True)


def _with(**changes):
    fields = dict(LEAST)
    fields.update(changes)
    return fields


def _path():
    folder = os.getenv("TMPDIR") or "/tmp"
    return folder + "/device-" + binascii.hexlify(os.urandom(6)).decode() + ".json"


def _load(content):
    """config.load() of a file with this content."""
    path = _path()
    with open(path, "wb") as f:
        f.write(content)
    try:
        return config.load(path)
    finally:
        os.unlink(path)


def test_the_least_gets_its_defaults():
    found = Config(LEAST)
    assert found.identity.client_id == b"PRODUCTID1dev01"
    assert found.secret.text == PSK.encode()
    assert (found.region, found.host, found.port, found.transport) == ("china", "", 0, "tcp")
    assert (found.keepalive_s, found.clean_session) == (240, True)
    assert found.algorithm == "hmacsha256"
    assert found.network == {} and found.app == {}


def test_what_is_given_replaces_a_default():
    given = {
        "host": "192.0.2.1",
        "port": 11883,
        "keepalive_s": 60,
        "clean_session": False,
        "algorithm": "hmacsha1",
        "network": {"ssid": "net"},
        "app": {"period_s": 5},
    }
    found = Config(_with(**given))
    for name in given:
        assert getattr(found, name) == given[name], name


def test_without_a_transport_it_is_auto():
    fields = dict(LEAST)
    del fields["transport"]
    assert Config(fields).transport == "auto"


def test_a_certificate_stands_for_the_secret():
    fields = _with(certificate="cert.der", private_key="key.der", transport="tls")
    del fields["device_secret"]
    found = Config(fields)
    assert found.secret is None and found.certificate == "cert.der" and found.ca == "trust"
    del fields["private_key"]
    assert raises(BadInput, Config, fields).field == "private_key"
    for transport in ("tcp", "psk", "ws"):
        wrong = _with(certificate="cert.der", private_key="key.der", transport=transport)
        assert raises(BadInput, Config, wrong).field == "transport"


def test_null_is_the_default():
    found = Config(_with(port=None, host=None))
    assert found.port == 0 and found.host == ""


def test_a_missing_field_is_told_by_name():
    for name in ("product_id", "device_name", "device_secret"):
        fields = dict(LEAST)
        del fields[name]
        error = raises(BadInput, Config, fields)
        assert error.field == name and "missing" in error.reason
        assert raises(BadInput, Config, _with(**{name: None})).field == name


def test_a_wrong_field_is_told_by_name_and_without_the_secret():
    for name, value in BAD:
        error = raises(BadInput, Config, _with(**{name: value}))
        assert error.field == name, (name, value)
        assert "lDZ6" not in str(error) + repr(error), (name, value)


def test_an_unknown_field_is_told_with_the_known_ones():
    error = raises(BadInput, Config, _with(deviceName="x"))
    assert error.field == "deviceName" and "device_name" in error.reason


def test_what_is_no_name_of_a_field_is_not_told():
    for name in NAMELESS:
        fields: dict = dict(LEAST)
        fields[name] = "host"
        error = raises(BadInput, Config, fields)
        assert error.field == "configuration" and "commas" in error.reason
        assert not name or str(name) not in str(error)


def test_a_secret_after_a_forgotten_value_is_not_told():
    # CPython refuses such JSON; MicroPython reads it with names and values exchanged.
    text = json.dumps(_with(host="x")).replace('"x"', "")
    error = raises(BadInput, _load, text.encode())
    assert "lDZ6" not in str(error) + repr(error)


def test_only_an_object_is_a_configuration():
    others: tuple = ([], None, 5, "text")
    for value in others:
        assert raises(BadInput, Config, value).field == "configuration"


def test_the_secret_is_kept_in_its_own_type_only():
    found = Config(LEAST)
    assert not hasattr(found, "device_secret")
    assert "lDZ6" not in repr(found) + str(found.__dict__)


def test_a_file_is_read():
    assert _load(json.dumps(_with(app={"名": "温"})).encode()).app == {"名": "温"}


def test_a_missing_file_is_told_by_its_path():
    path = _path()
    error = raises(BadInput, config.load, path)
    assert error.field == path and "cannot be read" in error.reason


def test_a_file_that_is_not_json_is_told_by_its_path():
    for content in (b"", b"{", b"{'a': 1}", b"\xff\xfe\xfa", b'{"a": "\xff"}', b'{"a": 1} x'):
        error = raises(BadInput, _load, content)
        assert error.field.endswith(".json") and "is not JSON" in error.reason, content


def test_a_device_to_be_registered_may_lack_its_secret_and_keeps_none_of_its_product():
    fields = _with(product_secret="hzvf5LF9S0isvBhDSauWMaIk")
    del fields["device_secret"]
    assert raises(BadInput, Config, fields).field == "device_secret"
    made = Config(fields, True)
    assert made.secret is None and made.http == {} and made.coap == {}
    assert not hasattr(made, "product_secret") and not hasattr(made, "device_secret")


def test_where_http_and_coap_go():
    http = {"transport": "http", "host": "127.0.0.1", "port": 8080, "alone": True}
    coap = {"transport": "udp", "host": "127.0.0.1", "port": 5683}
    made = Config(_with(http=http, coap=coap))
    assert made.http == http and made.coap == coap


def test_a_list_of_networks_is_passed_on():
    several = [{"ssid": "home"}, {"ssid": "office"}]
    assert Config(_with(network=several)).network == several
    assert raises(BadInput, Config, _with(app=several)).field == "app"
