"""Code for a moment is gone after it, wherever nothing else shows that."""

import json

import pytest

from host_tests.e2e.device_program import run_text
from host_tests.e2e.let_go import WEIGHED
from host_tests.e2e.test_timekeeper import CONFIG

MOMENTS = {
    "signing for IoT MQ": (
        """
from iothub.net import iotmq
kept = iotmq.session("127.0.0.1", "12345", "mqtt-1", "id", "key", "client")
""",
        {"text_signing", "signing"},
    ),
    "logging in at the REPL": (
        """
from iothub.net import repl
kept = repl.Console(loading.for_now("iothub.config").load("device.json"))
""",
        {"config", "regions", "net.access", "signing"},
    ),
    "asking for the time": (
        """
import asyncio
from iothub import port, timeouts
timeouts.SNTP_MS = 1
from iothub.net import rtc
port.rtc_unix_s = lambda: 0
kept = rtc.TimedNetwork(None, "127.0.0.1", port)
asyncio.run(kept.up())
""",
        {"net.sntp", "net.transport"},
    ),
    "opening a WebSocket": (
        """
import binascii, hashlib
from iothub.net.websocket import WebSocketStream

class Server:
    answer = b""
    def write(self, data):
        key = data[data.index(b"Key: ") + 5 : -4]
        proof = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        proof = binascii.b2a_base64(proof)[:-1]
        self.answer = b"HTTP/1.1 101 x\\r\\nSec-WebSocket-Protocol: mqtt\\r\\n"
        self.answer += b"Sec-WebSocket-Accept: " + proof + b"\\r\\n\\r\\n"
        return len(data)
    def read(self, size):
        byte, self.answer = self.answer[:size], self.answer[size:]
        return byte

kept = WebSocketStream(Server(), "127.0.0.1", 80, "/")
assert held() == 1
while not kept.step():
    pass
""",
        {"net.websocket_opening"},
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_its_code_is_given_back(tmp_path, moment):
    text, expected = MOMENTS[moment]
    fields = {name: value for name, value in CONFIG.items() if name != "host"}
    (tmp_path / "device.json").write_text(json.dumps(fields))
    told = "import json\nprint(json.dumps([weighed, held()]))\n"
    weighed, held = run_text(WEIGHED + text + told, tmp_path)
    assert {*weighed} >= {"iothub." + name for name in expected}
    assert held == 0
