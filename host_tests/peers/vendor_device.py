"""Runs the vendor's Python device SDK, unchanged, against the local hub. Not a test: run by
test_hub_vendor.py inside the SDK's own environment; tells what it saw as one JSON line.

The SDK knows the cloud's host names and ports only. Here they lead to the hub, as they would by a
hosts file and a redirected port; everything above the address is the SDK's own.
"""

import json
import queue
import socket
import sys
import threading

TIMEOUT_S = 15
settings = json.loads(sys.stdin.readline())
resolve = socket.getaddrinfo


def resolve_cloud(host, port, *options, **named):
    if host.endswith(".tencentdevices.com"):
        host, port = "127.0.0.1", settings["ports"][str(port)]
    return resolve(host, port, *options, **named)


socket.getaddrinfo = resolve_cloud

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
