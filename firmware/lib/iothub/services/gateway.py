"""A gateway and its sub-devices: documents "拓扑关系管理" and "代理子设备上下线", PROTOCOL
section 11. Pure; see service.py. Each sub-device has a state:

    OFFLINE --online()--> COMING --0--> ONLINE --offline()--> LEAVING --0--> OFFLINE
    COMING, LEAVING --refused--> where it was before
    COMING, ONLINE --closed()--> LOST --connected()--> COMING
    ONLINE, LOST --unbound--> OFFLINE

An answer carries no mark of what it answers but its type and its devices, so there is one request
of a type at a time. A sub-device's topics belong to the gateway's connection while it is ONLINE.
"""

import binascii
import hashlib

from iothub.compat import const
from iothub.credentials import Identity, Secret
from iothub.errors import BadInput, IoTHubError, NotConnected, ServiceRefused
from iothub.loading import let_go
from iothub.services.codes import GATEWAY_SYSTEM
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
# Of one request, and of an acknowledgement that names them. 20 devices with the longest names and
# signatures stay below 6 KB.
_MAX_DEVICES = const(20)
_MAX_TRIES = const(3)  # to bring a sub-device back, and to publish for it
# The states before a request, until its answer, and after it; after a refusal, and when nobody
# knows the answer.
_COMES = (OFFLINE, COMING, ONLINE, OFFLINE, OFFLINE)
_COMES_BACK = (LOST, COMING, ONLINE, OFFLINE, LOST)
_LEAVES = (ONLINE, LEAVING, OFFLINE, ONLINE, ONLINE)
_LISTING = b""  # the key of an answer that is not about the sub-devices of its request


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
            for pattern in self._handlers:
                handler, qos = self._handlers[pattern]
                driver.subscribe(pattern, handler, qos)
        elif was_online:
            for pattern in self._handlers:
                driver.unsubscribe(pattern)
            driver.forbid(self.prefix)
        driver.wake()


