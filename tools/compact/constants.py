"""The constants of a module: names that a literal can stand for wherever they are used."""

import ast

Literal = int | str | bytes


def constants_of(tree: ast.Module) -> dict[str, Literal]:
    """`NAME = const(<integer>)`, and upper-case names of a literal number, text or bytes."""
    found: dict[str, Literal] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known = constant(value, found, name.isupper())
                if known is not None:
                    found[name] = known
    return found


def constant(value: ast.expr, known: dict[str, Literal], literals: bool) -> Literal | None:
    """What `value` is, if it is const() of an integer, or with `literals` a literal."""
    match value:
        case ast.Call(func=ast.Name(id="const"), args=[inner]):
            code = compile(ast.fix_missing_locations(ast.Expression(inner)), "const", "eval")
            result = eval(code, {}, dict(known))
            return result if type(result) is int else None
        case ast.Constant(value=int() | str() | bytes() as plain) if literals:
            return None if isinstance(plain, bool) else plain
    return None
