"""Integer constants of Python sources, read without importing them: some run on boards only."""

import ast
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def tracked_files(folder: str = ".") -> list[str]:
    """What git has below a folder, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def integer_constants(path: Path) -> dict[str, int]:
    """`NAME`, and `Class.name` for those of a class, of a module's own assignments."""
    known: dict[str, Any] = {"const": int}
    constants: dict[str, int] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                for name, value in _assigned(statement, known):
                    constants[f"{node.name}.{name}"] = value
        for name, value in _assigned(node, known):
            known[name] = constants[name] = value
    return constants


def _assigned(node: ast.stmt, known: dict[str, Any]) -> list[tuple[str, int]]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
            pass
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            pass
        case _:
            return []
    try:
        result = eval(
            compile(ast.Expression(value), "constant", "eval"), {"__builtins__": {}}, known
        )
    except (NameError, TypeError, AttributeError):
        return []
    return [(name, result)] if type(result) is int else []
