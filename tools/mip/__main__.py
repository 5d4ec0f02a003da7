"""Command line of `make mip`."""

import argparse
import sys
from pathlib import Path

from tools.bytecode import CompileError
from tools.fetch.install import CLONE
from tools.mip.packages import make_packages, version, write_packages

OUTPUT = CLONE / "build/mip"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when the packages are there, else 1."""
    parser = argparse.ArgumentParser(prog="make mip", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument(
        "--url", help="where the packages will be served; each brings the core along then"
    )
    wanted = parser.parse_args(arguments)
    try:
        packages = make_packages()
        write_packages(packages, wanted.output, wanted.url)
    except (CompileError, OSError) as error:
        print(f"mip: {error}", file=sys.stderr)
        return 1
    for package in packages:
        size_bytes = sum(map(len, package.files.values()))
        what = f"{len(package.files)} files, {size_bytes} bytes"
        print(f"{package.name:<10} {what:<24} {package.about}")
    print(f"version {version()} in {wanted.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
