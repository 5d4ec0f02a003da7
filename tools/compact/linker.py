"""Joins modules to files. A name of another module is then a global of the same file, or imported
from the file that has it; constants are literals."""

import ast
from dataclasses import dataclass, field

from tools.compact.constants import Literal, constants_of
from tools.compact.library import (
    FUNCTIONS,
    PACKAGE,
    CompactError,
    Module,
    local_names,
)

Bundles = dict[str, list[str]]

# It has const(), of which nothing is left.
COMPAT = PACKAGE + ".compat"


@dataclass
class File:
    """One file of the linked library; `public` are the names that keep their text."""

    name: str
    path: str
    tree: ast.Module
    public: set[str] = field(default_factory=set)


@dataclass
class _Bound:
    """What an import of the library binds a name to: a module, or something of one."""

    module: str
    name: str | None
    names: ast.ImportFrom | None  # of the file that has it; None where both lie in one file
    whole: ast.ImportFrom | None = None  # of the module itself, where it is used as one


class Linker:
    """The modules of `bundles` (file: its modules) in one file each, others in their own."""

    def __init__(self, modules: dict[str, Module], bundles: Bundles, kept: tuple[str, ...] = ()):
        self.modules = {n: m for n, m in modules.items() if n != COMPAT}
        modules = self.modules
        self.home = {name: name for name in modules}
        for file, parts in bundles.items():
            for part in parts:
                if part not in modules:
                    raise CompactError(f"{file} is to have {part}, which is no module")
                self.home[part] = file
        self._order = bundles
        self.kept = kept  # modules whose constants stay names, looked up at each use
        self.constants: dict[str, dict[str, Literal]] = {
            name: {} if name in kept else constants_of(module.tree)
            for name, module in modules.items()
        }
        self._names = {name: _bound_at_top(module.tree) for name, module in modules.items()}
        self._used = _words(modules)
        self.globals = self._unique_globals()

    def _unique_globals(self) -> dict[tuple[str, str], str]:
        """{(module, name): the name in its file}, for what modules define at their top."""
        chosen: dict[tuple[str, str], str] = {}
        taken: set[str] = set()
        for module in self.modules:
            if self.home[module] == module:
                for name in self._names[module]:
                    if not name.startswith("_") or module == PACKAGE:
                        chosen[module, name] = name
        taken.update(chosen.values())
        for module in self.modules:
            for name in sorted(self._names[module]):
                if (module, name) in chosen or name in self.constants[module]:
                    continue
                text = name
                if name in taken or name in self._used:
                    text = name + "_of_" + module.removeprefix(PACKAGE + ".").replace(".", "_")
                taken.add(text)
                chosen[module, name] = text
        return chosen

    def files(self) -> list[File]:
        parts: dict[str, list[str]] = {}
        for file, order in self._order.items():
            parts[file] = list(order)
        for module in self.modules:
            if self.home[module] == module and module not in parts:
                parts[module] = [module]
        return [self._file(name, parts[name]) for name in sorted(parts)]

    def _file(self, name: str, parts: list[str]) -> File:
        imports: dict[object, ast.stmt] = {}
        body: list[ast.stmt] = []
        foreign: dict[str, str] = {}
        public: set[str] = set()
        for part in parts:
            rewriter = _Rewriter(self, self.modules[part], name)
            for node in rewriter.rewritten():
                match node:
                    case ast.ImportFrom(module=str(origin)) if origin.split(".")[0] == PACKAGE:
                        _join_import(imports, node)
                    case ast.Import() | ast.ImportFrom():
                        _join_import(imports, node)
                        for alias in node.names:
                            bound = alias.asname or alias.name
                            what = (
                                ast.unparse(node)
                                if isinstance(node, ast.Import)
                                else (f"{node.module}.{alias.name}")
                            )
                            if isinstance(node, ast.Import):
                                what = alias.name
                            if foreign.setdefault(bound, what) != what:
                                raise CompactError(f"{name}: {bound} is imported as two things")
                    case _:
                        body.append(node)
            if part == name:
                public = {n for n in self._names[part] if not n.startswith("_")}
        clash = foreign.keys() & {self.globals.get((p, n)) for p in parts for n in self._names[p]}
        if clash:
            raise CompactError(f"{name}: {sorted(map(str, clash))} are defined and imported")
        path = self.modules[name].path if name in self.modules else name.replace(".", "/") + ".py"
        tree = ast.Module([*imports.values(), *body], [])
        _WithoutEmptyImports().visit(tree)
        return File(name, path, ast.fix_missing_locations(tree), public)

    def lacks(self, node: ast.ImportFrom) -> bool:
        """Whether an import asks for what the library does not have."""
        module = str(node.module)
        return not all(
            f"{module}.{alias.name}" in self.modules or alias.name in self._names.get(module, ())
            for alias in node.names
        )

    def stub(self, module: str) -> ast.Module | None:
        """The file in the place of a module that went into another: its public names."""
        file = self.home[module]
        if file == module:
            return None
        body: list[ast.stmt] = []
        aliases = [
            ast.alias(self.globals[module, name], None if text == name else name)
            for name in sorted(self._names[module])
            if not name.startswith("_") and (text := self.globals.get((module, name)))
        ]
        if aliases:
            body.append(ast.ImportFrom(file, aliases, 0))
        for name, value in sorted(self.constants[module].items()):
            if not name.startswith("_"):
                body.append(ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value)))
        return ast.fix_missing_locations(ast.Module(body, []))


