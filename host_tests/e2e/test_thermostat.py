"""The sample application by itself: what commands can do to it."""

import pytest

from host_tests.e2e.device_program import ROOT, run_text

PROGRAM = """
import asyncio, json, sys
sys.path.append(sys.argv[1])
from app.thermostat import Thermostat

class Device:
    settings = {"interval_ms": 50}
    acknowledged = 0
    published = 0

    class clock:
        now_ms = staticmethod(lambda: 0)

    def on_command(self, handler):
        pass

    async def publish(self, name, payload, qos, wait):
        if json.loads(payload)["kind"] == "reading":
            self.published += 1

async def main():
    device = Device()
    thermostat = Thermostat(device)
    await thermostat.command(b"", sys.argv[2].encode())
    running = asyncio.create_task(thermostat.run(lambda: None))
    for _ in range(100):
        if device.published > 1 or running.done():
            break
        await asyncio.sleep_ms(20)
    print(json.dumps(device.published > 1))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "command",
    ['{"interval_ms": 50.5}', '{"interval_ms": "50"}', '{"target": 5.5}', "[]", "5", "{"],
)
def test_no_command_ends_the_readings(tmp_path, command):
    assert run_text(PROGRAM, tmp_path, str(ROOT / "firmware"), command) is True
