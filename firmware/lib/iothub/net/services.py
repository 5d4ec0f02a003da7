"""Runs the services over MQTT (services/service.py) on an asyncio session. Loaded with the first
of them; each is loaded when it is asked for."""

import asyncio
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import BadInput, DeadlineError, IoTHubError, SubscribeRefused
from iothub.mqtt.engine import FILTER_GRANTED, FILTER_REFUSED, ONLINE_AGAIN
from iothub.net.session import HANDLER_FAILED, OFFLINE
from iothub.timeouts import DELIVERY_MS, SERVICE_TICK_MS

# What on_event tells besides what session.py, engine.py and device.py do: the error.
SERVICE_FAILED = const(-5)

# Name of the service, as an attribute of Device: module and class.
_HOME = {
    "shadow": ("shadow", "Shadow"),
    "rrpc": ("rrpc", "Rrpc"),
    "gateway": ("gateway", "Gateway"),
    "broadcast": ("broadcast", "Broadcast"),
    "remote_config": ("config", "RemoteConfig"),
}


class Services:
    """The driver that service.py describes."""

    def __init__(self, device):
        session = device.session
        self.subscribe = session.register
        self.publish = session.publish
        self.unsubscribe = session.engine.unsubscribe
        self.allow = device.profile.prefixes.append
        self.forbid = device.profile.prefixes.remove
        self.now_s = device.clock.now_s
        self.spawn = asyncio.create_task
        self._session = session
        self._identity = device.identity
        self._running = []  # (service, its Subscription)
        self._changed = asyncio.Event()
        self._timer = None
        device.listeners.append(self._event)

    def load(self, name):
        """A service by its name. Raises AttributeError."""
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(name)
        module, class_name = home
        loaded = __import__("iothub.services." + module, None, None, (class_name,))
        return self.run(getattr(loaded, class_name)(self, self._identity))

    def run(self, service):
        """Subscribes a service to its answers, and returns it."""
        # Granted by an event, also if the session is online already.
        subscription = self._session.register(service.pattern, service.received, service.qos)
        self._running.append((service, subscription))
        return service

    def _event(self, what, detail):
        for service, subscription in self._running:
            try:
                if what == OFFLINE:
                    service.closed()
                elif what == ONLINE_AGAIN:
                    service.closed()  # nobody was told if stop() ended the last connection
                    if subscription.granted in (0, 1):  # by a session that was kept
                        service.connected()
                elif detail is subscription:
                    if what == FILTER_GRANTED:
                        service.connected()
                    elif what == FILTER_REFUSED:
                        self.report(SubscribeRefused("refused: " + service.pattern.decode()))
            except MemoryError as e:  # the other services, and the application, are told
                self.report(e)
        self.wake()

    # What services call

    def send(self, topic, payload):
        try:
            self._session.publish_nowait(topic, payload)
        except BadInput as e:  # too large for a packet
            self.report(e)
            return None
        except IoTHubError:
            return False
        return True

    def keep_time(self):
        if self._timer is None:
            self._timer = asyncio.create_task(self._keep_time())

    async def _keep_time(self):
        then_ms = ticks_ms()
        waiting = True
        try:
            while waiting:
                await asyncio.sleep_ms(SERVICE_TICK_MS)
                now_ms = ticks_ms()
                elapsed_ms = ticks_diff(now_ms, then_ms)
                then_ms = now_ms
                waiting = False
                for service, _ in self._running:
                    try:
                        if service.advance(elapsed_ms):
                            waiting = True
                    except MemoryError as e:  # what waits has its deadlines all the same
                        self.report(e)
                        waiting = True
        finally:
            self._timer = None

    async def until(self, condition, timeout_ms=DELIVERY_MS):
        try:
            await asyncio.wait_for_ms(self._when(condition), timeout_ms)
        except asyncio.TimeoutError:
            raise DeadlineError("the service did not answer in time", "service")

    async def _when(self, condition):
        while not condition():
            await self._changed.wait()

    def wake(self):
        self._changed.set()
        self._changed.clear()

    def report(self, error):
        what = SERVICE_FAILED if isinstance(error, IoTHubError) else HANDLER_FAILED
        self._session._tell(what, error)

    def random(self):
        return getrandbits(30)


join = Services
