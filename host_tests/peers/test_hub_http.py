"""The hub's HTTP gateway: registration, publishing and log upload, over http and https."""

import base64
import socket
import ssl
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_servers import signed_login
from host_tests.peers.signed_http import (
    HOST,
    PUBLISH,
    REGISTER,
    REPORT_LOG,
    SignedHttp,
    opened,
)
from tools.hub.cli import main
from tools.hub.device_http import server
from tools.pki import Credential, issue, make_authority


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(
        tmp_path_factory.mktemp("hub"), http_port=0, https_port=0, stored_interval_ms=5
    )
    yield server
    server.stop()


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


def client(hub, scheme, key, **settings):
    authority = hub.authority_pem() if scheme == "https" else None
    return SignedHttp(hub.ports[scheme], key, authority, **settings)


class Registering:
    """A product whose devices register; `mode` and `limit` as the API has them."""

    def __init__(self, hub, mode="auto", limit=10, auth="key"):
        created = hub.call("POST", "/products", name=f"reg {time.monotonic_ns()}", auth=auth)
        self.product_id, self.secret = created["product_id"], created["product_secret"]
        self.hub = hub
        self.set(mode, limit)

    def set(self, mode, limit=10):
        path = f"/products/{self.product_id}/registration"
        return self.hub.call("POST", path, registration=mode, limit=limit)

    def fields(self, name, **more):
        return {"ProductId": self.product_id, "DeviceName": name, **more}

    def ask(self, name, scheme="http", **more):
        session = client(self.hub, scheme, self.secret)
        status, answer = session.post(REGISTER, self.fields(name, **more))
        session.close()
        assert status == 200
        return answer

    def code(self, name, **more):
        return self.ask(name, **more)["Error"]["Code"]


def device_fields(device, **more):
    return {"ProductId": device.login.product_id, "DeviceName": device.name, **more}


def messages(hub, topic):
    return hub.call("GET", f"/messages?topic={topic}")["messages"]


# Registration


def test_a_new_device_registers_once_and_logs_in(hub, scheme):
    product = Registering(hub)
    first = product.ask("new01", scheme)
    assert first["State"] == 0
    given = opened(product.secret, first)
    assert given["encryptionType"] == 2 and len(base64.b64decode(given["psk"])) == 16
    again = product.ask("new01", scheme)
    assert again["State"] == 1 and opened(product.secret, again) == given
    login = signed_login(product.product_id, "new01", given["psk"])
    with hub.client(login) as device:
        assert device.connect(login)[0] == 0
    events = hub.events(login, "register")
    assert [event["state"] for event in events] == ["new", "existed"]
    shown = hub.call("GET", f"/products/{product.product_id}/registration")
    assert (shown["registration"], shown["limit"], shown["registered"]) == ("auto", 10, 1)


def test_a_device_added_before_gets_its_own_secret(hub):
    product = Registering(hub, "preset")
    path = f"/products/{product.product_id}/devices"
    secret = hub.call("POST", path, name="known")["device_secret"]
    answer = product.ask("known")
    assert answer["State"] == 1
    assert opened(product.secret, answer) == {"encryptionType": 2, "psk": secret}
    assert product.code("unknown") == "ResourceNotFound.DeviceNotExist"


def test_the_switch_the_limit_and_the_name_are_held(hub):
    product = Registering(hub, "auto", 2)
    assert {product.ask(name)["State"] for name in ("one", "two")} == {0}
    assert product.code("three") == "LimitExceeded.DeviceExceedLimit"
    assert product.ask("one")["State"] == 1, "who is registered may ask again"
    # A person's devices are not counted.
    hub.call("POST", f"/products/{product.product_id}/devices", name="four")
    product.set("auto", 3)
    assert product.ask("three")["State"] == 0
    product.set("off")
    off = "UnsupportedOperation.DynamicRegisterSwitchOff"
    assert [product.code(name) for name in ("one", "five")] == [off, off]
    product.set("auto")
    for name in ("", "a b", "x" * 49, "ü"):
        assert product.code(name) == "InvalidParameterValue.DeviceName"


def test_a_disabled_device_does_not_register(hub):
    product = Registering(hub)
    product.ask("one")
    hub.call("POST", f"/products/{product.product_id}/devices/one/disable")
    assert product.code("one") == "UnauthorizedOperation.DeviceBlocked"


def test_a_limit_cannot_be_absurd(hub):
    product = Registering(hub)
    path = f"/products/{product.product_id}/registration"
    for body in ({"registration": "on"}, {"limit": -1}, {"limit": 10**6}, {"limit": "1"}):
        status, _ = hub.request("POST", path, body)
        assert status == 400, body


