"""Runs the vendor's Python device SDK, unchanged, against the local hub. Not a test: run by
test_hub_vendor.py inside the SDK's own environment; tells what it saw as one JSON line.

The cloud's host names and ports lead to the hub (vendor_cloud.py).
"""

import json
import queue
import sys
import threading

import vendor_cloud  # type: ignore[import-not-found]

TIMEOUT_S = 15
settings = json.loads(sys.stdin.readline())
vendor_cloud.leads_here(lambda port: settings["ports"][str(port)])

from hub.hub import QcloudHub  # type: ignore[import-not-found]  # noqa: E402

path = settings["device_file"]
sdk = QcloudHub(path, tls=settings["tls"], useWebsocket=settings["websocket"]).hub
connected: queue.Queue = queue.Queue()
messages: queue.Queue = queue.Queue()
done = threading.Semaphore(0)
sdk.registerMqttCallback(
    lambda present, code, data: connected.put((present, code)),
    lambda code, data: None,
    lambda topic, qos, payload, data: messages.put((topic, payload)),
    lambda mid, data: done.release(),
    lambda qos, mid, data: done.release(),
    lambda mid, data: done.release(),
)
sdk.setReconnectInterval(4, 1)
sdk.connect()
seen = {"connected": connected.get(timeout=TIMEOUT_S)}
identity = "/".join((sdk.getProductID(), sdk.getDeviceName()))
sdk.registerUserCallback(
    identity + "/control", lambda topic, qos, payload, data: messages.put((topic, payload))
)
sdk.subscribe(identity + "/control", 1)
assert done.acquire(timeout=TIMEOUT_S)
for number in range(10):
    sdk.publish(identity + "/event", {"reading": number}, 1)
    assert done.acquire(timeout=TIMEOUT_S)
seen["time_ms"] = sdk.getNtpAccurateTime()
print("ready", flush=True)
seen["commands"] = [messages.get(timeout=TIMEOUT_S) for _ in range(3)]
sdk.disconnect()
print(json.dumps(seen), flush=True)