def _bound_at_top(tree: ast.Module) -> set[str]:
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


def _words(modules: dict[str, Module]) -> set[str]:
    """Every text that is something else than a global somewhere: local, argument, attribute."""
    found: set[str] = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                found |= local_names(node)
    return found


def _join_import(imports: dict[object, ast.stmt], node: ast.Import | ast.ImportFrom) -> None:
    """One statement for each module that a file imports from."""
    if isinstance(node, ast.Import):
        imports.setdefault(("import", ast.unparse(node)), node)
        return
    known = imports.setdefault(("from", node.module), node)
    assert isinstance(known, ast.ImportFrom)
    if known is not node:
        have = {(alias.name, alias.asname) for alias in known.names}
        known.names += [a for a in node.names if (a.name, a.asname) not in have]


class _WithoutEmptyImports(ast.NodeTransformer):
    """Drops the imports of which nothing was used."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.ImportFrom) and not node.names:
            return None
        self.generic_visit(node)
        if isinstance(node, ast.stmt) and getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node


class _Rewriter(ast.NodeTransformer):
    """One module, as it is in its file."""

    def __init__(self, linker: Linker, module: Module, file: str):
        self._linker = linker
        self._module = module.name
        self._tree = module.tree
        self._file = file
        # From the outside to the inside: what imports of the library bind, None for other names.
        self._scopes: list[dict[str, _Bound | None]] = [{}]
        self._classes: list[set[str]] = []
        self._used = {n.id for n in ast.walk(module.tree) if isinstance(n, ast.Name)}
        for name in _bound_at_top(module.tree):
            self._scopes[0][name] = _Bound(module.name, name, None)

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

    def _find(self, name: str) -> _Bound | None:
        if self._classes and name in self._classes[-1]:
            return None
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _of_module(self, bound: _Bound, name: str) -> ast.expr | None:
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
        if bound is None:
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
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "const":
            return self.visit(node.args[0])
        match node:
            case ast.Call(func=ast.Name(id="let_go"), args=[ast.Constant(value=str(module))]):
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
                self._scopes[-1][bound_name] = _Bound(node.module, alias.name, None)
            return ast.ImportFrom(package, [ast.alias(last)], 0)
        statements: list[ast.stmt] = []
        for alias in node.names:
            bound_name = alias.asname or alias.name
            submodule = f"{node.module}.{alias.name}"
            if submodule in self._linker.modules:
                home = self._linker.home[submodule]
                names = None if home == self._file else ast.ImportFrom(home, [], 0)
                whole = ast.ImportFrom(submodule.rpartition(".")[0], [], 0)
                bound = _Bound(submodule, None, names, whole)
                statements.append(whole)
            else:
                home = self._linker.home[node.module]
                names = None if home == self._file else ast.ImportFrom(home, [], 0)
                bound = _Bound(node.module, alias.name, names)
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
