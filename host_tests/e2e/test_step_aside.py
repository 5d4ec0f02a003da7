"""A session that makes room for another TLS exchange, against mosquitto."""

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from tools.bench.mosquitto import Mosquitto

pytestmark = requires("mosquitto")


def test_it_says_goodbye_stays_away_and_comes_back_with_what_was_queued(tmp_path):
    async def scenario() -> None:
        with Mosquitto(tmp_path) as broker:
            async with (
                Application(broker.port, "up") as app,
                DeviceProgram("aside_program.py", broker.host, broker.port) as device,
            ):
                await device.expect("stopped")
                heard = [payload.decode() for _, payload in await app.hears(7)]
                turns = [(f"before {turn}", f"while away {turn}") for turn in range(3)]
                assert heard == [text for pair in turns for text in pair] + ["end"]
                assert all(event["waiting"] for event in device.of("aside"))
                assert all(event["waiting"] for event in device.of("still aside"))
                # An exchange that is called off on its way does not keep it away.
                assert [event["away"] for event in device.of("called off")] == [True]
                reasons = [event["reason"] for event in device.of("offline")]
                assert reasons == ["stepped aside"] * 4

    run(scenario)