def test_a_product_with_certificates_gives_one_and_the_same_again(hub):
    product = Registering(hub, auth="cert")
    answer = product.ask("dev01", "https")
    given = opened(product.secret, answer)
    assert given["encryptionType"] == 1 and answer["State"] == 0
    certificate = load_pem_x509_certificate(given["clientCert"].encode())
    key = load_pem_private_key(given["clientKey"].encode(), None)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(load_pem_x509_certificate(hub.authority_pem().encode()))
    assert opened(product.secret, product.ask("dev01", "https")) == given
    # With it the device publishes.
    session = client(hub, "https", key)
    fields = product.fields("dev01", TopicName=f"{product.product_id}/dev01/event")
    status, answer = session.post(PUBLISH, {**fields, "Payload": "x", "Qos": 0})
    assert status == 200 and "Error" not in answer
    # Its files are lost: another certificate takes its place.
    folder = hub.hub.config.data / "devices" / product.product_id / "dev01"
    (folder / "private_key.pem").unlink()
    anew = opened(product.secret, product.ask("dev01", "https"))
    assert anew["clientCert"] != given["clientCert"]
    status, answer = session.post(PUBLISH, {**fields, "Payload": "x", "Qos": 0})
    assert answer["Error"]["Code"] == "AuthFailure.SignatureFailure"


class OwnAuthority:
    """A customer's own, and certificates it issued."""

    def __init__(self, product):
        self.credential = make_authority("A customer's own CA")
        self._product = product
        pem = self.credential.certificate_pem.decode()
        product.hub.call("POST", f"/products/{product.product_id}/authority", certificate_pem=pem)

    def issue(self, name, client_id=None) -> Credential:
        client_id = client_id or self._product.product_id + name
        return issue(self.credential, "device", [client_id], kind="rsa")


@pytest.mark.parametrize("by", ["documents", "C SDK"])
def test_a_customers_own_authority(hub, tmp_path, by):
    product = Registering(hub, auth="cert")
    authority = OwnAuthority(product)
    credential = authority.issue("dev01")
    pem = credential.certificate_pem.decode()
    sent = {"ClientCert": pem, "EncryptionType": 1} if by == "documents" else {"clientCert": pem}
    answer = product.ask("dev01", **sent)
    assert answer["State"] == 0 and opened(product.secret, answer) == {"encryptionType": 1}
    assert product.ask("dev01", **sent)["State"] == 1
    # It logs in by its certificate, and signs with its key.
    (tmp_path / "cert.pem").write_bytes(credential.certificate_pem)
    (tmp_path / "key.pem").write_bytes(credential.key_pem)
    context = ssl.create_default_context(cadata=hub.authority_pem())
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with (
        socket.create_connection((HOST, hub.ports["tls"]), TIMEOUT_S) as raw,
        context.wrap_socket(raw, server_hostname=HOST) as secured,
    ):
        client_id = product.product_id + "dev01"
        user_name = f"{client_id};21010406;abcde;9999999999"
        body = b"\x00\x04MQTT\x04\x82\x00\x3c" + b"".join(
            len(text).to_bytes(2, "big") + text.encode() for text in (client_id, user_name)
        )
        secured.sendall(bytes((0x10, len(body))) + body)
        assert secured.recv(4) == b"\x20\x02\x00\x00"
    session = client(hub, "http", credential.key)
    fields = product.fields("dev01", TopicName=f"{product.product_id}/dev01/event", Qos=1)
    assert "Error" not in session.post(PUBLISH, {**fields, "Payload": "x"})[1]


def test_certificates_of_others_are_refused(hub):
    product = Registering(hub, auth="cert")
    authority = OwnAuthority(product)
    stranger = issue(make_authority("Nobody"), "device", [product.product_id + "dev01"])
    hubs_own = product.hub.hub.authority.issue_device(product.product_id + "dev01", "ec")
    bad = "InvalidParameterValue.ClientCert"
    for credential in (
        stranger,
        hubs_own,
        authority.issue("other"),
        issue(authority.credential, "device", [product.product_id + "dev01"], valid_days=0),
    ):
        pem = credential.certificate_pem.decode()
        assert product.code("dev01", ClientCert=pem, EncryptionType=1) == bad
    for pem in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "x" * 9000):
        assert product.code("dev01", ClientCert=pem, EncryptionType=1) == bad
    assert product.code("dev01") == bad
    path = f"/products/{product.product_id}/authority"
    pem = stranger.certificate_pem.decode()
    assert hub.request("POST", path, {"certificate_pem": pem})[0] == 400
    assert hub.request("POST", path, {"certificate_pem": "x"})[0] == 400
    by_key = Registering(hub)
    own = authority.credential.certificate.public_bytes(Encoding.PEM).decode()
    status, _ = hub.request(
        "POST", f"/products/{by_key.product_id}/authority", {"certificate_pem": own}
    )
    assert status == 400


