"""Updates itself with the vendor's Python device SDK, unchanged, as its samples do. Not a test:
run by test_hub_vendor_ota.py inside the SDK's own environment; tells what it did as JSON lines.

Settings, a line of JSON: port, device_file, version, file, and stop_at, the bytes after which it
ends without a word, as in a power cut. The cloud's host names lead to the hub (vendor_cloud.py).
"""

import json
import os
import queue
import sys
import time

import vendor_cloud  # type: ignore[import-not-found]

TIMEOUT_S = 15
_PIECE_BYTES = 5000
settings = json.loads(sys.stdin.readline())
vendor_cloud.leads_here(lambda port: settings["port"])

from hub.hub import QcloudHub  # type: ignore[import-not-found]  # noqa: E402
from hub.services.ota.ota import Ota  # type: ignore[import-not-found]  # noqa: E402

tell = print


def say(**what):
    tell(json.dumps(what), flush=True)


sdk = QcloudHub(settings["device_file"], tls=False).hub
connected: queue.Queue = queue.Queue()
subscribed: queue.Queue = queue.Queue()
acknowledged: queue.Queue = queue.Queue()
answers: queue.Queue = queue.Queue()
sdk.registerMqttCallback(
    lambda present, code, data: connected.put(code),
    lambda code, data: None,
    lambda topic, qos, payload, data: None,
    lambda mid, data: acknowledged.put(mid),
    lambda qos, mid, data: subscribed.put(qos),
    lambda mid, data: None,
)
sdk.setReconnectInterval(4, 1)
sdk.connect()
assert connected.get(timeout=TIMEOUT_S) == 0
me = sdk.getProductID(), sdk.getDeviceName()
sdk.otaInit(*me, lambda topic, qos, payload, data: answers.put(payload))
subscribed.get(timeout=TIMEOUT_S)
sdk.otaReportVersion(*me, settings["version"])
say(answer=answers.get(timeout=TIMEOUT_S))
began_s = time.monotonic()
while not sdk.otaIsFetching(*me):
    if time.monotonic() - began_s > settings.get("patience_s", TIMEOUT_S):
        say(offered=False)
        os._exit(0)
    time.sleep(0.02)
size, _ = sdk.otaIoctlNumber(*me, Ota.OtaCmdType.IOT_OTAG_FILE_SIZE)
version, _ = sdk.otaIoctlString(*me, Ota.OtaCmdType.IOT_OTAG_VERSION, 32)
path = settings["file"]
offset = os.path.getsize(path) if os.path.exists(path) else 0
if offset:
    sdk.otaResetMd5(*me)
    with open(path, "rb") as stored:
        while piece := stored.read(_PIECE_BYTES):
            sdk.otaMd5Update(*me, piece)
started = sdk.otaDownloadStart(*me, offset, size)
say(offset=offset, size=size, version=version, started=started)
with open(path, "ab") as file:
    while started == 0 and not sdk.otaIsFetchFinished(*me):
        piece, count = sdk.otaFetchYield(*me, _PIECE_BYTES)
        if count <= 0:
            break
        file.write(piece)
        file.flush()
        if file.tell() >= settings.get("stop_at", size + 1):
            os._exit(0)
if started == 0:
    result, _ = sdk.otaIoctlNumber(*me, Ota.OtaCmdType.IOT_OTAG_CHECK_FIRMWARE)
    if result == 0:
        sdk.otaReportUpgradeSuccess(*me, None)
    say(checked=result)
# What was published is acknowledged: the version, and a result at QoS 1.
for _ in range(2):
    acknowledged.get(timeout=TIMEOUT_S)
time.sleep(0.2)
sdk.disconnect()
os._exit(0)
