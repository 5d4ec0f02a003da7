"""Which modules a device can have loaded all at the same time."""

import ast
import tomllib
from collections.abc import Collection, Iterable, Iterator

from tools.bytecode import FIRMWARE
from tools.compact.build import PLAN
from tools.compact.library import Module, read_library

LOADING = "iothub.loading"
STAYS = "load"  # its function that does not let go


class NotUnderstood(Exception):
    """The library lets go of a module in an unknown way; the text says where."""


def held_at_once(modules: Iterable[str], alternatives: Collection[str]) -> list[str]:
    """Those of `modules` (files of the compiled library, by name) that stay once they are loaded,
    and do not stand in the place of others (`alternatives`). Raises `NotUnderstood`."""
    bundles = tomllib.loads(PLAN.read_text("utf-8"))["bundles"]
    home = {part: file for file, parts in bundles.items() for part in parts}
    gone = {home.get(name, name) for name in let_go(read_library(FIRMWARE / "lib").values())}
    return [name for name in modules if name not in gone and name not in alternatives]


def let_go(library: Iterable[Module]) -> set[str]:
    """The modules that the library has `iothub.loading` forget."""
    found = set()
    for module in library:
        if module.name != LOADING:
            found |= set(_given(module))
    return found


def _given(module: Module) -> Iterator[str]:
    imports = [node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)]
    functions = {
        alias.asname or alias.name
        for node in imports
        if node.module == LOADING
        for alias in node.names
        if alias.name != STAYS
    }
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in imports
        for alias in node.names
    }
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[argument, *_]) if name in functions:
                match argument:
                    case ast.Constant(value=str(text)):
                        yield text
                    case ast.Attribute(value=ast.Name(id=alias), attr="__name__"):
                        yield modules[alias]
                    case _:
                        reason = f"{ast.unparse(node)} names no module of the library"
                        raise NotUnderstood(f"{module.path}, line {node.lineno}: {reason}")
