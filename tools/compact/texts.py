"""Takes the texts of errors out of the library: they are loaded when one is made."""

import ast
from pathlib import Path

from tools.compact.library import PACKAGE, Module, stripped

MODULE = PACKAGE + ".texts"
ERRORS = PACKAGE + ".errors"
_BOARD_SOURCE = Path(__file__).with_name("board") / "texts.py"
_NAME = "_text_of_an_error"
_IN_ONE_FILE = 32  # as the module on the board has it
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
    tree = stripped(ast.parse(_BOARD_SOURCE.read_text("utf-8")))
    modules[MODULE] = Module(MODULE, f"{PACKAGE}/texts.py", tree)
    ordered = list(texts)
    for first in range(0, len(ordered), _IN_ONE_FILE):
        number = first // _IN_ONE_FILE
        some = ", ".join(repr(text) for text in ordered[first : first + _IN_ONE_FILE])
        path = f"{PACKAGE}/texts{number}.py"
        modules[f"{MODULE}{number}"] = Module(
            f"{MODULE}{number}", path, ast.parse(f"TEXTS = ({some},)")
        )


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
