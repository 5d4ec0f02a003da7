"""`make pico`: the firmware boots from the emulated board's flash, logs in to the hub, runs."""

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time

from host_tests.conftest import requires
from host_tests.target.desk_board import ROOT
from tools.emulated.__main__ import READINGS
from tools.emulated.stage import stage
from tools.emulated.terminal import terminal
from tools.repl.board import RunningBoard

pytestmark = requires("node", "npm")
TIMEOUT_S = 150


def test_the_transcript_shows_a_login_and_readings_and_the_repl_answers():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tools.emulated"]
    person = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        shown = wait_for(ours, b"to exit this shell")
        os.write(ours, b"\x03")
        wait_for(ours, b">>> ")
        os.write(ours, b"print(6 * 7)\r")
        wait_for(ours, b"\n42")
        os.write(ours, b"\x1d")
        assert person.wait(TIMEOUT_S) == 0
    finally:
        person.kill()
        person.wait()
        os.close(ours)
        os.close(theirs)
    for line in (
        r"board \| \[ *\d+\.\d{3}\] online",
        r"board \| \[ *\d+\.\d{3}\] clock set to 20\d\d-",
        r"board \| \[ *\d+\.\d{3}\] reading 2 on its way, \d acknowledged",
        rf"The hub has [{READINGS}-9] readings of \w+/pico-w\.",
    ):
        assert re.search(f"^{line}", shown, re.MULTILINE), shown


def wait_for(terminal: int, text: bytes) -> str:
    """What the terminal shows until this text comes."""
    seen = b""
    deadline = time.monotonic() + TIMEOUT_S
    while text not in seen:
        assert select.select([terminal], [], [], deadline - time.monotonic())[0], seen
        seen += os.read(terminal, 1024)
    return seen.decode()


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
