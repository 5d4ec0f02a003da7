"""paho-mqtt, as people use it, against the hub: MQTT 3.1 and 3.1.1."""

import queue
import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from host_tests.peers.broker_client import Login
from host_tests.peers.broker_servers import HubServer

TIMEOUT_S = 10
PROTOCOLS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", stored_interval_ms=5)
    yield server
    server.stop()


class PahoDevice:
    """A paho client on its own thread, whose messages wait in a queue."""

    def __init__(
        self, hub: HubServer, login: Login, protocol: MQTTProtocolVersion, clean: bool = True
    ) -> None:
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            clean_session=clean,
            protocol=protocol,
        )
        self.client.username_pw_set(login.user_name, login.password)
        self.client.on_connect = lambda *event: self._connected.put(event)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda *event: self._granted.put(event[3])
        self._connected: queue.Queue = queue.Queue()
        self._granted: queue.Queue = queue.Queue()
        self.messages: queue.Queue = queue.Queue()
        self._port = hub.port

    def connect(self):
        """CONNACK's reason and session-present flag."""
        self.client.connect("127.0.0.1", self._port, keepalive=30)
        self.client.loop_start()
        _, _, flags, reason, _ = self._connected.get(timeout=TIMEOUT_S)
        return str(reason), flags.session_present

    def subscribe(self, *filters: tuple[str, int]) -> list[int]:
        self.client.subscribe(list(filters))
        return [reason.value for reason in self._granted.get(timeout=TIMEOUT_S)]

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        sent = self.client.publish(topic, payload, qos)
        sent.wait_for_publish(TIMEOUT_S)
        assert sent.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize("version", PROTOCOLS)
def test_talks_both_ways(hub, version):
    login = hub.new_device()
    device = PahoDevice(hub, login, PROTOCOLS[version])
    try:
        assert device.connect() == ("Success", False)
        granted = device.subscribe(
            (login.topic("control"), 1), (login.topic("event"), 1), (login.topic("data"), 0)
        )
        assert granted == [1, 0x80, 0]
        for number in range(40):
            device.publish(login.topic("event"), b"%d" % number, number % 2)
        for number in range(100):
            hub.send(login.topic("control"), b"%d" % number, 1)
        received = [device.messages.get(timeout=TIMEOUT_S) for _ in range(100)]
        assert [int(message.payload) for message in received] == list(range(100))
        assert {(message.qos, message.retain, message.dup) for message in received} == {(1, 0, 0)}
    finally:
        device.close()
    recorded = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert [int(message["payload"]) for message in recorded] == list(range(40))
    shown = hub.call("GET", f"/products/{login.product_id}/devices/{login.device_name}")
    assert shown["unacknowledged"] == 0


@pytest.mark.parametrize("version", PROTOCOLS)
def test_persistent_session(hub, version):
    login = hub.new_device()
    first = PahoDevice(hub, login, PROTOCOLS[version], clean=False)
    assert first.connect() == ("Success", False)
    first.subscribe((login.topic("control"), 1))
    first.close()
    hub.send(login.topic("control"), b"while away", 1)
    second = PahoDevice(hub, login, PROTOCOLS[version], clean=False)
    # MQTT 3.1 has no session-present flag.
    assert second.connect() == ("Success", version == "3.1.1")
    assert second.messages.get(timeout=TIMEOUT_S).payload == b"while away"
    second.close()


@pytest.mark.parametrize("version", PROTOCOLS)
def test_wrong_password_is_told(hub, version):
    login = hub.new_device()._replace(password="00;hmacsha256")
    device = PahoDevice(hub, login, PROTOCOLS[version])
    reason, _ = device.connect()
    device.close()
    assert reason == "Bad user name or password"


def test_reconnects_by_itself_after_the_hub_dropped_it(hub):
    login = hub.new_device()
    device = PahoDevice(hub, login, paho.MQTTv311, clean=False)
    again = threading.Event()
    device.client.reconnect_delay_set(1, 1)
    device.connect()
    device.subscribe((login.topic("control"), 1))
    device.client.on_connect = lambda *_: again.set()
    hub.arm("drop_at_packet", login)
    sent = device.client.publish(login.topic("event"), b"survives", 1)
    assert again.wait(TIMEOUT_S)
    sent.wait_for_publish(TIMEOUT_S)
    assert sent.is_published()
    hub.send(login.topic("control"), b"still subscribed", 1)
    assert device.messages.get(timeout=TIMEOUT_S).payload == b"still subscribed"
    device.close()
    recorded = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert [(each["payload"], each["dup"]) for each in recorded] == [("survives", True)]
