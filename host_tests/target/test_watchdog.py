"""The library's watchdog (port/watchdog.py) on the emulated Pico W."""

import pytest

from host_tests.conftest import requires
from tools.pico import BoardError, EmulatedPico, EmulatorError, flash_image
from tools.size.library_files import library_files

pytestmark = requires("node", "npm")

_FED_THEN_HUNGRY = """
port.watch(8388)
port.watch(400)
for _ in range(10):
    time.sleep_ms(100)
    port.feed()
print("alive")
while True:
    pass
"""


def test_it_takes_what_the_chip_can_count_and_resets_what_does_not_feed_it(tmp_path):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flash_image(library_files()))
    with EmulatedPico(flash=flash) as board:
        board.exec("from iothub import port\nimport machine, time")
        for timeout_ms in (8389, 0):
            with pytest.raises(BoardError, match=r"BadInput.*watchdog: timeout"):
                board.exec(f"port.watch({timeout_ms})")
        board.exec("port.feed()")  # nothing watches yet
        with pytest.raises(EmulatorError, match=r"not finished after 3 s.*b'alive"):
            board.exec(_FED_THEN_HUNGRY, timeout_s=3)
        board.wait_for_reset()
        cause = board.exec("import machine; print(machine.reset_cause() == machine.WDT_RESET)")
        assert cause == b"True\r\n"
