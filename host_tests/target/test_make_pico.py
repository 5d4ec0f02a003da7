"""`make pico`: the firmware boots from the emulated board's flash, logs in to the hub, runs."""

import asyncio
import re
import subprocess
import sys

import pytest

from host_tests.conftest import requires
from host_tests.target.desk_board import ROOT
from tools.emulated.__main__ import READINGS
from tools.emulated.stage import stage
from tools.repl.board import RunningBoard

pytestmark = requires("node", "npm")
TIMEOUT_S = 150


@pytest.mark.sweep
def test_the_transcript_shows_a_login_and_readings_that_the_hub_has():
    done = subprocess.run(
        [sys.executable, "-m", "tools.emulated", "--no-repl"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    for line in (
        r"board \| \[ *\d+\.\d{3}\] online",
        r"board \| \[ *\d+\.\d{3}\] clock set to 20\d\d-",
        r"board \| \[ *\d+\.\d{3}\] reading 2 on its way, \d acknowledged",
        rf"The hub has [{READINGS}-9] readings of \w+/pico-w\.",
    ):
        assert re.search(f"^{line}", done.stdout, re.MULTILINE), done.stdout


async def hear_and_interrupt() -> None:
    async with stage() as made:
        for _ in range(TIMEOUT_S):
            if await made.cloud.messages(made.device):
                break
            await asyncio.sleep(1)
        told = await asyncio.to_thread(typed, made.address)
    assert told == b"a 15\r\n"


def typed(address: str) -> bytes:
    """Ctrl-C, and what a person might type then."""
    with RunningBoard.opened(address) as board:
        assert board.identity.build == "RPI_PICO_W"
        return board.exec(
            "import slotboot\n"
            "from iothub.credentials import Identity\n"
            "print(slotboot._running, len(Identity('A1B2C3D4E5', 'dev-1').client_id))"
        )


def test_ctrl_c_leads_to_the_repl_of_the_application():
    asyncio.run(hear_and_interrupt())
