"""Takes the texts of errors out of the library: they are loaded when one is made."""

import ast
from pathlib import Path

from tools.compact.library import PACKAGE, Module, stripped
from tools.compact.pairs import coded

MODULE = PACKAGE + ".texts"
ERRORS = PACKAGE + ".errors"
_BOARD_SOURCES = Path(__file__).with_name("board")
_NAME = "_text_of_an_error"
_IN_ONE_FILE = 64  # as the module on the board has it
# A shorter one costs less than the call that loads it.
_LEAST_CHARS = 14


def take_out_texts(modules: dict[str, Module]) -> None:
    """Replaces the texts by their numbers, and adds the modules that have them."""
    makers = {node.name for node in modules[ERRORS].tree.body if isinstance(node, ast.ClassDef)}
    texts: dict[str, int] = {}
    for name in sorted(modules.keys() - {PACKAGE}):  # the package itself loads nothing
        taker = _Taker(makers, texts)
        module = modules[name]
        taker.visit(module.tree)
        if taker.took:
            own = ast.ImportFrom(MODULE, [ast.alias("text", _NAME)], 0)
            module.tree.body.insert(0, own)
            ast.fix_missing_locations(module.tree)
    modules[MODULE] = Module(MODULE, f"{PACKAGE}/texts.py", _board_source("texts.py"))
    ordered = list(texts)
    for first in range(0, len(ordered), _IN_ONE_FILE):
        name = f"{MODULE}{first // _IN_ONE_FILE}"
        tree = module_of_texts(ordered[first : first + _IN_ONE_FILE])
        modules[name] = Module(name, name.replace(".", "/") + ".py", tree)


def _board_source(name: str) -> ast.Module:
    return stripped(ast.parse((_BOARD_SOURCES / name).read_text("utf-8")))


def module_of_texts(texts: list[str]) -> ast.Module:
    """Of up to 64 texts, in ASCII: its decoded(number) gives each."""
    parts, pairs = coded(texts)
    values = {"_CODED": b"".join(part + b"\0" for part in parts), "_PAIRS": pairs}
    tree = _board_source("some_texts.py")
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                node.value = ast.Constant(values[name])
    return tree


class _Taker(ast.NodeTransformer):
    """Texts in what is raised, and in what makes an error."""

    def __init__(self, makers: set[str], texts: dict[str, int]):
        self.took = False
        self._makers = makers
        self._texts = texts
        self._depth = 0

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self._within(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in self._makers:
            return self._within(node)
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        match node:
            # Filled in there: what stands for a text that cannot be loaded has no places for it.
            case ast.BinOp(ast.Call(ast.Name(id=name), [_]) as call, ast.Mod(), values) if (
                name == _NAME
            ):
                call.args.append(values)
                return call
        return node

    def _within(self, node: ast.AST) -> ast.AST:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        text = node.value
        if not self._depth or not isinstance(text, str) or len(text) < _LEAST_CHARS:
            return node
        if " " not in text.strip():
            return node
        self.took = True
        number = self._texts.setdefault(text, len(self._texts))
        return ast.Call(ast.Name(_NAME, ast.Load()), [ast.Constant(number)], [])
