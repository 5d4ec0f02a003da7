"""Gives names that only the library uses the text of names that the firmware has already.

One text stands for one other everywhere in the library, so whatever belongs together stays
together; only arguments, which nobody outside of their function sees, get their new names function
by function. A name stays as it is if anybody outside could mean it: if it is public, written in a
text (for getattr and its kind), a keyword of a call, or an attribute of MicroPython's own.
"""

import ast
import keyword
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.compact.library import PACKAGE, Module, arguments, local_names

_FIRMWARE_NAMES = Path(__file__).with_name("firmware_names.txt")
# What MicroPython itself looks for in an object of any kind.
_PROTOCOLS = {"close", "ioctl", "read", "readinto", "readline", "send", "throw", "write"}
_MAX_SLOTS = 12


class Pool:
    """New names, cheapest first. `taken` are the texts that mean something already."""

    def __init__(self, taken: set[str]):
        numbered, others = firmware_names()
        free = [n for n in numbered + sorted(others, key=lambda n: (len(n), n)) if _usable(n)]
        free = [name for name in free if name not in taken]
        # Cheapest of all in bytecode, and so for what every function has.
        plain = [name for name in free if name.islower() and name in numbered]
        self.slots = plain[:_MAX_SLOTS]
        self._free = [name for name in free if name not in self.slots]
        self._more = 0

    def take(self, shielded: bool) -> str:
        """`shielded`: for an object to which others may give attributes, too, which are no more
        written in capitals than those of other classes."""
        for name in self._free:
            if not shielded or name[0].isupper():
                self._free.remove(name)
                return name
        self._more += 1
        return f"_{self._more}"


def firmware_names() -> tuple[list[str], list[str]]:
    """(those that bytecode has numbers for, the others)."""
    lines = _FIRMWARE_NAMES.read_text("utf-8").splitlines()
    numbered, _, others = "\n".join(n for n in lines if not n.startswith("#")).partition("\n\n")
    return numbered.split(), others.split()


def _usable(name: str) -> bool:
    return not (name.startswith("__") or keyword.iskeyword(name) or name in _PROTOCOLS)


class Outside:
    """The texts that are not the library's alone."""

    def __init__(
        self,
        modules: Iterable[Module],
        internal: set[str],
        kept: set[str],
        private: frozenset[str] = frozenset(),
    ):
        numbered, others = firmware_names()
        self.names = {*numbered, *others, *kept}
        self._private = private
        self.words: set[str] = set()
        self.keywords: set[str] = set()
        self.texts: set[str] = set()  # a ** of a dict may have them for keywords
        self.arguments: set[str] = set()  # of public functions
        self.shielded: set[str] = set()
        self.defined: set[str] = set()  # by the library
        for module in modules:
            self.names.update(module.name.split("."))
            is_internal = module.name in internal
            for node in ast.walk(module.tree):
                self._look(node, is_internal)
        self.names |= self.keywords | self.texts

    def _look(self, node: ast.AST, is_internal: bool) -> None:
        defined: list[str] = []
        match node:
            case ast.Constant(value=str(text)):
                if text.isidentifier():
                    self.texts.add(text)
                    self.words.add(text)
            case ast.keyword(arg=str(name)):
                self.keywords.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                origin = (getattr(node, "module", None) or "").split(".")
                self.words.update(origin)
                for alias in names:
                    self.words.update(alias.name.split("."))
                    self.words.add(alias.asname or "")
                    if origin[0] != PACKAGE:
                        self.names.update((alias.asname or alias.name).split("."))
            case ast.Attribute(attr=name, ctx=ctx):
                self.words.add(name)
                if isinstance(ctx, ast.Store):
                    defined = [name]
            case ast.Name(id=name):
                self.words.add(name)
            case ast.arg(arg=name):
                self.words.add(name)
            case ast.ClassDef(name=name):
                self.words.add(name)
                defined = sorted(local_names(node))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self.words.add(name)
                if not is_internal and (not self._is_private(name) or name == "__init__"):
                    defined = [a.arg for a in arguments(node)]
                    self.arguments.update(defined)
        if not is_internal:
            self.names.update(name for name in defined if not self._is_private(name))
            self.shielded.update(name for name in defined if self._is_private(name))
        self.defined.update(defined)

    def _is_private(self, name: str) -> bool:
        return name.startswith("_") or name in self._private


class Shortener(ast.NodeTransformer):
    """Renames by a table, and arguments by their place."""

    def __init__(self, table: dict[str, str], slots: list[str], keep_arguments: set[str]):
        self._table = table
        self._slots = slots
        self._keep = keep_arguments
        self._scopes: list[dict[str, str]] = []
        self._public_class = False

    def _text(self, name: str) -> str:
        return self._table.get(name, name)

    def _local(self, name: str) -> str:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._text(name)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._local(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.value = self.visit(node.value)
        node.attr = self._text(node.attr)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        if node.name:
            node.name = self._local(node.name)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._text(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._local(name) for name in node.names]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        node.value = self.visit(node.value)
        if node.arg:
            node.arg = self._text(node.arg)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module and node.module.split(".")[0] == PACKAGE:
            for alias in node.names:
                alias.name = self._text(alias.name)
                if alias.asname:
                    alias.asname = self._text(alias.asname)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self._text(node.name)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._definition(node)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        is_nested = bool(self._scopes)
        self._function(node)
        node.name = self._local(node.name) if is_nested else self._text(node.name)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.AST) -> ast.AST:
        found: ast.arguments = node.args  # type: ignore[attr-defined]
        found.defaults = [self.visit(default) for default in found.defaults]
        found.kw_defaults = [d and self.visit(d) for d in found.kw_defaults]
        used = {text for scope in self._scopes for text in scope.values()}
        free = [slot for slot in self._slots if slot not in used]
        scope = {name: self._text(name) for name in local_names(node)}
        for argument in arguments(node):
            if argument.arg not in self._keep and free and argument.arg != "_":
                scope[argument.arg] = free.pop(0)
            argument.arg = scope[argument.arg]
        self._scopes.append(scope)
        body = node.body  # type: ignore[attr-defined]
        if isinstance(body, list):
            node.body = [self.visit(statement) for statement in body]  # type: ignore[attr-defined]
        else:
            node.body = self.visit(body)  # type: ignore[attr-defined]
        self._scopes.pop()
        return node


def choose(
    trees: dict[str, ast.Module], outside: Outside, public: set[str], pool: Pool, tops: set[str]
) -> dict[str, str]:
    """{text: new text} of everything in the linked files that may have another name, those that
    occur in most files first, which get the cheapest."""
    files: Counter[str] = Counter()
    for tree in trees.values():
        files.update(_named(tree))
    table = {}
    for name, _ in sorted(files.items(), key=lambda item: (-item[1], item[0])):
        if name not in tops and name not in outside.defined:
            continue
        if name.startswith("__") or name in outside.names or name in public or name == "_":
            continue
        table[name] = pool.take(name in outside.shielded)
    return table


def _named(tree: ast.Module) -> set[str]:
    """The names of a file that bytecode carries as text: no locals."""
    found = set()
    for node in tree.body:
        for one in ast.walk(node):
            match one:
                case ast.Attribute(attr=name):
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case ast.ClassDef(name=name):
                    found |= {name, *local_names(one)}
    found |= local_names(tree)
    return found