class Gateway(Service):
    """`links` counts the connections so far, `unmatched` the answers nobody waits for."""

    links = 0
    unmatched = 0

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"$gateway/operation", b"$gateway/operation/result")
        self._sub_devices = {}
        self._requests = {}  # by type: {"PID/DN/" of a sub-device: result, None before it came}
        self._on_change = None
        self._on_search = None

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
        driver = self._driver
        if certificate is None:
            key = Secret(secret, "sub_device_secret").text
        elif digest in ("md5", "sha1"):
            key = binascii.hexlify(getattr(hashlib, digest)(certificate).digest())
        else:
            raise BadInput("digest", "must be md5 or sha1")
        await driver.until(lambda: driver.now_s() is not None)
        nonce = driver.random()
        now_s = driver.now_s()
        entry = _entry(sub_device)
        from iothub import signing  # seldom needed

        let_go("iothub.signing")
        # The SDKs' form; the documents print it without the second ";".
        message = b"%s;%d;%d" % (sub_device.client_id, nonce, now_s)
        raw = signing.hmac(signing.hmac_key(key, algorithm), message)
        entry["signature"] = binascii.b2a_base64(raw)[:-1].decode()
        entry["random"] = nonce
        entry["timestamp"] = now_s
        entry["signmethod"] = algorithm
        entry["authtype"] = "psk" if certificate is None else "certificate"
        _raise_refused("bind", await self._request("bind", [sub_device], [entry]))

    async def unbind(self, *sub_devices):
        """Unbinds sub-devices; they are offline then. Raises ServiceRefused with the code of one
        that was refused, when all were asked for; DeadlineError."""
        results: dict = {}
        try:
            await self._ask("unbind", sub_devices, results)
        finally:
            for sub_device in sub_devices:
                if results.get(sub_device.prefix) == 0:
                    self._unbound(sub_device)
        _raise_refused("unbind", results)

    async def online(self, *sub_devices):
        """Brings bound sub-devices online, and again after every reconnect. Raises as unbind();
        NotConnected: the link broke, and they follow on the next one."""
        for sub_device in sub_devices:
            self._sub_devices[sub_device.prefix] = sub_device
        await self._move("online", sub_devices, _COMES)

    async def offline(self, *sub_devices):
        """Takes sub-devices offline. Raises as unbind()."""
        await self._move("offline", sub_devices, _LEAVES)

    async def describe(self):
        """The Identity of every sub-device that is bound. Raises DeadlineError."""
        return (await self._request("describe_sub_devices", None))[_LISTING]

    # Requests

    async def _request(self, kind, sub_devices, entries=None):
        """{prefix: result} of the answer. Without `sub_devices` the request names none."""
        driver = self._driver
        requests = self._requests
        await driver.until(lambda: self.is_connected and kind not in requests)
        message: dict = {"type": kind}
        results: dict = {_LISTING: None}
        if sub_devices is not None:
            results = dict([(each.prefix, None) for each in sub_devices])
            message["payload"] = {"devices": entries or [_entry(each) for each in sub_devices]}
        requests[kind] = results
        try:
            self._send(message)
            await driver.until(
                lambda: requests.get(kind) is not results or None not in results.values(),
                GATEWAY_ANSWER_MS,
            )
            if requests.get(kind) is not results:
                raise NotConnected("the link broke; nobody knows the answer", "gateway")
        finally:
            if requests.get(kind) is results:
                del requests[kind]
            driver.wake()
        return results

    async def _ask(self, kind, sub_devices, results):
        """A request for each _MAX_DEVICES of them; `results` (a dict) takes the answers."""
        for i in range(0, len(sub_devices), _MAX_DEVICES):
            results.update(await self._request(kind, sub_devices[i : i + _MAX_DEVICES]))

    async def _move(self, kind, sub_devices, way):
        """Takes sub-devices along a `way` (see _COMES), those that are where it begins. Raises as
        unbind()."""
        start, through, end, refused, unknown = way
        moved = []
        for sub_device in sub_devices:
            if sub_device.state == LOST and start != LOST:
                sub_device.enter(OFFLINE)  # on its own wish, and not because the link broke
            if sub_device.state == start:
                sub_device.enter(through)
                moved.append(sub_device)
        results: dict = {}
        try:
            await self._ask(kind, moved, results)
        finally:
            for sub_device in moved:
                code = results.get(sub_device.prefix, GATEWAY_SYSTEM)
                if sub_device.state == through:  # else the link broke, or it was unbound
                    state = unknown if code == GATEWAY_SYSTEM else refused
                    sub_device.enter(state if code else end)
        _raise_refused(kind, results)

    async def _bring_back(self):
        links = self.links
        for _ in range(_MAX_TRIES):
            lost = [each for each in self._sub_devices.values() if each.state == LOST]
            if not lost or links != self.links:
                return
            try:
                await self._move("online", lost, _COMES_BACK)
            except IoTHubError as e:
                self._driver.report(e)

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
        if message is None:
            return None
        kind = message["type"]
        body = message["payload"] or {}
        if kind == "search_devices" or kind == "change":
            status = body.get("status")
            if type(status) is not int:
                self.malformed += 1
                return None
            if kind == "change":
                return self._change(status, self._entries(body))
            self._send({"type": kind, "payload": {"status": status, "result": 0}})
            return self._on_search(status) if self._on_search else None
        if kind == "unbind_all":
            self._send({"type": kind, "payload": {"result": 0}})
            return self._changed(False, list(self._sub_devices.values()))
        results = self._requests.get(kind)
        if results is None:
            self.unmatched += 1
        elif _LISTING in results:
            results[_LISTING] = [identity for identity, _ in self._entries(body)]
        else:
            for identity, result in self._entries(body):
                if identity.prefix in results and type(result) is int:
                    results[identity.prefix] = result
        self._driver.wake()
        return None

    # What the cloud says

    def _entries(self, body):
        """[(Identity, result)] of the devices of a message; a result is whatever is there."""
        found = []
        devices = body.get("devices")
        for entry in devices if isinstance(devices, list) else ():
            try:
                identity = Identity(entry["product_id"], entry["device_name"])
                found.append((identity, entry.get("result")))
            except (BadInput, KeyError, TypeError, AttributeError):
                self.malformed += 1
        return found

    def _change(self, status, entries):
        # The documents' acknowledgement and the C SDK's in one.
        message: dict = {"type": "change", "result": 0}
        identities = [identity for identity, _ in entries]
        if len(entries) <= _MAX_DEVICES:
            devices = [dict(_entry(identity), result=0) for identity in identities]
            message["payload"] = {"status": status, "devices": devices}
        self._send(message)
        return self._changed(status != 0, identities)

    def _changed(self, bound, identities):
        if not bound:
            for identity in identities:
                self._unbound(identity)
        return self._on_change(bound, identities) if self._on_change else None

    def _unbound(self, identity):
        sub_device = self._sub_devices.pop(identity.prefix, None)
        if sub_device is not None and sub_device.state != OFFLINE:
            sub_device.enter(OFFLINE)


def _entry(identity):
    return {"product_id": identity.product_id, "device_name": identity.device_name}


def _raise_refused(kind, results):
    for prefix in results:
        code = results[prefix]
        if code:
            reason = "%s of %s refused (%d)" % (kind, prefix[:-1].decode(), code)
            raise ServiceRefused(reason, "gateway", code)
