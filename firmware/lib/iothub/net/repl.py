"""For the REPL: connect, publish and look, without `await`.

>>> from iothub import connect
>>> hub = connect("device.json")
>>> hub.publish("event", "hello", qos=1); hub.listen(10)
"""

from time import sleep_ms, ticks_diff, ticks_ms

from iothub import topics
from iothub.loading import for_now, let_go
from iothub.net.mqtt import MQTTClient
from iothub.profiles import IoTHub

_POLL_MS = 20


class Console(MQTTClient):
    """net/mqtt.py's client that knows its device: short topic names, and messages printed as they
    come unless set_callback() says otherwise. It expects the network to be up."""

    def __init__(self, config):
        self._identity = identity = config.identity
        access = for_now("iothub.net.access").Access(config)
        expiry_s = for_now("iothub.signing").FAR_FUTURE_S
        client_id, username, password = access.login(expiry_s)
        super().__init__(
            client_id,
            "",
            0,
            username,
            password,
            config.keepalive_s,
            profile=IoTHub(identity),
            endpoint=access.endpoint,
        )
        self.set_callback(_show)

    def publish(self, topic, msg, retain=False, qos=0):
        super().publish(self._full(topic), msg, retain, qos)

    def subscribe(self, topic, qos=0):
        super().subscribe(self._full(topic), qos)

    def listen(self, seconds=10):
        """Handles what arrives for so long."""
        started_ms = ticks_ms()
        while ticks_diff(ticks_ms(), started_ms) < seconds * 1000:
            if self.check_msg() is None:
                sleep_ms(_POLL_MS)

    def help(self):
        """What can be typed next."""
        from iothub.net import orientation  # printed by being loaded

        let_go(orientation.__name__)

    def _full(self, name):
        name = topics.encode(name)
        if name.startswith(b"$") or name.startswith(self._identity.prefix):
            return name
        return self._identity.prefix + name


def connect(path="device.json"):
    """Logs in with a configuration file, subscribes to control and data, returns the client."""
    config = for_now("iothub.config").load(path)
    client = Console(config)
    client.connect(config.clean_session)
    client.subscribe("control", 1)
    client.subscribe("data", 1)
    print("online as %s/%s" % (config.product_id, config.device_name))
    return client


def _show(topic, msg):
    print("%s: %s" % (topic.decode(), msg))
