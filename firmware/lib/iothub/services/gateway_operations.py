"""What a Gateway does when it asks the cloud or is told something: functions of one, by the states
in gateway.py.

An answer carries no mark of what it answers but its type and its devices, so there is one request
of a type at a time.
"""

import binascii
import hashlib

from iothub.compat import const
from iothub.credentials import Identity, Secret
from iothub.errors import BadInput, IoTHubError, NotConnected, ServiceRefused
from iothub.loading import for_now
from iothub.services.codes import GATEWAY_SYSTEM
from iothub.services.gateway import COMING, LEAVING, LOST, OFFLINE, ONLINE
from iothub.timeouts import GATEWAY_ANSWER_MS

# Of one request, and of an acknowledgement that names them. 20 devices with the longest names and
# signatures stay below 6 KB.
_MAX_DEVICES = const(20)
_MAX_TRIES = const(3)  # to bring sub-devices back
# The states before a request, until its answer, and after it; after a refusal, and when nobody
# knows the answer.
_COMES = (OFFLINE, COMING, ONLINE, OFFLINE, OFFLINE)
_COMES_BACK = (LOST, COMING, ONLINE, OFFLINE, LOST)
_LEAVES = (ONLINE, LEAVING, OFFLINE, ONLINE, ONLINE)
_LISTING = b""  # the key of an answer that is not about the sub-devices of its request

# What an application calls: see Gateway


async def bind(gateway, sub_device, secret, certificate, algorithm, digest):
    driver = gateway._driver
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
    signing = for_now("iothub.signing")
    # The SDKs' form; the documents print it without the second ";".
    message = b"%s;%d;%d" % (sub_device.client_id, nonce, now_s)
    raw = signing.hmac(signing.hmac_key(key, algorithm), message)
    entry["signature"] = binascii.b2a_base64(raw)[:-1].decode()
    entry["random"] = nonce
    entry["timestamp"] = now_s
    entry["signmethod"] = algorithm
    entry["authtype"] = "psk" if certificate is None else "certificate"
    _raise_refused("bind", await _request(gateway, "bind", [sub_device], [entry]))


async def unbind(gateway, sub_devices):
    results: dict = {}
    asked: list = []
    for sub_device in sub_devices:
        if sub_device not in asked:  # what is named twice would be refused the second time
            asked.append(sub_device)
    try:
        await _ask(gateway, "unbind", asked, results)
    finally:
        for sub_device in sub_devices:
            if results.get(sub_device.prefix) == 0:
                _unbound(gateway, sub_device)
    _raise_refused("unbind", results)


async def online(gateway, sub_devices):
    for sub_device in sub_devices:
        gateway._sub_devices[sub_device.prefix] = sub_device
    await _move(gateway, "online", sub_devices, _COMES)


async def offline(gateway, sub_devices):
    await _move(gateway, "offline", sub_devices, _LEAVES)


async def describe(gateway):
    return (await _request(gateway, "describe_sub_devices", None))[_LISTING]


# Requests


async def _request(gateway, kind, sub_devices, entries=None):
    """{prefix: result} of the answer. Without `sub_devices` the request names none."""
    driver = gateway._driver
    requests = gateway._requests

    def has_turn():
        return gateway.is_connected and kind not in requests

    while not has_turn():  # until() returns later, when another may have taken it
        await driver.until(has_turn)
    message: dict = {"type": kind}
    results: dict = {_LISTING: None}
    if sub_devices is not None:
        results = dict([(each.prefix, None) for each in sub_devices])
        message["payload"] = {"devices": entries or [_entry(each) for each in sub_devices]}
    requests[kind] = results
    try:
        gateway._send(message)
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


async def _ask(gateway, kind, sub_devices, results):
    """A request for each _MAX_DEVICES of them; `results` (a dict) takes the answers."""
    for i in range(0, len(sub_devices), _MAX_DEVICES):
        results.update(await _request(gateway, kind, sub_devices[i : i + _MAX_DEVICES]))


async def _move(gateway, kind, sub_devices, way):
    """Takes sub-devices along a `way` (see _COMES), those that are where it begins. Raises as
    Gateway.unbind()."""
    start, through, end, refused, unknown = way

    def are_settled():
        return not [each for each in sub_devices if each.state in (COMING, LEAVING)]

    while not are_settled():  # what was asked for before is not to have the last word
        await gateway._driver.until(are_settled)
    moved = []
    for sub_device in sub_devices:
        if sub_device.state == LOST and start != LOST:
            sub_device.enter(OFFLINE)  # on its own wish, and not because the link broke
        if sub_device.state == start:
            sub_device.enter(through)
            moved.append(sub_device)
    results: dict = {}
    try:
        await _ask(gateway, kind, moved, results)
    finally:
        for sub_device in moved:
            code = results.get(sub_device.prefix, GATEWAY_SYSTEM)
            if sub_device.state == through:  # else the link broke, or it was unbound
                state = unknown if code == GATEWAY_SYSTEM else refused
                sub_device.enter(state if code else end)
    _raise_refused(kind, results)


async def bring_back(gateway):
    """Those that were online on the connection before."""
    links = gateway.links
    for _ in range(_MAX_TRIES):
        lost = gateway._lost()
        if not lost or links != gateway.links:
            return
        try:
            await _move(gateway, "online", lost, _COMES_BACK)
        except IoTHubError as e:
            gateway._driver.report(e)


# What the cloud says


def received(gateway, message):
    """Takes what Service._message() made of a message, and returns what a handler did."""
    kind = message["type"]
    body = message["payload"] or {}
    if kind == "search_devices" or kind == "change":
        status = body.get("status")
        if type(status) is not int:
            gateway.malformed += 1
            return None
        if kind == "change":
            return _change(gateway, status, _entries(gateway, body))
        gateway._send({"type": kind, "payload": {"status": status, "result": 0}})
        return gateway._on_search(status) if gateway._on_search else None
    if kind == "unbind_all":
        gateway._send({"type": kind, "payload": {"result": 0}})
        return _changed(gateway, False, list(gateway._sub_devices.values()))
    results = gateway._requests.get(kind)
    if results is None:
        gateway.unmatched += 1
    elif _LISTING in results:
        results[_LISTING] = [identity for identity, _ in _entries(gateway, body)]
    else:
        for identity, result in _entries(gateway, body):
            if identity.prefix in results and type(result) is int:
                results[identity.prefix] = result
    gateway._driver.wake()
    return None


def _entries(gateway, body):
    """[(Identity, result)] of the devices of a message; a result is whatever is there."""
    found = []
    devices = body.get("devices")
    for entry in devices if isinstance(devices, list) else ():
        try:
            identity = Identity(entry["product_id"], entry["device_name"])
            found.append((identity, entry.get("result")))
        except (BadInput, KeyError, TypeError, AttributeError):
            gateway.malformed += 1
    return found


def _change(gateway, status, entries):
    # The documents' acknowledgement and the C SDK's in one.
    message: dict = {"type": "change", "result": 0}
    identities = [identity for identity, _ in entries]
    if len(entries) <= _MAX_DEVICES:
        devices = [dict(_entry(identity), result=0) for identity in identities]
        message["payload"] = {"status": status, "devices": devices}
    gateway._send(message)
    return _changed(gateway, status != 0, identities)


def _changed(gateway, bound, identities):
    if not bound:
        for identity in identities:
            _unbound(gateway, identity)
    return gateway._on_change(bound, identities) if gateway._on_change else None


def _unbound(gateway, identity):
    sub_device = gateway._sub_devices.pop(identity.prefix, None)
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
