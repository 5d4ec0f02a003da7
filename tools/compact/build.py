"""From the library's sources to those that are compiled."""

import ast
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.compact.apart import put_apart
from tools.compact.library import COMPAT, Module, read_library, stripped
from tools.compact.linker import Bundles, Linker
from tools.compact.names import Outside, Pool, Shortener, choose
from tools.compact.order import with_frequent_names_first
from tools.compact.texts import ERRORS, take_out_texts

PLAN = Path(__file__).with_name("plan.toml")


@dataclass(frozen=True)
class CompactLibrary:
    """`sources` by path below lib/; `names` are {text in the sources: text on the board}."""

    sources: dict[str, str]
    names: dict[str, str]
    stubs: frozenset[str]  # paths of files that only name what lies in another
    moved: frozenset[str]  # those of another file than their module's, where a stub has the old
    literals: frozenset[str]  # paths of files that nothing loads: what they have is written out

    def translated(self, text: str) -> str:
        """A program that looks inside the library, as it has to be for this one."""
        tree = ast.parse(text)
        table = {old: new for old, new in self.names.items() if old not in self.moved}
        return ast.unparse(ast.fix_missing_locations(Shortener(table, [], set()).visit(tree)))


def compact_library(
    folder: Path,
    others: Iterable[Path] = (),
    insiders: Iterable[Path] = (),
    named_constants: tuple[str, ...] = (),
    bundles: Bundles | None = None,
) -> CompactLibrary:
    """The library below `folder` (firmware/lib). `others` are programs that use it, whose words
    keep their meaning; `insiders` those that are to be translated(), of whose words only the
    keywords of calls and their texts do. The constants of modules in `named_constants` stay names,
    for tests that change them. `bundles` are in the place of the whole plan of files. Raises
    CompactError."""
    plan = tomllib.loads(PLAN.read_text("utf-8"))
    apart = plan["apart"] if bundles is None else {}
    bundles = plan["bundles"] if bundles is None else bundles
    kept = set(plan["names"]["kept"])
    modules = read_library(folder)
    take_out_texts(modules)
    lookups = put_apart(modules, apart)
    names_plan = plan["names"]
    private = frozenset(names_plan["private"])
    outside = Outside(modules.values(), set(names_plan["internal"]), kept, private)
    for path in others:
        met = _words(path)
        outside.names |= met.words
        outside.words |= met.words
    for path in insiders:
        met = _words(path)
        outside.keywords |= met.keywords
        outside.texts |= met.texts
        outside.names |= met.texts
    linker = Linker(modules, bundles, named_constants)
    files = linker.files()
    public = {name for file in files for name in file.public}
    # Hints look for the names of errors.
    errors = {ERRORS, *apart.get(ERRORS, {})}
    public |= {text for (module, _), text in linker.globals.items() if module in errors}
    trees = {file.path: file.tree for file in files}
    pool = Pool(outside.words | outside.keywords | kept)
    names = choose(trees, outside, public, pool, set(linker.globals.values()))
    keep_arguments = outside.keywords | outside.arguments | outside.texts
    sources = {
        path: _text(Shortener(names, pool.slots, keep_arguments).visit(tree))
        for path, tree in trees.items()
    }
    stubs = set()
    for name, module in linker.modules.items():
        stub = linker.stub(name)
        if stub is not None:
            stub = _with_new_names(stub, names)
            if name in lookups:
                stub.body.append(lookups[name])
            sources[module.path] = ast.unparse(stub) + "\n"
            stubs.add(module.path)
    sources[modules[COMPAT].path] = ast.unparse(modules[COMPAT].tree) + "\n"
    moved = {text for (name, _), text in linker.globals.items() if linker.home[name] != name}
    literals = {
        path for path, tree in trees.items() if tree.body and all(map(_is_literal, tree.body))
    }
    literals.add(modules[COMPAT].path)
    return CompactLibrary(sources, names, frozenset(stubs), frozenset(moved), frozenset(literals))


def _is_literal(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)


def _text(tree: ast.Module) -> str:
    return ast.unparse(with_frequent_names_first(tree)) + "\n"


def _words(path: Path) -> Outside:
    tree = ast.parse(path.read_text("utf-8"))
    # An interface is all annotations.
    program = Module(path.stem, path.name, tree if path.suffix == ".pyi" else stripped(tree))
    return Outside([program], {path.stem}, set())


def _with_new_names(stub: ast.Module, names: dict[str, str]) -> ast.Module:
    """It gives the names of the sources to what has others in its file."""
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                own = alias.asname or alias.name
                alias.name = names.get(alias.name, alias.name)
                alias.asname = None if own == alias.name else own
    return stub
