"""Runs the services of the vendor's Python device SDK, unchanged, as told line by line. Not a
test: run by test_hub_vendor_services.py inside the SDK's own environment.

The first line is settings; each further one is {"call": method, "arguments": [...]} and is
answered by {"returned": ...}. What the SDK hears is told as {"heard": topic, "payload": ...}. The
cloud's host names lead to the hub (vendor_cloud.py).
"""

import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import vendor_cloud  # type: ignore[import-not-found]

TIMEOUT_S = 15
settings = json.loads(sys.stdin.readline())
vendor_cloud.leads_here(lambda port: settings["port"])

from hub.hub import QcloudHub  # type: ignore[import-not-found]  # noqa: E402


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")  # in one: the SDK's threads tell, too
    sys.stdout.flush()


sdk = QcloudHub(settings["device_file"], tls=False).hub
connected: queue.Queue = queue.Queue()
subscribed: queue.Queue = queue.Queue()
identity = sdk.getProductID(), sdk.getDeviceName()


def heard(topic, qos, payload, userdata):
    say(heard=topic, payload=payload)


def called(topic, qos, payload, userdata):
    heard(topic, qos, payload, userdata)
    sdk.rrpcReply(*identity, {"echo": payload}, 0)


class Property:
    """As the SDK's samples describe a value."""

    def __init__(self, key, data, kind):
        self.key, self.data, self.type = key, data, kind


def report(*properties):
    document = sdk.shadowJsonConstructReport(*identity, *(Property(*each) for each in properties))
    return sdk.shadowUpdate(*identity, document, 0)


def clear_desired():
    return sdk.shadowUpdate(*identity, sdk.shadowJsonConstructDesireAllNull(*identity), 0)


def bind_list():
    rc, devices = sdk.gatewaySubdevGetBindList(*identity)
    return [rc, [[each.product_id, each.device_name] for each in devices]]


def listen(topic):
    sdk.registerUserCallback(topic, heard)
    return sdk.subscribe(topic, 1)


OWN: dict[str, Callable[..., Any]] = {
    "shadow": lambda: sdk.shadowInit(*identity, heard),
    "get_shadow": lambda: sdk.getShadow(*identity),
    "rrpc": lambda: sdk.rrpcInit(*identity, called),
    "broadcast": lambda: sdk.broadcastInit(*identity, heard),
    "report": report,
    "clear_desired": clear_desired,
    "bind_list": bind_list,
    "listen": listen,
}
# Those return when the subscription was sent; what follows waits until it stands.
SUBSCRIBING = ("shadow", "rrpc", "broadcast", "gatewayInit", "listen")

sdk.registerMqttCallback(
    lambda present, code, data: connected.put(code),
    lambda code, data: None,
    heard,
    lambda mid, data: None,
    lambda qos, mid, data: subscribed.put(qos),
    lambda mid, data: None,
)
sdk.setReconnectInterval(4, 1)
sdk.connect()
say(returned=connected.get(timeout=TIMEOUT_S))
for line in sys.stdin:
    command = json.loads(line)
    name = command["call"]
    returned = (OWN.get(name) or getattr(sdk, name))(*command["arguments"])
    if name in SUBSCRIBING:
        returned = [returned[0], subscribed.get(timeout=TIMEOUT_S)]
    say(returned=returned)
