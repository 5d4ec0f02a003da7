"""Rewrites one module for the file it goes into: names of other modules, constants, imports."""

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.compact.library import (
    COMPAT,
    PACKAGE,
    CompactError,
    Module,
    bound_at_top,
    local_names,
)

if TYPE_CHECKING:
    from tools.compact.linker import Linker


@dataclass
class Bound:
    """What an import of the library binds a name to: a module, or something of one."""

    module: str
    name: str | None
    names: ast.ImportFrom | None  # of the file that has it; None where both lie in one file
    whole: ast.ImportFrom | None = None  # of the module itself, where it is used as one
    is_held: bool = False  # the module is what load() or for_now() gave


class Rewriter(ast.NodeTransformer):
    """One module, as it is in its file."""

    def __init__(self, linker: "Linker", module: Module, file: str):
        self._linker = linker
        self._module = module.name
        self._tree = module.tree
        self._file = file
        # From the outside to the inside: what imports of the library bind, None for other names.
        self._scopes: list[dict[str, Bound | None]] = [{}]
        self._classes: list[set[str]] = []
        self._used = {n.id for n in ast.walk(module.tree) if isinstance(n, ast.Name)}
        for name in bound_at_top(module.tree):
            self._scopes[0][name] = Bound(module.name, name, None)

    def rewritten(self) -> list[ast.stmt]:
        body: list[ast.stmt] = []
        for node in self._tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if (
                    name in self._linker.constants[self._module]
                ):
                    if not name.startswith("_") and self._file == self._module:
                        # A file's own public constant.
                        node.value = ast.Constant(self._linker.constants[self._module][name])
                        body.append(node)
                    continue
            done = self.visit(node)
            if done is not None:
                body += done if isinstance(done, list) else [done]
        return body

    # Scopes

    def _function(self, node: ast.AST) -> ast.AST:
        found = node.args  # type: ignore[attr-defined]
        found.defaults = [self.visit(default) for default in found.defaults]
        found.kw_defaults = [d and self.visit(d) for d in found.kw_defaults]
        if not isinstance(node, ast.Lambda):
            node.decorator_list = [self.visit(d) for d in node.decorator_list]  # type: ignore[attr-defined]
        self._scopes.append(dict.fromkeys(local_names(node)))
        body = node.body  # type: ignore[attr-defined]
        if isinstance(body, list):
            node.body = self._statements(body)  # type: ignore[attr-defined]
        else:
            node.body = self.visit(body)  # type: ignore[attr-defined]
        self._scopes.pop()
        return node

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            if new is not None:
                done += new if isinstance(new, list) else [new]
        return done or [ast.Pass()]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._definition(node)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if len(self._scopes) == 1 and not self._classes:
            node.name = self._linker.globals[self._module, node.name]
        classes, self._classes = self._classes, []
        self._function(node)
        self._classes = classes
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(base) for base in node.bases]
        if len(self._scopes) == 1 and not self._classes:
            node.name = self._linker.globals[self._module, node.name]
        # Names of a class body are seen in the body alone, not in its methods.
        self._classes.append(local_names(node))
        node.body = self._statements(node.body)
        self._classes.pop()
        return node

    # Names

    def _find(self, name: str) -> Bound | None:
        if self._classes and name in self._classes[-1]:
            return None
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _of_module(self, bound: Bound, name: str) -> ast.expr | None:
        """What stands for `name` of another module, or of this."""
        linker = self._linker
        known = linker.constants.get(bound.module, {})
        if name in known:
            return ast.Constant(known[name])
        text = linker.globals.get((bound.module, name))
        if text is None:
            return None
        if bound.module in linker.kept and bound.module != self._module:
            last = bound.module.rpartition(".")[2]
            return ast.Attribute(ast.Name(last, ast.Load()), text, ast.Load())
        if bound.names is not None:
            have = {alias.name for alias in bound.names.names}
            if text not in have:
                bound.names.names.append(ast.alias(text))
        return ast.Name(text, ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = self._find(node.id)
        if bound is None or bound.is_held:
            return node
        if bound.name is None:
            if bound.whole is None or self._linker.home[bound.module] != bound.module:
                raise CompactError(f"{self._module}: {node.id} is used as a module")
            _, _, last = bound.module.rpartition(".")
            if not bound.whole.names:
                bound.whole.names.append(ast.alias(last, None if last == node.id else node.id))
            return node
        found = self._of_module(bound, bound.name)
        if found is None:
            raise CompactError(f"{self._module}: {bound.module} has no {bound.name}")
        if isinstance(found, ast.Name):
            found.ctx = node.ctx
        return found

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            bound = self._find(node.value.id)
            if bound is not None and bound.is_held:
                node.attr = self._of_held(bound.module, node.attr)
                return node
            if bound is not None and bound.name is None:
                known = self._linker.constants.get(bound.module, {})
                if node.attr in known:
                    return ast.Constant(known[node.attr])
                if self._linker.home[bound.module] == bound.module:
                    self.visit_Name(node.value)
                    return node
                found = self._of_module(bound, node.attr)
                if found is None:
                    raise CompactError(f"{self._module}: {bound.module} has no {node.attr}")
                return found
        module = loaded(node.value)
        if module is not None:
            node.attr = self._of_held(module, node.attr)
        return self.generic_visit(node)

    def _of_held(self, module: str, name: str) -> str:
        text = self._linker.globals.get((module, name))
        if text is None:
            raise CompactError(f"{self._module}: {module} has no {name}")
        return text

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`name = load("module")`, or for_now(), binds the name as an import does."""
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                module = loaded(value)
                if module is not None:
                    self._scopes[-1][name] = Bound(module, None, None, is_held=True)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "const":
            return self.visit(node.args[0])
        match node:
            case ast.Call(
                func=ast.Name(id="let_go" | "for_now" | "load"),
                args=[ast.Constant(value=str(module))],
            ):
                node.args = [ast.Constant(self._linker.home.get(module, module))]
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._linker.globals.get((self._module, n), n) for n in node.names]
        return node

    # Imports

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self.visit(node.test)
        node.body = self._statements(node.body)
        node.orelse = self._statements(node.orelse) if node.orelse else []
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.stmt] | None:
        if not node.module or node.module.split(".")[0] != PACKAGE:
            return node
        if node.module == COMPAT:
            return None
        if not any((alias.asname or alias.name) in self._used for alias in node.names):
            return self._passed_on(node)
        if self._linker.lacks(node):
            return node  # to be told by who runs it, as if it ran from its sources
        if node.module in self._linker.kept:
            package, _, last = node.module.rpartition(".")
            for alias in node.names:
                bound_name = alias.asname or alias.name
                self._scopes[-1][bound_name] = Bound(node.module, alias.name, None)
            return ast.ImportFrom(package, [ast.alias(last)], 0)
        statements: list[ast.stmt] = []
        for alias in node.names:
            bound_name = alias.asname or alias.name
            submodule = f"{node.module}.{alias.name}"
            if submodule in self._linker.modules:
                home = self._linker.home[submodule]
                names = None if home == self._file else ast.ImportFrom(home, [], 0)
                whole = ast.ImportFrom(submodule.rpartition(".")[0], [], 0)
                bound = Bound(submodule, None, names, whole)
                statements.append(whole)
            else:
                home = self._linker.home[node.module]
                names = None if home == self._file else ast.ImportFrom(home, [], 0)
                bound = Bound(node.module, alias.name, names)
            if names is not None:
                statements.append(names)
            self._scopes[-1][bound_name] = bound
        return statements

    def _passed_on(self, node: ast.ImportFrom) -> ast.AST | list[ast.stmt]:
        """What a module imports and does not use is there for others."""
        module = str(node.module)
        if self._linker.home.get(module) == self._file:
            pairs = [
                (alias.asname or alias.name, self._linker.globals[module, alias.name])
                for alias in node.names
            ]
            return [
                ast.Assign([ast.Name(own, ast.Store())], ast.Name(text, ast.Load()))
                for own, text in pairs
                if own != text
            ]
        node.module = self._linker.home.get(module, module)
        for alias in node.names:
            alias.asname = alias.asname or alias.name
            alias.name = self._linker.globals.get((module, alias.name), alias.name)
            if alias.asname == alias.name:
                alias.asname = None
        return node


def loaded(value: ast.AST, functions: tuple[str, ...] = ("for_now", "load")) -> str | None:
    """The module of a call for_now("iothub.module"), or of another of these functions."""
    match value:
        case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(module))]):
            if function in functions and module.startswith(PACKAGE + "."):
                return module
    return None
