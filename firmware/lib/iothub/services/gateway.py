"""A gateway and its sub-devices: documents "拓扑关系管理" and "代理子设备上下线", PROTOCOL
section 11. Pure; see service.py. Each sub-device has a state:

    OFFLINE --online()--> COMING --0--> ONLINE --offline()--> LEAVING --0--> OFFLINE
    COMING, LEAVING --refused--> where it was before
    COMING, ONLINE --closed()--> LOST --connected()--> COMING
    ONLINE, LOST --unbound--> OFFLINE

A sub-device's topics belong to the gateway's connection while it is ONLINE. This module has what
its messages need. What the cloud is asked (a handful of requests a connection) and what it says is
gateway_operations.py, which is loaded for that.
"""

from iothub.compat import const
from iothub.credentials import Identity
from iothub.errors import BadInput, DeadlineError, IoTHubError, NotConnected
from iothub.loading import for_now
from iothub.services.service import Service
from iothub.signing import SHA1
from iothub.timeouts import GATEWAY_ANSWER_MS
from iothub.topics import encode

OFFLINE = const(0)
COMING = const(1)
ONLINE = const(2)
LEAVING = const(3)
LOST = const(4)
_MAX_SUB_DEVICES = const(64)
_MAX_TRIES = const(3)  # to publish for a sub-device, and to load what brings them back


class SubDevice(Identity):
    """Made by Gateway.sub_device(). Its own topics are used through it."""

    state = OFFLINE

    def __init__(self, gateway, product_id, device_name):
        super().__init__(product_id, device_name)
        self._gateway = gateway
        self._handlers = {}

    @property
    def is_online(self):
        return self.state == ONLINE

    def topic(self, name):
        """The full topic (bytes) of a name such as "event"; "$..." stays as it is."""
        name = encode(name)
        return name if name.startswith(b"$") else self.prefix + name

    async def publish(self, name, payload, qos=1):
        """As Session.publish(), waiting for the acknowledgement at QoS 1. What may have been lost
        with a connection, before the cloud knew the sub-device on the next one, is sent again.
        Raises NotConnected if the sub-device is not to be online."""
        gateway = self._gateway
        driver = gateway._driver
        for _ in range(_MAX_TRIES):
            await driver.until(lambda: self.state == ONLINE or self.state == OFFLINE)
            if self.state == OFFLINE:
                break
            links = gateway.links
            await driver.publish(self.topic(name), payload, qos)
            if qos == 0 or links == gateway.links:
                return
        raise NotConnected("the sub-device is not online", "gateway")

    def on(self, name, qos=1):
        """Decorator: the handler for a topic or filter of this sub-device, while it is online."""

        def register(handler):
            pattern = self.topic(name)
            self._handlers[pattern] = handler, qos
            if self.state == ONLINE:
                self._gateway._driver.subscribe(pattern, handler, qos)
            return handler

        return register

    def enter(self, state):
        """For the gateway."""
        driver = self._gateway._driver
        was_online = self.state == ONLINE
        self.state = state
        if state == ONLINE:
            driver.allow(self.prefix)
        elif was_online:
            driver.forbid(self.prefix)
        for pattern in self._handlers:
            try:
                if state == ONLINE:
                    handler, qos = self._handlers[pattern]
                    driver.subscribe(pattern, handler, qos)
                elif was_online:
                    driver.unsubscribe(pattern)
            except (IoTHubError, MemoryError) as e:  # not to the harm of other topics and devices
                driver.report(e)
        driver.wake()


