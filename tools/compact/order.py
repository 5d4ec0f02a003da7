"""Gives the names a file has most often the smallest numbers in it.

Bytecode means a name by its number in the file, in one byte below 128 and in two above; numbers go
by first appearance. So a file begins with code that names them, and that the compiler drops, since
it cannot be reached."""

import ast
from collections import Counter

from tools.compact.library import FUNCTIONS, arguments, local_names, own_nodes

_ONE_BYTE = 126  # two are the file's own
_LEAST_NAMES = 128


def with_frequent_names_first(tree: ast.Module) -> ast.Module:
    uses: Counter[str] = Counter()
    _count(tree, frozenset(), uses)
    names = [name for name, _ in sorted(uses.items(), key=lambda item: (-item[1], item[0]))]
    if len(names) <= _LEAST_NAMES:
        return tree
    chain: ast.expr = ast.Name(names[0], ast.Load())
    for name in names[1:_ONE_BYTE]:
        chain = ast.Attribute(chain, name, ast.Load())
    never = ast.While(ast.Constant(True), [ast.Break(), ast.Expr(chain)], [])
    return ast.fix_missing_locations(ast.Module([never, *tree.body], []))


def _count(scope: ast.AST, outer: frozenset[str], uses: Counter[str]) -> None:
    """`outer` are the locals of the functions around it, which have no number."""
    own = set(outer)
    if isinstance(scope, FUNCTIONS):
        own |= local_names(scope)
        uses.update(argument.arg for argument in arguments(scope))
    for node in own_nodes(scope):
        match node:
            case ast.Name(id=name):
                if name not in own:
                    uses[name] += 1
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                uses[name] += 1
            case ast.alias(name=name):
                uses[name] += 1
            case ast.Constant(value=str(text)) if text.isidentifier() and len(text) < 10:
                uses[text] += 1
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                uses[name] += 2
            case ast.ClassDef(name=name):
                uses[name] += 2
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            for part in ast.iter_child_nodes(node):
                if not isinstance(part, (ast.stmt, ast.arguments)):
                    _count_expression(part, own, uses)
            _count(node, frozenset(own) if isinstance(node, FUNCTIONS) else outer, uses)


def _count_expression(node: ast.AST, own: set[str], uses: Counter[str]) -> None:
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each.id not in own:
            uses[each.id] += 1
        elif isinstance(each, ast.Attribute):
            uses[each.attr] += 1
