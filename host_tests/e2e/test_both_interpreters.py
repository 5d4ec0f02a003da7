"""The plain tests of the pure modules run under MicroPython too: the same files, the same number
of tests, no failure."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAIN_TESTS = "host_tests/unit/iothub"
MICROPYTHON = Path(sys.executable).parent / "micropython"
# Nothing else is importable: the tests by their full name, and the library.
MICROPYPATH = f"{ROOT}:{ROOT / 'firmware/lib'}:{ROOT / 'firmware'}:.frozen"
TIMEOUT_S = 120

_FILE_LINE = re.compile(r"^(?P<file>\S+): (?P<tests>\d+) tests, (?P<failures>\d+) failures$", re.M)


def run_under_micropython(
    files: list[str], tmp_path: Path, path: str = MICROPYPATH
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MICROPYTHON), "-X", "heapsize=8m", "host_tests/under_micropython.py", *files],
        cwd=ROOT,
        env={"MICROPYPATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def counts(output: str) -> dict[str, tuple[int, int]]:
    """{file: (tests, failures)}, and the totals as file "total"."""
    return {
        found["file"]: (int(found["tests"]), int(found["failures"]))
        for found in _FILE_LINE.finditer(output)
    }


def collected_by_pytest() -> Counter[str]:
    """{file: tests}, of the plain tests as pytest sees them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", PLAIN_TESTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Counter(line.split("::")[0] for line in done.stdout.splitlines() if "::" in line)


def test_the_plain_tests_pass_under_micropython_in_equal_number(tmp_path):
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / PLAIN_TESTS).rglob("test_*.py"))
    expected = collected_by_pytest()
    done = run_under_micropython(files, tmp_path)
    found = counts(done.stdout)
    total = found.pop("total", (0, 0))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert found == {file: (expected[file], 0) for file in files}
    assert set(expected) == set(files)
    assert total == (expected.total(), 0)
    print(f"{total[0]} tests of {len(files)} files under both interpreters")


def test_the_runner_sees_what_fails(tmp_path):
    (tmp_path / "test_mixed.py").write_text(
        "def test_good(): pass\n"
        "def test_wrong(): assert 1 == 2\n"
        "def test_broken(): undefined_name\n"
        "def helper(): raise ValueError\n"
    )
    (tmp_path / "test_unreadable.py").write_text("def test_never(: pass\n")
    done = run_under_micropython(
        ["test_mixed.py", "test_unreadable.py", "test_missing.py"], tmp_path, str(tmp_path)
    )
    assert done.returncode == 1
    assert counts(done.stdout) == {
        "test_mixed.py": (3, 2),
        "test_unreadable.py": (0, 1),
        "test_missing.py": (0, 1),
        "total": (3, 4),
    }
    for told in ("test_wrong", "AssertionError", "test_broken", "NameError", "SyntaxError"):
        assert told in done.stdout


def test_nothing_else_can_be_imported_there(tmp_path):
    (tmp_path / "test_isolation.py").write_text(
        "import sys\n"
        f"def test_path(): assert sys.path[1:] == [{str(tmp_path)!r}], sys.path\n"
        "def test_asyncio():\n"
        "    try:\n"
        "        import asyncio\n"
        "    except ImportError:\n"
        "        return\n"
        "    assert False\n"
    )
    done = run_under_micropython(["test_isolation.py"], tmp_path, str(tmp_path))
    assert counts(done.stdout)["total"] == (2, 0), done.stdout