def test_two_at_once_get_the_same_certificate(hub):
    product = Registering(hub, auth="cert")
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(product.ask("dev01"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len({answer["Payload"] for answer in answers}) == 1
    assert sorted(answer["State"] for answer in answers) == [0, 1, 1, 1]


# Publishing


@pytest.mark.parametrize("algorithm", ["hmacsha256", "HmacSha256", "hmacsha1"])
def test_a_message_arrives_as_it_was_sent(hub, scheme, algorithm):
    device = Device(hub)
    session = client(hub, scheme, device.secret, algorithm=algorithm)
    topic = device.login.topic("event")
    binary = bytes(range(256))
    for qos, more in (
        (1, {"Payload": '{"celsius": 21.5}'}),
        (0, {"Payload": "22.5 °C"}),
        (0, {"Payload": base64.b64encode(binary).decode(), "PayloadEncoding": "base64"}),
    ):
        status, answer = session.post(
            PUBLISH, device_fields(device, TopicName=topic, Qos=qos, **more)
        )
        assert status == 200 and set(answer) == {"RequestId"}
    found = messages(hub, topic)
    assert [base64.b64decode(each["payload_base64"]) for each in found] == [
        b'{"celsius": 21.5}',
        "22.5 °C".encode(),
        binary,
    ]
    assert [each["qos"] for each in found] == [1, 0, 0]
    events = hub.events(device.login, "publish_in")
    assert {event["by"] for event in events} == {scheme}


def test_a_private_key_signs_for_a_device_with_a_certificate(hub, scheme):
    device = Device(hub, "cert", "rsa")
    with open(f"{device.folder}/private_key.pem", "rb") as file:
        key = load_pem_private_key(file.read(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    fields = device_fields(device, TopicName=device.login.topic("event"), Payload="x", Qos=1)
    assert "Error" not in client(hub, scheme, key).post(PUBLISH, fields)[1]
    other = Device(hub, "cert", "rsa")
    with open(f"{other.folder}/private_key.pem", "rb") as file:
        foreign = load_pem_private_key(file.read(), None)
    for wrong in (foreign, "a secret instead"):
        answer = client(hub, scheme, wrong).post(PUBLISH, fields)[1]
        assert answer["Error"]["Code"] == "AuthFailure.SignatureFailure"


def test_a_device_that_is_subscribed_hears_it(hub):
    device = Device(hub)
    session = client(hub, "http", device.secret)
    topic = device.login.topic("data")
    with hub.client(device.signed_login) as connected:
        connected.connect(device.signed_login)
        connected.subscribe((topic, 1))
        fields = device_fields(device, TopicName=topic, Payload="to myself", Qos=1)
        assert "Error" not in session.post(PUBLISH, fields)[1]
        assert connected.message().payload == b"to myself"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Qos": 2}, "InvalidParameterValue"),
        ({"Qos": "1"}, "InvalidParameterValue"),
        ({"Qos": True}, "InvalidParameterValue"),
        ({"Qos": None}, "MissingParameter"),
        ({"Payload": 21.5}, "InvalidParameterValue"),
        ({"Payload": "x" * 16_400}, "InvalidParameterValue.PayloadOverLimit"),
        ({"Payload": "#", "PayloadEncoding": "base64"}, "InvalidParameterValue"),
        ({"Payload": "x", "PayloadEncoding": "hex"}, "InvalidParameterValue"),
        ({"TopicName": "control"}, "UnauthorizedOperation.TopicForbidden"),
        ({"TopicName": "missing"}, "UnauthorizedOperation.TopicForbidden"),
        ({"TopicName": "event/#"}, "UnauthorizedOperation.TopicForbidden"),
        ({"DeviceName": "nobody"}, "ResourceNotFound.DeviceNotExist"),
        ({"ProductId": "NOPRODUCT0"}, "ResourceNotFound.ProductNotExist"),
        ({"ProductId": None}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_the_connection_lives(hub, change, code):
    device = Device(hub)
    session = client(hub, "http", device.secret)
    topic = device.login.topic("event")
    good = device_fields(device, TopicName=topic, Payload="good", Qos=1)
    if "TopicName" in change:
        change = {"TopicName": device.login.topic(change["TopicName"])}
    status, answer = session.post(PUBLISH, good | change)
    assert (status, answer["Error"]["Code"]) == (200, code)
    assert device.secret not in str(answer)
    assert set(session.post(PUBLISH, good)[1]) == {"RequestId"}
    assert [each["payload"] for each in messages(hub, topic)] == ["good"]


def test_another_devices_topic_is_refused(hub):
    device, other = Device(hub), Device(hub)
    fields = device_fields(device, TopicName=other.login.topic("event"), Payload="x", Qos=0)
    answer = client(hub, "http", device.secret).post(PUBLISH, fields)[1]
    assert answer["Error"]["Code"] == "UnauthorizedOperation.TopicForbidden"
    (refused,) = hub.events(device.login, "refused")
    assert (refused["code"], refused["path"]) == (answer["Error"]["Code"], PUBLISH)


def test_a_wrong_or_missing_signature_is_refused(hub):
    device = Device(hub)
    session = client(hub, "http", "AAAAAAAAAAAAAAAAAAAAAA==")
    topic = device.login.topic("event")
    fields = device_fields(device, TopicName=topic, Payload="x", Qos=0)
    answer = session.post(PUBLISH, fields)[1]
    assert answer["Error"]["Code"] == "AuthFailure.SignatureFailure"
    answer = session.post(PUBLISH, fields, X_TC_Nonce="")[1]
    assert answer["Error"]["Code"] == "MissingParameter"
    # The product's secret is not the device's.
    product = Registering(hub)
    given = opened(product.secret, product.ask("dev01"))["psk"]
    fields = product.fields("dev01", TopicName=f"{product.product_id}/dev01/event", Qos=0)
    for secret, is_taken in ((product.secret, False), (given, True)):
        answer = client(hub, "http", secret).post(PUBLISH, {**fields, "Payload": "x"})[1]
        assert ("Error" not in answer) == is_taken
    assert messages(hub, topic) == []


# Log upload


def test_uploaded_lines_are_in_the_devices_record(hub, scheme):
    device = Device(hub)
    lines = ["INFmqtt connect success.", "ERR|2026-11-22|main.py|broken", "DBGüber", "WRN"]
    session = client(hub, scheme, device.secret)
    # The C SDK adds a Level, which says nothing of the lines.
    status, answer = session.post(REPORT_LOG, device_fields(device, Message=lines, Level="ERR"))
    assert status == 200 and set(answer) == {"RequestId"}
    found = [(event["level"], event["text"]) for event in hub.events(device.login, "device_log")]
    assert found == [
        ("INF", "mqtt connect success."),
        ("ERR", "2026-11-22|main.py|broken"),
        ("DBG", "über"),
        ("WRN", ""),
    ]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (None, "InvalidParameterValue"),
        ("INFone", "InvalidParameterValue"),
        ([1], "InvalidParameterValue"),
        (["no level"], "InvalidParameterValue"),
        (["INFx"] * 101, "LimitExceeded.MessageExceedLimit"),
        (["INF" + "x" * 2000], "LimitExceeded.MessageExceedLimit"),
    ],
    ids=["missing", "text", "number", "no level", "too many", "too long"],
)
def test_a_log_that_is_none_is_refused_whole(hub, message, code):
    device = Device(hub)
    session = client(hub, "http", device.secret)
    answer = session.post(REPORT_LOG, device_fields(device, Message=message))[1]
    assert answer["Error"]["Code"] == code
    assert hub.events(device.login, "device_log") == []


# HTTP itself


def test_the_connection_is_kept_and_bodies_may_be_chunked(hub, scheme):
    device = Device(hub)
    session = client(hub, scheme, device.secret)
    fields = device_fields(device, TopicName=device.login.topic("event"), Payload="x", Qos=0)
    session.post(PUBLISH, fields)
    sock = session.connection.sock
    body = str(fields).replace("'", '"').encode()
    assert "Error" not in session.send(PUBLISH, body, chunked=True)[1]
    assert session.connection.sock is sock


def test_what_is_no_signed_post_is_refused(hub):
    session = client(hub, "http", "secret")
    session.connection.request("GET", REGISTER)
    assert session.answer()[1]["Error"]["Code"] == "UnsupportedProtocol"
    answer = session.send(REGISTER, b"{}", Content_Type="text/plain")[1]
    assert answer["Error"]["Code"] == "UnsupportedProtocol"
    assert session.send("/devregister", b"{}")[1]["Error"]["Code"] == "InvalidAction"
    assert session.send(REGISTER, b"not JSON")[1]["Error"]["Code"] == "InvalidParameter"
    status, answer = session.send(REGISTER, b" " * 70_000)
    assert (status, answer["Error"]["Code"]) == (413, "RequestSizeLimitExceeded")


def test_connections_are_bounded(hub, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    device = Device(hub)
    fields = device_fields(device, TopicName=device.login.topic("event"), Payload="x", Qos=0)
    # What earlier tests left open may close late.
    deadline_s = time.monotonic() + TIMEOUT_S
    kept: list[SignedHttp] = []
    while len(kept) < 2:
        session = client(hub, "http", device.secret)
        try:
            assert "Error" not in session.post(PUBLISH, fields)[1]
            kept.append(session)
        except OSError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    with pytest.raises(OSError):
        client(hub, "http", device.secret).post(PUBLISH, fields)
    kept.pop().close()
    time.sleep(0.1)
    assert "Error" not in client(hub, "http", device.secret).post(PUBLISH, fields)[1]


def test_a_body_that_does_not_come_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr(server, "BODY_TIMEOUT_S", 0.2)
    with socket.create_connection((HOST, hub.ports["http"]), TIMEOUT_S) as raw:
        raw.sendall(
            b"POST /device/register HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 408 ")


def test_faults_strike_whom_they_are_for(hub):
    device, other = Device(hub), Device(hub)
    topic = device.login.topic("event")
    fields = device_fields(device, TopicName=topic, Payload="x", Qos=0)
    others = device_fields(other, TopicName=other.login.topic("event"), Payload="x", Qos=0)
    session, others_session = (client(hub, "http", each.secret) for each in (device, other))
    hub.arm("http_refuse", device.login, code="AuthFailure.SignatureFailure")
    assert "Error" not in others_session.post(PUBLISH, others)[1]
    answer = session.post(PUBLISH, fields)[1]
    assert answer["Error"]["Code"] == "AuthFailure.SignatureFailure"
    hub.arm("http_status", device.login, status=503)
    assert session.post(PUBLISH, fields)[0] == 503
    assert messages(hub, topic) == []
    hub.arm("http_late", device.login, delay_ms=300)
    started_s = time.monotonic()
    assert session.post(PUBLISH, fields)[0] == 200
    assert time.monotonic() - started_s >= 0.3
    hub.arm("http_cut", device.login, bytes=7)
    with pytest.raises(Exception, match="IncompleteRead"):
        session.post(PUBLISH, fields)
    session.close()
    assert len(messages(hub, topic)) == 2, "what was cut had been done"
    assert session.post(PUBLISH, fields)[0] == 200
    assert [event["fault"] for event in hub.events(device.login, "fault")] == [
        name for name in ("http_refuse", "http_status", "http_late", "http_cut") for _ in "12"
    ]


def test_a_window_refuses_old_and_repeated_requests(tmp_path):
    hub = EveryWayHub(tmp_path, http_port=0, max_http_skew_s=60)
    try:
        device = Device(hub)
        session = client(hub, "http", device.secret)
        fields = device_fields(device, TopicName=device.login.topic("event"), Payload="x", Qos=0)
        assert "Error" not in session.post(PUBLISH, fields)[1]
        body = str(fields).replace("'", '"').encode()
        same = session.headers(PUBLISH, body)
        for is_taken in (True, False):
            session.connection.request("POST", PUBLISH, body, same)
            assert ("Error" not in session.answer()[1]) == is_taken
        hub.call("POST", "/clock", offset_s=3600)
        answer = session.post(PUBLISH, fields)[1]
        assert answer["Error"]["Code"] == "AuthFailure.SignatureExpire"
    finally:
        hub.stop()


# The commands


def test_the_commands_set_who_may_register(hub, tmp_path, capsys):
    product = Registering(hub, "off", auth="cert")

    def run(*arguments):
        status = main(["product", *arguments, "--api-port", str(hub.api_port)])
        output = capsys.readouterr()
        return status, output.out + output.err

    assert run("registration", product.product_id, "--json")[1].startswith("{")
    status, text = run("registration", product.product_id, "--mode", "auto", "--limit", "3")
    assert status == 0 and "auto" in text and product.secret not in text
    assert product.ask("dev01")["State"] == 0
    status, text = run("registration", product.product_id, "--limit", "-1")
    assert status == 1 and "a limit is 0 to" in text
    status, text = run("authority", product.product_id, str(tmp_path / "missing.pem"))
    assert status == 1 and "missing.pem" in text
    (tmp_path / "ca.pem").write_bytes(make_authority("Own").certificate_pem)
    status, text = run("authority", product.product_id, str(tmp_path / "ca.pem"))
    assert status == 0 and "own_authority" in text
    for command in ("registration", "authority"):
        with pytest.raises(SystemExit) as ended:
            main(["product", command, "--help"])
        assert ended.value.code == 0 and "product id" in capsys.readouterr().out
