"""What is outside of the slots and starts them."""

import tempfile
from pathlib import Path

from tools.bytecode import FIRMWARE, compile_file

# Not in boot.py: a Pico comes to its USB only behind it, and must, to be deployed to.
_MAIN = b"""try:
    import slotboot  # which boot.py began
except Exception as error:
    # Damaged, or of another MicroPython: perhaps one on trial, and a reset brings the one before.
    import machine, sys, time

    sys.print_exception(error)
    print("main: nothing can start, so it tries again. If it stays so: Ctrl-C, make deploy")
    time.sleep(5)
    machine.reset()
slotboot.run()
"""


def starters() -> dict[str, bytes]:
    """Content by path on the board, in the order in which they may be written: each step leaves a
    board that starts. Raises tools.bytecode.CompileError."""
    return {
        "/slotboot.mpy": _compiled("slotboot"),
        "/factory.mpy": _compiled("factory"),
        "/boot.py": (FIRMWARE / "boot.py").read_bytes(),
        "/main.py": _MAIN,
    }


def _compiled(module: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / f"{module}.mpy"
        compile_file(FIRMWARE / f"{module}.py", compiled)
        return compiled.read_bytes()
