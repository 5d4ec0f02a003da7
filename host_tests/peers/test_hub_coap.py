"""The hub's CoAP gateway, judged by libcoap's clients with either TLS library and by our device:
with certificates and keys, through a relay that loses, doubles and reorders; and datagram by
datagram over plain UDP."""

import asyncio
import json
import socket
import subprocess
import time

import pytest

from host_tests.conftest import requires
from host_tests.e2e.scenario import run
from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_wires import ClientCertificate
from host_tests.peers.test_coap_libcoap import SHORT_WAITS, desk
from host_tests.peers.test_http_services import example
from tools import prerequisites
from tools.faults.datagrams import DatagramFaults, DatagramRelay
from tools.pki import issue, make_authority

HOST = "127.0.0.1"
CLIENTS = ("coap-client-openssl", "coap-client-gnutls")
AUTHENTICATION = "txauth9w0BAQsFA"
AUTH_PAYLOAD = b"21010406;q7RtZ\0\0"
KINDS = {"psk": "key", "dtls": "cert"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    # A handshake through a bad line takes its time.
    server = EveryWayHub(folder, coap_port=0, coap_udp_port=0, opening_timeout_s=20)
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def payloads(hub, device, name="event"):
    found = hub.call("GET", f"/messages?topic={device.login.topic(name)}&limit=10000")["messages"]
    return [each["payload"] for each in found]


def for_command_line(hub, auth="key"):
    """A device whose key can be an argument: without a zero byte."""
    while True:
        device = Device(hub, auth, "rsa")
        if auth == "cert" or b"\0" not in device.key:
            return device


class LibCoap:
    """One of libcoap's clients as a device: a process for each request."""

    def __init__(self, hub, command, device, folder, **credentials):
        self._command = str(prerequisites.find(command))
        self._port = hub.ports["coap"]
        self._folder = folder
        self.path = f"{device.login.product_id}/{device.name}"
        if hasattr(device, "key"):
            key = credentials.get("key", device.key)
            self._credentials = ["-u", device.login.client_id, "-k", key]
        else:
            certificate = credentials.get("certificate", device.certificate)
            (folder / "hub.pem").write_text(hub.authority_pem())
            self._credentials = [
                *("-c", certificate.certificate, "-j", certificate.key),
                *("-C", str(folder / "hub.pem")),
            ]

    def post(self, path, payload=b"", *options, method="post"):
        """(code, payload) of the response; the code None when there was none."""
        file = self._folder / "payload"
        file.write_bytes(payload)
        command = [self._command, "-m", method, "-f", str(file), "-B", "3", "-v", "6"]
        for number, value in options:
            command += ["-O", f"{number},{value}"]
        url = f"coaps://{HOST}:{self._port}/{path}"
        done = subprocess.run(
            [*command, *self._credentials, url], capture_output=True, timeout=TIMEOUT_S
        )
        text = (done.stdout + done.stderr).decode(errors="replace")
        codes = [word[2:] for line in text.splitlines() if "t:ACK" in line for word in line.split()
                 if word.startswith("c:")]  # fmt: skip
        return (codes[-1] if codes else None), text

    def authenticate(self):
        """The token."""
        code, text = self.post(f"{self.path}/{AUTHENTICATION}", AUTH_PAYLOAD, (62, 0))
        assert code == "2.05", text
        return text.split(":: '")[-1].split("'")[0]


@requires(*CLIENTS)
@pytest.mark.parametrize("command", CLIENTS)
def test_libcoaps_clients_publish(hub, tmp_path, command, kind):
    device = for_command_line(hub, KINDS[kind])
    client = LibCoap(hub, command, device, tmp_path)
    token = client.authenticate()
    # The path level by level, as the RFC has it and libcoap sends it.
    code, text = client.post(f"{client.path}/event", b"22.5", (61, token), (62, 0))
    assert code == "2.03", text
    code, text = client.post(f"{client.path}/event", b"again", (61, token), (62, 1))
    assert code == "2.05", text
    assert payloads(hub, device) == ["22.5", "again"]
    (event,) = hub.events(device.login, "authenticate")
    assert (event["transport"], event["proved_by"]) == (
        "coap",
        {"psk": "psk", "dtls": "certificate"}[kind],
    )
    assert {e["by"] for e in hub.events(device.login, "publish_in")} == {"coap"}


@requires(*CLIENTS)
def test_what_is_not_allowed_has_its_code(hub, tmp_path):
    device, other = for_command_line(hub), Device(hub)
    client = LibCoap(hub, CLIENTS[0], device, tmp_path)
    token = client.authenticate()
    own, others = client.path, f"{other.login.product_id}/{other.name}"
    good = (61, token)
    for path, options, code in (
        (f"{own}/event", (), "4.01"),
        (f"{own}/event", ((61, "wrongtoken"),), "4.01"),
        (f"{own}/control", (good,), "4.03"),
        (f"{own}/missing", (good,), "4.03"),
        (f"{others}/event", (good,), "4.03"),
        (f"{others}/{AUTHENTICATION}", (), "4.03"),
        (f"{own}/event", (good, (21, "x")), "4.02"),
    ):
        assert client.post(path, b"x", *options)[0] == code, (path, options)
    assert client.post(f"{own}/event", b"", good, method="get")[0] == "4.05"
    assert client.post(f"{own}/event", b"x" * 1025, good)[0] == "4.13"
    assert client.post(f"{own}/{AUTHENTICATION}", b"99999999;x")[0] == "4.00"
    assert client.post(f"{own}/event", b"x" * 1024, good)[0] == "2.03"
    assert payloads(hub, device) == ["x" * 1024] and payloads(hub, other) == []
    assert hub.events(device.login, "refused")[0]["code"] == "4.01"
    hub.call("POST", f"/products/{device.login.product_id}/devices/{device.name}/disable")
    assert client.post(f"{own}/event", b"x", good)[0] == "4.03"


@requires(*CLIENTS)
@pytest.mark.parametrize("command", CLIENTS)
def test_who_proves_nothing_gets_no_session(hub, tmp_path, command):
    device = Device(hub)
    last = hub.last_event()
    stranger = LibCoap(hub, command, device, tmp_path, key=b"0123456789abcdef")
    assert stranger.post(f"{stranger.path}/{AUTHENTICATION}", AUTH_PAYLOAD)[0] is None
    certified = Device(hub, "cert", "ec")
    nobody = issue(make_authority("Nobody"), "device", [certified.login.client_id])
    (tmp_path / "c.pem").write_bytes(nobody.certificate_pem)
    (tmp_path / "k.pem").write_bytes(nobody.key_pem)
    forged = ClientCertificate(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    client = LibCoap(hub, command, certified, tmp_path, certificate=forged)
    assert client.post(f"{client.path}/{AUTHENTICATION}", AUTH_PAYLOAD)[0] is None
    # One of the hub's authority, but not the one issued to the device.
    again = hub.hub.authority.issue_device(certified.login.client_id, "ec")
    (tmp_path / "c.pem").write_bytes(again.certificate_pem)
    (tmp_path / "k.pem").write_bytes(again.key_pem)
    client = LibCoap(hub, command, certified, tmp_path, certificate=forged)
    assert client.post(f"{client.path}/{AUTHENTICATION}", AUTH_PAYLOAD)[0] == "4.03"
    failed = hub.call("GET", f"/events?kind=handshake&after={last}")["events"]
    assert failed and {event["transport"] for event in failed} == {"coap"}


# Our device.


def device_config(hub, device, kind, folder, port=None, **fields):
    path = folder / f"device-{device.name}-{kind}.json"
    port = port or hub.ports["coap_udp" if kind == "udp" else "coap"]
    settings = {
        "product_id": device.login.product_id,
        "device_name": device.name,
        "ca": str(hub.hub.config.data / "ca/ca.der"),
        "transport": "auto",
        "coap": {"transport": kind, "host": HOST, "port": port},
        **fields,
    }
    if hasattr(device, "secret"):
        settings["device_secret"] = device.secret
    else:
        settings["certificate"] = f"{device.folder}/certificate.der"
        settings["private_key"] = f"{device.folder}/private_key.der"
    path.write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_our_device_publishes(hub, tmp_path, kind, key):
    device = Device(hub, KINDS[kind], key)

    async def scenario():
        async with desk(device_config(hub, device, kind, tmp_path)) as d:
            for number in range(20):
                done = await d.ask(publish="event", payload=f"{number} °C")
                assert "error" not in done, done
            done = await d.ask(publish="event", payload="a new session", close=True)
            assert "error" not in done, done
            done = await d.ask(publish="control", payload="x")
            assert (done["error"], done["code"]) == ("ServiceRefused", 403), done

    run(scenario)
    assert payloads(hub, device) == [f"{number} °C" for number in range(20)] + ["a new session"]


@pytest.mark.parametrize("kind", ["psk", "dtls", "udp"])
def test_each_message_arrives_once_through_a_bad_line(hub, tmp_path, kind, sweep_full):
    device = Device(hub, KINDS.get(kind, "key"), "ec")
    count = 300 if sweep_full else 20
    faults = DatagramFaults(loss=0.08, duplication=0.2, reordering=0.2)

    async def scenario():
        port = hub.ports["coap_udp" if kind == "udp" else "coap"]
        async with DatagramRelay((HOST, port), faults, seed=5) as relay:
            config = device_config(hub, device, kind, tmp_path, relay.port)
            async with desk(config, *SHORT_WAITS, "COAP_HANDSHAKE_MS=60000") as d:
                for number in range(count):
                    if number % 7 == 6:
                        hub.arm("coap_late", device.login, delay_ms=20)
                    done = await d.ask(publish="event", payload=f"message {number}")
                    assert "error" not in done, (number, done)
                assert min(relay.up.lost, relay.down.lost, relay.up.doubled) > 0

    run(scenario, 600)
    assert payloads(hub, device) == [f"message {number}" for number in range(count)]


def test_a_token_that_expired_is_renewed(hub, tmp_path):
    device = Device(hub)

    async def scenario():
        async with desk(device_config(hub, device, "psk", tmp_path)) as d:
            for payload, offset_s in (("one", 0), ("two", 25 * 3600), ("three", 25 * 3600)):
                await asyncio.to_thread(hub.call, "POST", "/clock", offset_s=offset_s)
                assert "error" not in await d.ask(publish="event", payload=payload)
            hub.arm("coap_refuse", device.login, code=500)
            done = await d.ask(publish="event", payload="x")
            assert (done["error"], done["code"]) == ("ServiceRefused", 500), done

    try:
        run(scenario)
    finally:
        hub.call("POST", "/clock", offset_s=0)
    assert payloads(hub, device) == ["one", "two", "three"]
    assert len(hub.events(device.login, "authenticate")) == 2


def test_after_a_restart_of_the_hub_the_device_goes_on(tmp_path):
    hub = EveryWayHub(tmp_path, coap_port=0)
    try:
        device = Device(hub)

        async def scenario():
            config = device_config(hub, device, "psk", tmp_path)
            async with desk(config, *SHORT_WAITS, "COAP_RESPONSE_MS=1500") as d:
                assert "error" not in await d.ask(publish="event", payload="before")
                await asyncio.to_thread(hub.restart)
                errors = []
                for number in range(5):
                    done = await d.ask(publish="event", payload=f"after {number}")
                    if "error" not in done:
                        break
                    assert done["typed"], done
                    errors.append(done)
                assert len(errors) <= 1, errors

        run(scenario)
        assert payloads(hub, device)[0] == "before" and len(payloads(hub, device)) == 2
    finally:
        hub.stop()


def test_a_device_that_lost_power_comes_back_by_the_same_port(hub, tmp_path):
    """And what is forged in its name ends nothing."""
    device = Device(hub)

    async def scenario():
        async with DatagramRelay((HOST, hub.ports["coap"]), DatagramFaults(), seed=1) as relay:
            config = device_config(hub, device, "psk", tmp_path, relay.port)
            for number in range(3):
                # To the hub, the relay's port is the same each time.
                async with desk(config) as d:
                    done = await d.ask(publish="event", payload=f"boot {number}")
                    assert "error" not in done, done

    run(scenario)
    assert payloads(hub, device) == [f"boot {number}" for number in range(3)]


def test_the_example(hub, tmp_path, kind):
    device = Device(hub, KINDS[kind], "ec")
    device_config(hub, device, "auto", tmp_path, hub.ports["coap"]).rename(
        tmp_path / "device.json"
    )

    async def scenario():
        assert await example(tmp_path, "coap_publish") == ["published 21.5", "published 21.6"]

    run(scenario)
    assert payloads(hub, device) == ['{"celsius": 21.5}', '{"celsius": 21.6}']


# Datagram by datagram.


class Plain:
    """A socket, and requests as the C SDK sends them: the whole topic in one Uri-Path option."""

    def __init__(self, hub, device):
        self.prefix = f"{device.login.product_id}/{device.name}/".encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect((HOST, hub.ports["coap_udp"]))
        self.token = b""

    def request(self, message_id, name, payload, kind=0x44):
        path = self.prefix + name
        data = bytes((kind, 2)) + message_id.to_bytes(2, "big") + b"\x01\0\0\0"
        data += bytes((0xBD, len(path) - 13)) + path
        if self.token:
            data += bytes((0xD0 | len(self.token), 61 - 11 - 13)) + self.token + b"\x110"
        else:
            data += b"\xd1\x260"
        return data + b"\xff" + payload

    def ask(self, data):
        self.socket.send(data)
        return self.socket.recv(2048)

    def authenticate(self, message_id):
        answer = self.ask(self.request(message_id, AUTHENTICATION.encode(), AUTH_PAYLOAD))
        assert answer[:2] == b"\x64\x45" and answer[4:9] == b"\x01\0\0\0\xff", answer
        self.token = answer[9:]


def test_a_duplicate_is_answered_and_not_done_twice(hub):
    device = Device(hub)
    plain = Plain(hub, device)
    plain.authenticate(1)
    first = plain.ask(plain.request(2, b"event", b"once"))
    assert first[:2] == b"\x64\x43" and first[2:4] == b"\0\x02"
    assert {plain.ask(plain.request(2, b"event", b"once")) for _ in range(3)} == {first}
    assert payloads(hub, device) == ["once"]
    (event,) = hub.events(device.login, "authenticate")
    assert (event["transport"], event["proved_by"]) == ("coap_udp", None)


def test_a_removed_devices_token_is_worth_nothing_to_the_next(hub):
    device = Device(hub)
    plain = Plain(hub, device)
    plain.authenticate(1)
    path = f"/products/{device.login.product_id}/devices"
    hub.call("DELETE", f"{path}/{device.name}")
    assert plain.ask(plain.request(2, b"event", b"x"))[1] == 0x83
    hub.call("POST", path, name=device.name)
    assert plain.ask(plain.request(3, b"event", b"x"))[1] == 0x81
    plain.token = b""
    plain.authenticate(4)
    assert plain.ask(plain.request(5, b"event", b"mine"))[1] == 0x43
    assert payloads(hub, device) == ["mine"]


def test_faults_strike_over_coap(hub):
    device = Device(hub)
    plain = Plain(hub, device)
    plain.authenticate(1)
    hub.arm("coap_late", device.login, delay_ms=100)
    started_s = time.monotonic()
    assert plain.ask(plain.request(2, b"event", b"late")) == b"\x60\0\0\x02"
    response = plain.socket.recv(2048)
    assert time.monotonic() - started_s >= 0.1
    assert response[:2] == b"\x44\x43" and response[4:8] == b"\x01\0\0\0"
    plain.socket.send(b"\x60\0" + response[2:4])
    hub.arm("coap_refuse", device.login, code=503)
    assert plain.ask(plain.request(3, b"event", b"x"))[1] == 0xA3
    hub.arm("coap_lose")
    plain.socket.send(plain.request(4, b"event", b"lost"))
    assert plain.ask(plain.request(5, b"event", b"after"))[2:4] == b"\0\x05"
    assert payloads(hub, device) == ["late", "after"]


def test_strangers_datagrams_end_nothing(hub):
    device = Device(hub)
    plain = Plain(hub, device)
    plain.authenticate(1)
    for noise in (b"", b"\0", b"\xff" * 1400, b"\x16\xfe\xfd" + bytes(60), bytes(70)):
        for port in (hub.ports["coap"], hub.ports["coap_udp"]):
            plain.socket.connect((HOST, port))
            plain.socket.send(noise)
    plain.socket.connect((HOST, hub.ports["coap_udp"]))
    assert plain.ask(b"\x40\0\0\x09") == b"\x70\0\0\x09"
    assert plain.ask(plain.request(7, b"event", b"still there"))[1] == 0x43
    assert payloads(hub, device) == ["still there"]
