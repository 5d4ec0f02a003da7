"""A thousand devices after a hub restart come back spread as the backoff's full jitter promises:
in virtual time with the firmware's engine, and with real connections to a real hub."""

import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from iothub import loading
from iothub.mqtt import engine as mqtt
from iothub.mqtt.backoff import Backoff
from iothub.store.queue import RamQueue

from host_tests.e2e.scenario import run, until
from host_tests.faults.arrivals import MAX_DISTANCE, Arrivals
from host_tests.faults.fleet import Fleet, make_accounts
from host_tests.faults.virtual_device import VirtualDevice
from host_tests.faults.virtual_ledger import Ledger
from host_tests.faults.virtual_link import Link
from host_tests.faults.virtual_server import VirtualServer
from host_tests.faults.virtual_time import Agenda

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 1000
OUTAGES_S = (5, 10, 30, 120, 900)
LONG_OUTAGE_S = 120  # from here on every device waits by the last ceiling
# A hub on a port of one's choice takes the usual ones for the rest, which others may have.
OTHER_LISTENERS = ("tls", "ws", "wss", "cloud", "http", "https", "coap")
_STABLE_S = 60  # long enough online that the backoff begins anew
SEED = 20240104


@pytest.fixture(scope="module", autouse=True)
def _code_stays_loaded():
    """What a device loads for a moment would be loaded for each of thousands of logins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "let_go", lambda name: None)
        yield


class RestartingServer(VirtualServer):
    """A network that leads to one server, which listens or does not."""

    def __init__(self, agenda: Agenda, seed: int) -> None:
        super().__init__(Ledger(1))
        self.listens = True
        self.links: list[Link] = []
        self._agenda = agenda
        self._random = random.Random(seed)

    def connect(self, device: VirtualDevice, attempt: int) -> None:
        latency_ms = self._random.randrange(10, 200)
        if not self.listens:
            self._agenda.after(latency_ms, device.failed, attempt)
            return
        link = Link(self._agenda, latency_ms, device)
        self.accept(link)
        self.links.append(link)
        self._agenda.after(latency_ms, device.opened, link, attempt)

    def stop(self) -> None:
        self.listens = False
        for link in self.links:
            link.reset()
        self.links.clear()


class Watcher:
    """The application of all devices: notes when one has logged in."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.online_ms: list[int] = []

    def changed(self, what: int, detail: object) -> None:
        if what == mqtt.ONLINE_AGAIN:
            self.online_ms.append(self._agenda.now_ms)


class NoJitter(Backoff):
    """Doubles, and that is all."""

    def next_ms(self):
        super().next_ms()
        return self._ceiling_ms // 2


class GivesUp(Backoff):
    """Doubles without end."""

    def next_ms(self):
        self._last_ms *= 2
        return super().next_ms()


def virtual_arrivals(outage_s: int, backoff_class: type[Backoff] = Backoff) -> Arrivals:
    agenda = Agenda()
    server = RestartingServer(agenda, SEED)
    watcher = Watcher(agenda)
    dice = random.Random(SEED + outage_s)

    class Device(VirtualDevice):
        pass

    Device.backoff_class = backoff_class
    for i in range(DEVICES):
        Device(agenda, server, dice.randrange, b"device%d" % i, b"down", RamQueue, watcher)
    agenda.run_until(_STABLE_S * 1000)
    assert len(watcher.online_ms) == DEVICES
    server.stop()
    watcher.online_ms.clear()
    back_ms = agenda.now_ms + outage_s * 1000
    agenda.run_until(back_ms)
    server.listens = True
    agenda.run_until(back_ms + 300_000)
    return Arrivals(outage_s, [(online_ms - back_ms) / 1000 for online_ms in watcher.online_ms])


@pytest.mark.parametrize("outage_s", OUTAGES_S)
def test_a_simulated_fleet_comes_back_spread(outage_s):
    arrivals = virtual_arrivals(outage_s)
    print(arrivals)
    assert len(arrivals.at_s) == DEVICES
    arrivals.check()
    if outage_s >= LONG_OUTAGE_S:
        print(f"distance to the law {arrivals.distance_to_law():.3f}")
        assert arrivals.distance_to_law() <= MAX_DISTANCE


@pytest.mark.parametrize("backoff_class", [NoJitter, GivesUp])
def test_a_fleet_that_comes_back_otherwise_is_found(backoff_class):
    with pytest.raises(AssertionError):
        virtual_arrivals(LONG_OUTAGE_S, backoff_class).check()


class HubProcess:
    """`serve` on a data directory, always on the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._ready = data.with_name("ready.json")
        self.port = 0
        self.start()

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        with self._data.with_name("hub.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tools.hub", "serve", "--no-sample"),
                    *("--mqtt-port", str(self.port), "--api-port", "0"),
                    *(f"--{name}-port=0" for name in OTHER_LISTENERS),
                    *("--data", str(self._data), "--ready-file", str(self._ready)),
                ],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        give_up_s = time.monotonic() + 15
        while not self._ready.exists():
            assert self._process.poll() is None and time.monotonic() < give_up_s, "no hub"
            time.sleep(0.02)
        self.port = json.loads(self._ready.read_text())["mqtt_port"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(15)


def test_a_thousand_connections_come_back_to_a_restarted_hub(tmp_path, sweep_full):
    # The same at a fifth of all waits, unless there is time.
    scale, outage_s = (1.0, 30.0) if sweep_full else (0.2, 6.0)

    async def scenario() -> None:
        accounts = await make_accounts(tmp_path / "data", DEVICES)
        hub = HubProcess(tmp_path / "data")
        try:
            async with Fleet(accounts, hub.port, SEED, scale) as fleet:
                await until(lambda: fleet.online == DEVICES, 60)
                await asyncio.to_thread(hub.stop)
                await until(lambda: fleet.online == 0)
                fleet.begin()
                lost_s = time.monotonic()
                await asyncio.sleep(outage_s)
                await asyncio.to_thread(hub.start)
                back_s = time.monotonic()
                await until(lambda: fleet.online == DEVICES, 90 * scale + 10)
                # MQTT is served before the hub says that all of it is ready.
                back_s = min(back_s, *fleet.arrived_s)
                at_s = [arrived_s - back_s for arrived_s in fleet.arrived_s]
                arrivals = Arrivals(back_s - lost_s, at_s, scale)
                print(f"{arrivals}; {fleet.attempts} attempts; waits times {scale}")
                assert len(at_s) == DEVICES and not fleet.refused
                assert fleet.sessions_present == DEVICES
                arrivals.check()
        finally:
            hub.stop()

    run(scenario, 240)
