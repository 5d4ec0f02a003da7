"""Unmodified umqtt.simple under the MicroPython interpreter, as a device of the hub."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from host_tests.peers.broker_servers import HubServer

ROOT = Path(__file__).parents[2]
UMQTT = ROOT / "firmware/lib/umqtt/simple.py"
MICROPYTHON = Path(sys.executable).with_name("micropython")
SCRIPT = """
import json, sys
from umqtt.simple import MQTTClient, MQTTException
login = json.loads(sys.stdin.readline())
found = []

def client(password):
    user_name, port = login["user_name"], login["port"]
    c = MQTTClient(login["client_id"], "127.0.0.1", port, user_name, password, 30)
    c.set_callback(lambda topic, payload: found.append((topic.decode(), payload.decode())))
    return c

try:
    client("00;hmacsha1").connect()
    refused = 0
except MQTTException as error:
    refused = error.args[0]
c = client(login["password"])
present = [c.connect(clean_session=False)]
c.subscribe(login["control"], qos=1)
c.subscribe(login["data"])
for number in range(20):
    c.publish(login["event"], str(number), qos=1)
c.publish(login["data"], "echo")
c.wait_msg()
c.ping()
c.wait_msg()
c.disconnect()
present.append(c.connect(clean_session=False))
print("ready")
sys.stdin.readline()
while len(found) < 4:
    c.wait_msg()
c.disconnect()
print(json.dumps({"refused": refused, "present": present, "found": found}))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", stored_interval_ms=5)
    yield server
    server.stop()


@pytest.mark.skipif(
    not UMQTT.exists(), reason="umqtt.simple is missing: python -m tools.fetch umqtt"
)
def test_umqtt_simple_is_a_device(hub):
    login = hub.new_device()
    settings = {
        "client_id": login.client_id,
        "port": hub.port,
        "user_name": login.user_name,
        "password": login.password,
    } | {name: login.topic(name) for name in ("control", "data", "event")}
    process = subprocess.Popen(
        [MICROPYTHON, "-c", SCRIPT],
        env={"MICROPYPATH": f"{UMQTT.parents[1]}:.frozen"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        first = process.stdout.readline()
        assert first == "ready\n", first + process.stderr.read()
        for number in range(3):
            hub.send(login.topic("control"), b"%d" % number, number % 2)
        output, errors = process.communicate("go\n", timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    seen = json.loads(output)
    assert seen["refused"] == 4
    assert seen["present"] == [0, 1]
    control = login.topic("control")
    assert seen["found"] == [[login.topic("data"), "echo"]] + [
        [control, str(number)] for number in range(3)
    ]
    recorded = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert [int(message["payload"]) for message in recorded] == list(range(20))
    shown = hub.call("GET", f"/products/{login.product_id}/devices/{login.device_name}")
    assert shown["unacknowledged"] == 0
