"""Checks types in three runs: the host's code against CPython's library (pyproject.toml), what
runs under MicroPython against MicroPython's (mypy-micropython.ini), and what is written with the
library against the stubs that editors read (mypy-application.ini).

    python -m tools.typecheck
"""

import shutil
import subprocess
import sys
from importlib.metadata import files, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# pip put the stubs among the host's packages, where mypy will not take a standard library from;
# here they are alone.
TYPINGS = ROOT / ".cache/typings"
STUBS = ("micropython-unix-stubs", "micropython-stdlib-stubs")
HOST_CONFIG = "pyproject.toml"
MICROPYTHON_CONFIG = "mypy-micropython.ini"
APPLICATION_CONFIG = "mypy-application.ini"
TIMEOUT_S = 300


def gather_stubs() -> None:
    """Copies the installed stubs to TYPINGS, unless those there are of the same versions."""
    marker = TYPINGS / "versions"
    versions = "\n".join(f"{name} {version(name)}" for name in STUBS)
    if marker.is_file() and marker.read_text() == versions:
        return
    shutil.rmtree(TYPINGS, ignore_errors=True)
    for name in STUBS:
        for file in files(name) or ():
            if file.suffix == ".pyi" or file.name == "VERSIONS":
                target = TYPINGS / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    marker.write_text(versions)


def check(config: str, *paths: str) -> subprocess.CompletedProcess[str]:
    """mypy with a configuration file, on its own files or on `paths`."""
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, *paths],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )


def main() -> int:
    gather_stubs()
    status = 0
    for config in (HOST_CONFIG, MICROPYTHON_CONFIG, APPLICATION_CONFIG):
        done = check(config)
        print(done.stdout, end="")
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
