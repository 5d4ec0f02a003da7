"""`make pico`: the firmware boots from the emulated board's flash, logs in to the hub, runs."""

import asyncio
import re
import sys

from host_tests.conftest import requires
from host_tests.target.person import EXIT, person_at
from tools.emulated.__main__ import READINGS
from tools.emulated.stage import stage
from tools.emulated.terminal import terminal
from tools.repl.board import RunningBoard

pytestmark = requires("node", "npm")
TIMEOUT_S = 150


def test_the_transcript_shows_a_login_and_readings_and_the_repl_answers():
    with person_at([sys.executable, "-m", "tools.emulated"], TIMEOUT_S) as person:
        shown = person.sees(b"to exit this shell")
        person.sees(b"reading")  # the terminal is the shell's from here on, with its Ctrl-C
        person.types(b"\x03")
        person.sees(b">>> ")
        person.types(b"print(6 * 7)\r")
        person.sees(b"\n42")
        person.types(EXIT)
        assert person.sees_it_end() == 0
    for line in (
        r"board \| \[ *\d+\.\d{3}\] online",
        r"board \| \[ *\d+\.\d{3}\] clock set to 20\d\d-",
        r"board \| \[ *\d+\.\d{3}\] reading 2 on its way, \d acknowledged",
        rf"The hub has [{READINGS}-9] readings of \w+/pico-w\.",
    ):
        assert re.search(f"^{line}", shown, re.MULTILINE), shown


async def hear_and_interrupt() -> None:
    async with stage() as made:
        for _ in range(TIMEOUT_S):
            if await made.cloud.messages(made.device):
                break
            await asyncio.sleep(1)
        async with terminal(made.console_port) as port:
            told = await asyncio.to_thread(typed, port)
    assert told == b"a 15\r\n"


def typed(port: str) -> bytes:
    """Ctrl-C, and what a person might type then."""
    with RunningBoard.opened(port) as board:
        assert board.identity.build == "RPI_PICO_W"
        return board.exec(
            "import slotboot\n"
            "from iothub.credentials import Identity\n"
            "print(slotboot._running, len(Identity('A1B2C3D4E5', 'dev-1').client_id))"
        )


def test_ctrl_c_leads_to_the_repl_of_the_application():
    asyncio.run(hear_and_interrupt())
