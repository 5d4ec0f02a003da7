"""The hub as a process: first start, commands, signals, a kill, and a restart."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from host_tests.peers.broker_client import RawClient
from host_tests.peers.broker_servers import client_certificate, signed_login, unsigned_login
from host_tests.peers.broker_wires import TlsWire

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 15


def hub_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tools.hub", *map(str, arguments)]


class Process:
    """`serve` on free ports and a data directory."""

    def __init__(self, data: Path, *options: object) -> None:
        self.data = data
        ready = data.with_name("ready.json")
        ready.unlink(missing_ok=True)
        self.output = data.with_name("output.txt")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                hub_command(
                    *("serve", "--mqtt-port", 0, "--api-port", 0, "--data", data),
                    *("--ready-file", ready),
                    *options,
                ),
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + TIMEOUT_S
        while not ready.exists():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.ready = json.loads(ready.read_text())

    def device(self, port_name: str = "mqtt_port"):
        settings = json.loads(Path(self.ready["device_file"]).read_text())
        assert settings["port"] == self.ready[port_name]
        names = ("product_id", "device_name", "device_secret")
        return signed_login(*(settings[name] for name in names)), settings

    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            hub_command(*arguments, "--data", self.data),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    def json(self, *arguments: object):
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(*options: object) -> Process:
        running.append(Process(tmp_path / "data", *options))
        return running[-1]

    yield begin
    for process in running:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(start, number):
    hub = start()
    login, _ = hub.device()
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login, clean=False)
        client.publish(login.topic("event"), b"x")
        assert hub.end(number) == 0
        assert client.wait_closed()
    assert "Traceback" not in hub.output.read_text()
    assert not (hub.data / "running.json").exists()


def test_first_start_writes_a_device_file_and_tells_no_secret(start):
    hub = start("--log-level", "debug", "--log-file", "/dev/stdout")
    login, settings = hub.device()
    assert set(settings) == {
        *("product_id", "device_name", "device_secret", "region"),
        *("host", "port", "transport", "ca", "http", "coap"),
    }
    assert stat.S_IMODE(os.stat(hub.ready["device_file"]).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(hub.data / "hub.db").st_mode) == 0o600
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login)
    assert hub.end() == 0
    printed = hub.output.read_text()
    assert login.client_id in printed and f"{login.topic('event')}" in printed
    assert settings["device_secret"] not in printed
    assert login.password.split(";")[0] not in printed


def test_sessions_and_records_survive_a_restart(start):
    hub = start()
    login, _ = hub.device()
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
    assert hub.run("publish", login.topic("control"), "later", "--qos", 1).stdout == "stored\n"
    assert hub.end() == 0
    hub = start()
    assert hub.device()[0].client_id == login.client_id
    with RawClient(hub.ready["mqtt_port"]) as client:
        assert client.connect(login, clean=False) == (0, True)
        assert client.message().payload == b"later"


def test_what_was_acknowledged_survives_a_kill(start):
    """PUBACK leaves after the commit, so SIGKILL right after it loses nothing."""
    hub = start("--quiet")
    login, _ = hub.device()
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        for number in range(1, 101):
            client.publish(login.topic("event"), b"%d" % number, packet_id=number)
        hub.end(signal.SIGKILL)
    hub = start("--quiet")
    with RawClient(hub.ready["mqtt_port"]) as client:
        assert client.connect(login, clean=False) == (0, True)
        assert client.is_open()
    kinds = [json.loads(line) for line in hub.run("events", "--json").stdout.splitlines()]
    published = [event["packet_id"] for event in kinds if event["kind"] == "publish_in"]
    assert published == list(range(1, 101))


def test_a_second_hub_on_the_same_data_is_refused(start):
    hub = start()
    done = subprocess.run(
        hub_command("--mqtt-port", 0, "--api-port", 0, "--data", hub.data),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1
    assert "another hub runs on" in done.stderr


def test_a_port_in_use_is_told(start, tmp_path):
    hub = start()
    for option in ("--mqtt-port", "--api-port"):
        ports = {"--mqtt-port": 0, "--api-port": 0}
        ports[option] = hub.ready[option[2:].replace("-", "_")]
        flat = [each for pair in ports.items() for each in pair]
        done = subprocess.run(
            hub_command("serve", *flat, "--data", tmp_path / "other"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 1
        assert str(ports[option]) in done.stderr and option in done.stderr
        assert "Traceback" not in done.stderr


def test_commands(start):
    hub = start("--no-sample", "--quiet")
    product = hub.json("product", "add", "lamps")
    product_id = product["product_id"]
    assert "secret" not in str(hub.json("product", "list"))
    device = hub.json("device", "add", product_id, "lamp-1")
    login = signed_login(product_id, "lamp-1", device["device_secret"])
    assert hub.json("topic", "add", product_id, "mode", "sub") == [
        {"topic": "mode", "permission": "sub"}
    ]
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login)
        client.subscribe((login.topic("mode"), 1))
        assert hub.json("publish", login.topic("mode"), "dim", "--qos", 1)["outcome"] == "sent"
        assert client.message().payload == b"dim"
        hub.json("fault", "arm", "suback_failure", "--device", f"{product_id}/lamp-1")
        assert client.subscribe((login.topic("mode"), 1)) == [0x80]
        assert hub.json("device", "show", product_id, "lamp-1")["online"] is True
        hub.json("device", "disable", product_id, "lamp-1")
        assert client.wait_closed()
    assert [row["enabled"] for row in hub.json("device", "list", product_id)] == [False]
    hub.json("device", "enable", product_id, "lamp-1")
    hub.json("topic", "remove", product_id, "mode")
    assert [row["topic"] for row in hub.json("topic", "list", product_id)] == [
        *("event", "control", "data")
    ]
    assert hub.json("clock", 60)["offset_s"] == 60
    assert hub.json("health")["clock_offset_s"] == 60
    assert "lamp-1" in hub.run("events", "--device", f"{product_id}/lamp-1").stdout
    assert hub.run("fault", "list").returncode == 0
    assert hub.run("fault", "clear").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("product", "add", "lamps"), "lamps"),
        (("device", "add", "NOSUCHPROD", "x"), "NOSUCHPROD"),
        (("publish", "PRODUCTID1/x/control", "y"), "PRODUCTID1"),
        (("fault", "arm", "delay", "--set", "x=1"), "x"),
    ],
)
def test_commands_that_fail_say_why(start, arguments, words):
    hub = start("--no-sample", "--quiet")
    hub.json("product", "add", "lamps")
    done = hub.run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("hub: ") and words in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_without_a_hub_say_how_to_start_one(tmp_path):
    done = subprocess.run(
        hub_command("product", "list", "--data", tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1
    assert "start one with" in done.stderr


def test_login_signs_for_any_client(start):
    hub = start()
    done = subprocess.run(
        hub_command("login", hub.ready["device_file"], "--shell"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    fields = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    login, _ = hub.device()
    pasted = login._replace(
        user_name=fields["USER_NAME"].strip("'"), password=fields["PASSWORD"].strip("'")
    )
    with RawClient(hub.ready["mqtt_port"]) as client:
        assert client.connect(pasted) == (0, False)


def test_a_certificate_device_by_commands(start):
    hub = start("--no-sample", "--quiet")
    product = hub.json("product", "add", "certified", "--auth", "cert")["product_id"]
    done = hub.run("device", "add", product, "dev01", "--key", "ec")
    assert done.returncode == 0, done.stderr
    folder = hub.data.resolve() / "devices" / product / "dev01"
    # A table may break the line; what matters is that the path is told and the key is not.
    assert str(folder) in done.stdout.replace("\n", "")
    assert "PRIVATE KEY" not in done.stdout
    settings = json.loads((folder / "device.json").read_text())
    assert (settings["port"], settings["transport"]) == (hub.ready["tls_port"], "tls")
    assert settings["ca"] == str(hub.data.resolve() / "ca/ca.der")
    fields = hub_command("login", folder / "device.json", "--shell")
    shell = subprocess.run(fields, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert "export PASSWORD=any" in shell.stdout
    login = unsigned_login(product, "dev01")
    authority = (hub.data / "ca/ca.pem").read_text()
    wire = TlsWire(hub.ready["tls_port"], authority, client_certificate(str(folder)))
    with RawClient(wire) as client:
        assert client.connect(login) == (0, False)


def test_the_sample_connects_by_the_transport_that_was_asked_for(start):
    hub = start("--quiet", "--device-transport", "wss")
    _, settings = hub.device("wss_port")
    assert (settings["transport"], settings["websocket_path"]) == ("wss", "/mqtt")
    assert hub.end() == 0
    hub = start("--quiet")
    _, settings = hub.device("wss_port")
    assert settings["transport"] == "wss", "a later start keeps what the file says"


def test_watch_shows_messages_until_the_hub_ends(start):
    hub = start("--quiet")
    login, _ = hub.device()
    watch = subprocess.Popen(
        hub_command("watch", "--json", "--data", hub.data),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout
    with RawClient(hub.ready["mqtt_port"]) as client:
        client.connect(login)
        deadline = time.monotonic() + TIMEOUT_S
        os.set_blocking(watch.stdout.fileno(), False)
        line = ""
        while not line:
            assert time.monotonic() < deadline
            client.publish(login.topic("event"), b"seen")
            time.sleep(0.1)
            line = watch.stdout.readline()
    assert json.loads(line)["payload"] == "seen"
    assert hub.end() == 0
    assert watch.wait(TIMEOUT_S) == 0
    watch.stdout.close()


def test_ready_fd(tmp_path):
    reading, writing = os.pipe()
    process = subprocess.Popen(
        hub_command(
            *("serve", "--quiet", "--mqtt-port", 0, "--api-port", 0),
            *("--data", tmp_path / "data", "--ready-fd", writing),
        ),
        cwd=ROOT,
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as stream:
        ready = json.loads(stream.readline())
        assert ready["pid"] == process.pid and ready["mqtt_port"] > 0
    process.terminate()
    assert process.wait(TIMEOUT_S) == 0
