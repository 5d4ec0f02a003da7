"""Command line of `make pico`."""

import argparse
import asyncio
import contextlib
import sys

from tools.boards.errors import BoardError
from tools.bytecode import CompileError
from tools.emulated.stage import Stage, stage
from tools.emulated.terminal import terminal
from tools.fetch.errors import FetchError
from tools.ota.errors import OtaError
from tools.pico.errors import EmulatorError

READINGS = 3
ONLINE_TIMEOUT_S = 60.0
_POLL_S = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when the hub has heard the board, else 1."""
    parser = argparse.ArgumentParser(
        prog="make pico",
        description="Boots the stock image on an emulated Pico W, with this firmware on its flash,"
        " connected to a hub, and opens its REPL.",
    )
    parser.add_argument("--no-repl", action="store_true", help="end after the transcript")
    wanted = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(opens_repl=not wanted.no_repl and sys.stdin.isatty()))
    except (BoardError, CompileError, EmulatorError, FetchError, OtaError) as error:
        print(f"pico: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


async def _run(opens_repl: bool) -> int:
    print("Compiling the firmware, starting a hub and the emulator ...", flush=True)
    async with stage() as made:
        console = asyncio.create_task(_show_console(made.console_port))
        heard = await _wait_for_readings(made)
        console.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await console
        if heard < READINGS:
            reason = f"the hub heard {heard} readings in {ONLINE_TIMEOUT_S:.0f} s"
            print(f"pico: {reason}, not {READINGS}: see above", file=sys.stderr)
            return 1
        print(f"The hub has {heard} readings of {made.device}.", flush=True)
        if opens_repl:
            print("Ctrl-C stops the application there, Ctrl-] leaves and ends all.", flush=True)
            async with terminal(made.console_port) as port:
                command = [sys.executable, "-m", "mpremote", "connect", port, "resume", "repl"]
                await (await asyncio.create_subprocess_exec(*command)).wait()
    return 0


async def _show_console(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while line := await reader.readline():
            print("board |", line.decode(errors="replace").rstrip(), flush=True)
    finally:
        writer.close()


async def _wait_for_readings(made: Stage) -> int:
    """How many readings the hub has; READINGS at least, unless time is up."""
    deadline = asyncio.get_running_loop().time() + ONLINE_TIMEOUT_S
    told = False
    while True:
        heard = len(await made.cloud.messages(made.device))
        if heard and not told:
            told = True
            print(f"hub   | hears {made.device}", flush=True)
        if heard >= READINGS or asyncio.get_running_loop().time() > deadline:
            return heard
        await asyncio.sleep(_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
