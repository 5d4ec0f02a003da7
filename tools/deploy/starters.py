"""What is outside of the slots and starts them."""

import tempfile
from pathlib import Path

from tools.bytecode import FIRMWARE, compile_file

_MAIN = b"import slotboot  # which boot.py began\n\nslotboot.run()\n"


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