class Gateway(Service):
    """`links` counts the connections so far, `unmatched` the answers nobody waits for. Coroutines
    also raise LinkError or MemoryError, when the code for them cannot be loaded; then nothing was
    done."""

    links = 0
    unmatched = 0

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"$gateway/operation", b"$gateway/operation/result")
        self._sub_devices = {}
        self._requests = {}  # by type: {"PID/DN/" of a sub-device: result, None before it came}
        self._on_change = None
        self._on_search = None
        self._code = None  # gateway_operations.py, while something of it runs
        self._running = 0

    # What an application calls

    def sub_device(self, product_id, device_name):
        """The SubDevice of that name. Raises BadInput."""
        made = SubDevice(self, product_id, device_name)
        found = self._sub_devices.get(made.prefix)
        if found is None:
            if len(self._sub_devices) >= _MAX_SUB_DEVICES:
                raise BadInput("sub_device", "at most %d" % _MAX_SUB_DEVICES)
            found = self._sub_devices[made.prefix] = made
        return found

    def on_change(self, handler):
        """Decorator: `handler(bound, identities)`, plain or async, hears that the cloud bound
        sub-devices to this gateway or (`bound` false) unbound them."""
        self._on_change = handler
        return handler

    def on_search(self, handler):
        """Decorator: `handler(status)`: the cloud asks to begin (1) or end (0) a search."""
        self._on_search = handler
        return handler

    async def bind(self, sub_device, secret=None, certificate=None, algorithm=SHA1, digest="md5"):
        """Binds a sub-device, proved by its secret (str, as the console or registration gave it)
        or by its certificate (bytes of the file). The key is then the `digest` of the file in
        hex: "md5" as in the C SDK, "sha1" as in the documents. Raises ServiceRefused, BadInput,
        DeadlineError."""
        await self._run(
            self._load().bind(self, sub_device, secret, certificate, algorithm, digest)
        )

    async def unbind(self, *sub_devices):
        """Unbinds sub-devices; they are offline then. Raises ServiceRefused with the code of one
        that was refused, when all were asked for; DeadlineError."""
        await self._run(self._load().unbind(self, sub_devices))

    async def online(self, *sub_devices):
        """Brings bound sub-devices online, and again after every reconnect. Raises as unbind();
        NotConnected: the link broke, and they follow on the next one."""
        await self._run(self._load().online(self, sub_devices))

    async def offline(self, *sub_devices):
        """Takes sub-devices offline. Raises as unbind()."""
        await self._run(self._load().offline(self, sub_devices))

    async def describe(self):
        """The Identity of every sub-device that is bound. Raises DeadlineError."""
        return await self._run(self._load().describe(self))

    # What the driver calls

    def connected(self):
        super().connected()
        self.links += 1
        self._driver.spawn(self._bring_back())
        self._driver.wake()

    def closed(self):
        if self.is_connected:
            super().closed()
            self._requests.clear()
            for sub_device in self._sub_devices.values():
                if sub_device.state == LEAVING:
                    sub_device.enter(OFFLINE)
                elif sub_device.state in (COMING, ONLINE):
                    sub_device.enter(LOST)
            self._driver.wake()

    def received(self, topic, payload):
        message = self._message(payload)
        if message is not None:
            # What follows loads code, which takes more of the stack than is left here.
            self._driver.spawn(self._take(message))

    async def _take(self, message):
        try:
            result = self._load().received(self, message)
            if not self._running:
                self._code = None
            if hasattr(result, "send"):  # a handler's coroutine
                await result
        except Exception as e:
            self._driver.report(e)

    # The code of operations

    def _load(self):
        if self._code is None:
            self._code = for_now("iothub.services.gateway_operations")
        return self._code

    async def _run(self, operation):
        """Awaits a coroutine of that code, which the answers need as well."""
        self._running += 1
        try:
            return await operation
        finally:
            self._running -= 1
            if not self._running:
                self._code = None

    def _lost(self):
        lost = []
        for sub_device in self._sub_devices.values():
            if sub_device.state == LOST:
                lost.append(sub_device)
        return lost

    async def _bring_back(self):
        links = self.links
        for _ in range(_MAX_TRIES):
            if not self._lost():
                return
            try:
                await self._run(self._load().bring_back(self))
                return
            except (IoTHubError, MemoryError) as e:
                self._driver.report(e)
            try:
                await self._driver.until(lambda: links != self.links, GATEWAY_ANSWER_MS)
                return  # the next connection does it
            except DeadlineError:
                pass
