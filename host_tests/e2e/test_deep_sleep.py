"""firmware/examples/deep_sleep.py, wake after wake, against a hub that is there or not. Each run
of the program is one wake: on the desk it ends where a board would sleep."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from host_tests.e2e.scenario import run
from tools.hub import Hub, HubConfig

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
EXAMPLE = ROOT / "firmware/examples/deep_sleep.py"
EVERY_S = 900
# A wake without a hub would last a minute.
SHORT = "from iothub import timeouts; timeouts.AWAKE_MS = 1000; "
WAKE_LIMIT_S = 20
DEADLINE_S = 60.0


def wake(folder: Path, short: bool = False) -> tuple[int, list[str]]:
    """(the seconds it sleeps, what it said before)."""
    program = SHORT if short else ""
    done = subprocess.run(
        [MICROPYTHON, "-c", program + f"exec(open({str(EXAMPLE)!r}).read())"],
        cwd=folder,
        env={"MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WAKE_LIMIT_S,
    )
    *said, last = done.stdout.splitlines()
    asleep = re.fullmatch(r"asleep for (\d+) s", last)
    assert done.returncode == 0 and asleep, done.stdout
    return int(asleep[1]), said


def configure(folder: Path, hub: Hub, device: Any, **fields: Any) -> None:
    login = {
        "product_id": device.identity.product_id,
        "device_name": device.identity.device_name,
        "device_secret": device.secret,
        "host": "127.0.0.1",
        "port": hub.mqtt_port,
        "transport": "tcp",
    }
    (folder / "device.json").write_text(json.dumps(login | fields))


def test_it_wakes_tells_and_sleeps_and_longer_while_nobody_answers(tmp_path):
    async def whole() -> None:
        config = HubConfig(mqtt_port=0, api_port=0, http_port=0)
        async with Hub(config) as hub:
            product = hub.registry.add_product("meters")
            device = hub.registry.add_device(product.product_id, "meter")
            configure(tmp_path, hub, device)
            for _ in range(2):
                assert await asyncio.to_thread(wake, tmp_path) == (EVERY_S, ["published"])
            hub.store.flush()
            topic = f"{device.identity.path}/event"
            heard = hub.store.query("SELECT qos FROM message WHERE topic = ?", (topic,))
            assert [tuple(row) for row in heard] == [(1,), (1,)]
        journals = tmp_path / "state"
        assert not list(journals.glob("sleep.*")), "a healthy device writes nothing"
        sleeps = []
        for failures in range(1, 4):
            seconds, said = await asyncio.to_thread(wake, tmp_path, True)
            assert [line for line in said if "this wake failed: " in line], said
            # At most so much longer, by chance.
            assert EVERY_S <= seconds <= EVERY_S + EVERY_S * 2 ** (failures - 1)
            sleeps.append(seconds)
        assert len(set(sleeps)) > 1, "chance spreads them"
        async with Hub(HubConfig(mqtt_port=0, api_port=0, http_port=0)) as hub:
            product = hub.registry.add_product("meters")
            device = hub.registry.add_device(product.product_id, "meter")
            configure(tmp_path, hub, device)
            assert await asyncio.to_thread(wake, tmp_path) == (EVERY_S, ["published"])
        # Forgotten: the next failure is the first again.
        assert (await asyncio.to_thread(wake, tmp_path, True))[0] <= 2 * EVERY_S

    run(whole, DEADLINE_S)
