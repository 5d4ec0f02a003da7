"""Puts some of a module's classes into a module of their own, which few devices load."""

import ast

from tools.compact.library import CompactError, Module, bound_at_top

Apart = dict[str, dict[str, list[str]]]  # {module: {new module: its names}}

# For whoever imports the names from where the sources have them.
_LOOKUP = """
def __getattr__(name):
    return getattr(__import__({module!r}, None, None, (name,)), name)
"""


def put_apart(modules: dict[str, Module], plan: Apart) -> dict[str, ast.stmt]:
    """Moves them, and has every import find them. Returns {module: what its stub needs to find
    what it had}. Raises CompactError."""
    lookups = {}
    for origin, parts in plan.items():
        for name, taken in parts.items():
            modules[name] = _taken(modules[origin], name, set(taken))
            lookups[origin] = ast.parse(_LOOKUP.format(module=name)).body[0]
            for module in modules.values():
                _Redirect(origin, name, set(taken)).visit(module.tree)
                ast.fix_missing_locations(module.tree)
    return lookups


def _taken(origin: Module, name: str, taken: set[str]) -> Module:
    classes = [n for n in origin.tree.body if isinstance(n, ast.ClassDef) and n.name in taken]
    missing = taken - {node.name for node in classes}
    if missing:
        raise CompactError(f"{origin.name} has no class {', '.join(sorted(missing))} to put apart")
    origin.tree.body = [node for node in origin.tree.body if node not in classes]
    aliases = [ast.alias(each) for each in sorted(bound_at_top(origin.tree))]
    body: list[ast.stmt] = [ast.ImportFrom(origin.name, aliases, 0), *classes]
    path = name.replace(".", "/") + ".py"
    return Module(name, path, ast.fix_missing_locations(ast.Module(body, [])))


class _Redirect(ast.NodeTransformer):
    """`from origin import taken` becomes `from name import taken`."""

    def __init__(self, origin: str, name: str, taken: set[str]):
        self._origin = origin
        self._name = name
        self._taken = taken

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.stmt]:
        if node.module != self._origin or node.level:
            return node
        theirs = [alias for alias in node.names if alias.name in self._taken]
        node.names = [alias for alias in node.names if alias.name not in self._taken]
        moved = ast.ImportFrom(self._name, theirs, 0)
        return [each for each in (node, moved) if each.names]
