"""What is outside of the slots and starts them."""

import tempfile
from pathlib import Path

from tools.bytecode import FIRMWARE, compile_file

_MAIN = b"import slotboot  # which boot.py began\n\nslotboot.run()\n"


def starters() -> dict[str, bytes]:
    """Content by path on the board, in the order in which they may be written: each step leaves a
    board that starts. Raises tools.bytecode.CompileError."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "slotboot.mpy"
        compile_file(FIRMWARE / "slotboot.py", compiled)
        slotboot = compiled.read_bytes()
    return {
        "/slotboot.mpy": slotboot,
        "/boot.py": (FIRMWARE / "boot.py").read_bytes(),
        "/main.py": _MAIN,
    }
