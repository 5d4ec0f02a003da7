"""`make lock`: pins requirements.in, with hashes, into requirements.lock, for every platform and
Python from 3.11 on. Uses uv from a throw-away environment: only who locks needs it."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

_UV = "uv==0.13.9"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        install = [str(binaries / "pip"), "install", "--quiet", _UV]
        if subprocess.run(install, timeout=600).returncode:
            print("lock: uv could not be installed: check the network", file=sys.stderr)
            return 1
        options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
        quiet = ["--quiet", "--no-annotate", "--no-header", "--no-emit-index-url"]
        files = ["requirements.in", "-o", "requirements.lock"]
        command = [str(binaries / "uv"), "pip", "compile", *options, *quiet, *files]
        return subprocess.run(command, timeout=600).returncode


if __name__ == "__main__":
    sys.exit(main())
