"""Installs the emulator's one npm package, exactly as package-lock.json says, on first use."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

from tools.pico.errors import EmulatorError

PACKAGE_FOLDER = Path(__file__).parent
INSTALL_TIMEOUT_S = 300
_INSTALL_NODE = "Install Node.js 18.3 or newer with npm (Debian: apt-get install nodejs npm)."


def node_command() -> str:
    """Returns the path of node, with the packages in place. Raises `EmulatorError`."""
    node = shutil.which("node")
    if node is None:
        raise EmulatorError(f"starting the emulator: node was not found. {_INSTALL_NODE}")
    if not _is_installed():
        # Two test runs may start at once, and npm does not expect company in its folder.
        with (PACKAGE_FOLDER / "package.json").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_installed():
                _install()
    return node


def _is_installed() -> bool:
    """True if each package of the lock file is there in its version."""
    locked = json.loads((PACKAGE_FOLDER / "package-lock.json").read_text())["packages"]
    for path, package in locked.items():
        description = PACKAGE_FOLDER / path / "package.json"
        if not path:  # the emulator itself
            continue
        if not description.is_file():
            return False
        if json.loads(description.read_text())["version"] != package["version"]:
            return False
    return True


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EmulatorError(f"installing rp2040js: npm was not found. {_INSTALL_NODE}")
    try:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=PACKAGE_FOLDER,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"`npm ci` was not finished after {INSTALL_TIMEOUT_S} s: check the network."
        raise EmulatorError(f"installing rp2040js: {reason}") from None
    if done.returncode != 0:
        reason = (
            f"`npm ci` in tools/pico ended with status {done.returncode}: {done.stderr[-500:]}"
        )
        raise EmulatorError(f"installing rp2040js: {reason}")
