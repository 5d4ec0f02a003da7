"""The one class a user meets: a device of IoT Hub that connects, stays connected and knows the
time.

    device = Device.from_file("device.json")

    @device.on_command
    async def command(topic, payload): ...

    await device.run()
"""

import asyncio
from time import ticks_ms

from iothub import port, topics
from iothub.clock import Clock
from iothub.compat import const
from iothub.credentials import Identity
from iothub.errors import IoTHubError, LinkError, LoginRefused, NotConnected, QueueFull
from iothub.loading import for_now, load
from iothub.net.session import OFFLINE, Session
from iothub.profiles import IoTHub
from iothub.timeouts import DELIVERY_MS, TIME_REFRESH_MS, TIME_RETRY_MS

# What on_event tells besides the session's and the engine's events: the time is known; in Unix ms.
CLOCK_SET = const(-4)

# Attributes that are made on first use, each by join(device) of a module of net/: nobody pays for
# what is not used. All other names are asked of the last, whose services are modules of services/.
_SERVICES = {
    "log": "log",
    "http": "publish",
    "coap": "coap",
    "ota": "ota",
    "services": "services",
}

_MAX_NAMES = 16  # topic names kept in full, so that publishing to them again allocates nothing


class Device:
    """`config` is a config.Config; its `app` is kept as `settings`. `on_event(what, detail)` hears
    what happens to the connection (the constants of net/session.py and mqtt/engine.py).
    `network` (port/interface.py) replaces the Wi-Fi that `config` names."""

    settings: dict
    config: dict  # all fields of the configuration, by name
    identity: Identity
    clock: Clock
    last_error: IoTHubError
    listeners: list  # event(what, detail) of services, which hear of it first
    chip = None  # the package iothub.port, or what stands for it
    network = None
    transport: str  # never "auto"
    profile: IoTHub
    session: Session

    def __init__(self, config, on_event=None, network=None):
        for_now("iothub.assembly").assemble(self, config, on_event, network)

    @classmethod
    def from_file(cls, path="device.json", on_event=None, network=None):
        """A device from a JSON file. Raises BadInput naming the field. With product_secret in it
        the device is registered first, once: see net/register.py, also for what is raised then."""
        config = for_now("iothub.assembly").configured(path, network)
        return cls(config, on_event, network)

    def __getattr__(self, name):
        home = _SERVICES.get(name)
        if name == "storage":
            made = port.storage()
        elif home is None:
            made = self.services.load(name)
        else:
            made = load("iothub.net." + home).join(self)
        setattr(self, name, made)
        return made

    # Life

    async def run(self):
        """Connects and stays connected; returns after stop()."""
        timekeeper = asyncio.create_task(self._keep_time())
        try:
            await self.session.run()
        finally:
            timekeeper.cancel()

    async def stop(self):
        """Says goodbye to the server and ends run()."""
        await self.session.stop()

    async def online(self, timeout_ms=DELIVERY_MS):
        """Waits until logged in. Raises DeadlineError."""
        await self.session.online(timeout_ms)

    @property
    def is_online(self):
        return self.session.is_online

    @property
    def acknowledged(self):
        """QoS 1 messages the server took, since the start."""
        return self.session.engine.acknowledged

    # Messages

    def topic(self, name):
        """The full topic (bytes) of a name: "event" is "PID/DN/event"; "$..." and full topics
        stay as they are."""
        found = self._names.get(name)
        if found is None:
            encoded = topics.encode(name)
            if encoded.startswith(b"$") or encoded.startswith(self.identity.prefix):
                found = encoded
            else:
                found = self.identity.prefix + encoded
            if len(self._names) < _MAX_NAMES:
                self._names[name] = found
        return found

    async def publish(self, name, payload, qos=1, wait=True):
        """See Session.publish(). `name` is "event", "data" or a topic of your own."""
        await self.session.publish(self.topic(name), payload, qos, wait)

    def publish_nowait(self, name, payload, qos=0):
        """See Session.publish_nowait()."""
        self.session.publish_nowait(self.topic(name), payload, qos)

    def on_command(self, handler):
        """Decorator: `handler(topic, payload)`, plain or async, for PID/DN/control."""
        return self.on("control")(handler)

    def on(self, name, qos=1):
        """Decorator: the handler for a topic or filter of this device."""

        def register(handler):
            self.session.register(self.topic(name), handler, qos)
            return handler

        return register

    # The session's questions

    def _login(self):
        expiry_s = for_now("iothub.timekeeper").login_expiry_s(self)
        return for_now("iothub.net.access").login(self._proof, expiry_s)

    def _session_event(self, what, detail):
        if what == OFFLINE:
            self.last_error = detail
            if isinstance(detail, LoginRefused):
                # Perhaps our clock is wrong: once more with an expiry that needs none.
                self._distrust_clock = self._expiry_from_clock
        self.tell(what, detail)

    def tell(self, what, detail):
        """For services: tells the application."""
        for listener in self.listeners:
            listener(what, detail)
        if self._on_event is not None:
            self._on_event(what, detail)

    # Time

    async def _keep_time(self):
        while True:
            await self.session.online(None)
            try:
                await for_now("iothub.timekeeper").ask(self)
            except (NotConnected, QueueFull, LinkError, MemoryError):
                pass  # no link or no memory just now; the next round asks again
            await asyncio.sleep_ms(TIME_REFRESH_MS if self.clock.known else TIME_RETRY_MS)

    def _time_answer(self, topic, payload):
        if self._hear_time is not None:  # while it is asked for
            self._hear_time(payload, ticks_ms())
