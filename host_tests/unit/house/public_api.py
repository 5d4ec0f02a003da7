"""The public API as two readings of it: the stubs that editors read, and the library's sources.
Both are read without importing them: the sources run under MicroPython only."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tests.unit.house.constants import ROOT, integer_constants

STUBS = ROOT / "firmware/stubs"
LIBRARY = ROOT / "firmware/lib"
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Call:
    """A function or method: `parameters` as it is written down, with defaults by their value and
    without types and `self`."""

    is_async: bool
    kind: str  # "", "property" or "classmethod"
    parameters: str


@dataclass(frozen=True)
class Class:
    """`calls` and `attributes` by name, without those of the base classes, which are `bases`."""

    bases: list[str]
    calls: dict[str, Call]
    attributes: dict[str, str]  # to the annotation, or "" where there is none


class Module:
    """One module, read from its stub or from its source."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tree = ast.parse(path.read_text("utf-8"))
        self._values: dict[str, Any] = dict(integer_constants(path))
        self.imported: dict[str, tuple[str, str]] = {}
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = (node.module, alias.name)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self._values[target.id] = node.value.value
        self.calls = dict(self._calls(self._tree.body))
        self.classes = {
            node.name: Class(
                [ast.unparse(base) for base in node.bases],
                dict(self._calls(node.body)),
                _attributes(node),
            )
            for node in self._tree.body
            if isinstance(node, ast.ClassDef)
        }
        self.constants = {
            node.target.id
            for node in self._tree.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        } | {name for name in self._values if "." not in name}

    def literal(self, name: str) -> Any:
        """The value of a module's own table."""
        (found,) = [
            ast.literal_eval(node.value)
            for node in self._tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
        ]
        return found

    def value(self, node: ast.expr) -> Any:
        """What a default value is: its own, or the constant's that it names."""
        if isinstance(node, ast.Name):
            if node.id in self._values:
                return self._values[node.id]
            module, name = self.imported[node.id]
            return Module(source_of(module)).value(ast.Name(name))
        return ast.literal_eval(node)

    def _calls(self, body: list[ast.stmt]) -> Iterator[tuple[str, Call]]:
        for node in body:
            if isinstance(node, _FUNCTION):
                kinds = [ast.unparse(each) for each in node.decorator_list]
                kind = kinds[0] if kinds else ""
                is_async = isinstance(node, ast.AsyncFunctionDef)
                yield node.name, Call(is_async, kind, self._parameters(node.args))

    def _parameters(self, arguments: ast.arguments) -> str:
        plain = [each.arg for each in arguments.posonlyargs + arguments.args]
        first_default = len(plain) - len(arguments.defaults)
        written = [
            name if i < first_default else f"{name}={self._shown(arguments, i - first_default)}"
            for i, name in enumerate(plain)
        ]
        if arguments.vararg:
            written.append("*" + arguments.vararg.arg)
        if arguments.kwarg:
            written.append("**" + arguments.kwarg.arg)
        assert not arguments.kwonlyargs, "MicroPython code here has none"
        return ", ".join(name for name in written if name not in ("self", "cls"))

    def _shown(self, arguments: ast.arguments, i: int) -> str:
        default = arguments.defaults[i]
        if isinstance(default, ast.Attribute):
            return ast.unparse(default)
        value = self.value(default)
        return f'"{value}"' if isinstance(value, str) else repr(value)


def _attributes(node: ast.ClassDef) -> dict[str, str]:
    """What is assigned in the class's body, and to `self` in its methods."""
    found: dict[str, str] = {}
    for inner in ast.walk(node):
        is_of_body = inner in node.body
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name) and is_of_body:
            found[inner.target.id] = ast.unparse(inner.annotation)
        targets = inner.targets if isinstance(inner, ast.Assign) else []
        for target in targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "self":
                    found.setdefault(each.attr, "")
                elif isinstance(each, ast.Name) and is_of_body:
                    found.setdefault(each.id, "")
    return found


def source_of(module: str) -> Path:
    """Where the library has a module, by its full name."""
    path = LIBRARY / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def name_of(stub: Path) -> str:
    """The full name of the module that a stub describes."""
    parts = stub.relative_to(STUBS).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def stubs() -> dict[str, Module]:
    """Every stub, by its module's name."""
    return {name_of(path): Module(path) for path in sorted(STUBS.rglob("*.pyi"))}


def stub_of(module: str) -> Path:
    """Where the stub of a module is, by its full name."""
    path = STUBS / module.replace(".", "/")
    return path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")


def lineage(module: Module, name: str, home: Callable[[str], Path] = source_of) -> Iterator[Class]:
    """A class and its base classes, as far as they are the library's or umqtt's; read from the
    sources, or with stub_of from the stubs."""
    if name in module.classes:
        found = module.classes[name]
        yield found
        for base in found.bases:
            yield from lineage(module, base, home)
        return
    package, _, attribute = name.rpartition(".")  # service.Log, of a module that is imported
    where = module.imported.get(package or name)
    if where is not None:
        path = home(".".join(where) if package else where[0])
        if path.is_file():
            yield from lineage(Module(path), attribute, home)
