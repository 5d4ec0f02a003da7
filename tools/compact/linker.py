"""Joins modules to files. A name of another module is then a global of the same file, or imported
from the file that has it; constants are literals."""

import ast
from dataclasses import dataclass, field

from tools.compact.constants import Literal, constants_of
from tools.compact.library import (
    COMPAT,
    FUNCTIONS,
    PACKAGE,
    CompactError,
    Module,
    bound_at_top,
    local_names,
)
from tools.compact.rewriter import Rewriter, loaded

Bundles = dict[str, list[str]]


@dataclass
class File:
    """One file of the linked library; `public` are the names that keep their text."""

    name: str
    path: str
    tree: ast.Module
    public: set[str] = field(default_factory=set)


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
        # Only the library itself loads these.
        self._held = {
            held
            for m in modules.values()
            for n in ast.walk(m.tree)
            if (held := loaded(n, ("for_now",)))
        }
        self._names = {name: bound_at_top(module.tree) for name, module in modules.items()}
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
                # What MicroPython looks for in a module keeps its name; a file has one of each.
                if not name.startswith("__") and (name in taken or name in self._used):
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
            rewriter = Rewriter(self, self.modules[part], name)
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
            if part == name and name not in self._held:
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
