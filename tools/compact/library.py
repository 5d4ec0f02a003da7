"""The library's sources as syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "iothub"
# It has const(), of which nothing is left.
COMPAT = PACKAGE + ".compat"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class CompactError(Exception):
    """The library has something that cannot be made small safely; the text names it."""


@dataclass
class Module:
    """`name` as it is imported, `path` relative to the folder above the package."""

    name: str
    path: str
    tree: ast.Module


def read_library(folder: Path) -> dict[str, Module]:
    """The modules of the package in `folder` by name, without docstrings and annotations."""
    modules = {}
    for file in sorted((folder / PACKAGE).rglob("*.py")):
        path = file.relative_to(folder).as_posix()
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        modules[name] = Module(name, path, stripped(ast.parse(file.read_text("utf-8"), path)))
    return modules


def stripped(tree: ast.Module) -> ast.Module:
    """Without docstrings and annotations, which the board's compiler drops as well, and without
    the imports that only annotations use."""
    before = _names(tree)
    tree = _Stripper().visit(tree)
    return ast.fix_missing_locations(_WithoutImports(before - _names(tree)).visit(tree))


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


class _Stripper(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.visit(ast.Assign([node.target], node.value, lineno=node.lineno))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return _never_empty(self.generic_visit(node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return _never_empty(self.generic_visit(node))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return _never_empty(self.generic_visit(node))


class _WithoutImports(ast.NodeTransformer):
    def __init__(self, unused: set[str]):
        self._unused = unused

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        node.names = [a for a in node.names if (a.asname or a.name) not in self._unused]
        return node if node.names else None


def _never_empty(node: ast.AST) -> ast.AST:
    if not getattr(node, "body", True):
        node.body = [ast.Pass()]  # type: ignore[attr-defined]
    return node


def arguments(function: ast.AST) -> list[ast.arg]:
    found: ast.arguments = function.args  # type: ignore[attr-defined]
    rest = [one for one in (found.vararg, found.kwarg) if one is not None]
    return [*found.posonlyargs, *found.args, *found.kwonlyargs, *rest]


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a function (or class) itself: not to the functions and classes in it, of
    which only the node is given. Comprehensions count as part of it."""
    body = function.body  # type: ignore[attr-defined]
    waiting = list(body) if isinstance(body, list) else [body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def local_names(function: ast.AST) -> set[str]:
    """The names that a function (or class body) binds itself."""
    found: set[str] = set()
    shared: set[str] = set()
    if isinstance(function, FUNCTIONS):
        found.update(argument.arg for argument in arguments(function))
    for node in own_nodes(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
            case ast.Import(names=names):
                found.update((alias.asname or alias.name).split(".")[0] for alias in names)
            case ast.ImportFrom(names=names):
                found.update(alias.asname or alias.name for alias in names)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                shared.update(names)
    return found - shared


def bound_at_top(tree: ast.Module) -> set[str]:
    """The names a module defines at its top; not those it imports."""
    found = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                for target in targets:
                    found.update(n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    return found
