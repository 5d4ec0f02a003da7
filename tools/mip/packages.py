"""From the compiled library to packages: which files, and a package.json for each."""

import json
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tools.bytecode import FIRMWARE, compile_file, compile_library, library
from tools.fetch.install import CLONE

PLAN = Path(__file__).with_name("packages.toml")
CORE = "core"
_LIBRARY = "iothub/"
_CLIENT = "umqtt/simple.mpy"  # what the package `repl` is built on
_CLIENT_PACKAGE = "repl"
_DESCRIPTION = "package.json"


@dataclass(frozen=True)
class Package:
    """`files`: content by path below the board's lib folder."""

    name: str
    about: str
    files: dict[str, bytes]


def version() -> str:
    """The project's own, which each package has."""
    with (CLONE / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def make_packages() -> list[Package]:
    """The core first. Raises tools.bytecode.CompileError."""
    plan = tomllib.loads(PLAN.read_text("utf-8"))
    shared = plan.pop("shared")
    compiled = _compiled()
    packages: list[Package] = []
    taken: set[str] = set()
    for name, each in plan.items():
        patterns = [*each["files"], *(p for group in each["shared"] for p in shared[group])]
        files = {path: content for path, content in compiled.items() if _is_one_of(path, patterns)}
        if name == _CLIENT_PACKAGE:
            files[_CLIENT] = compiled[_CLIENT]
        taken |= files.keys()
        packages.append(Package(name, each["about"], files))
    rest = {path: content for path, content in compiled.items() if path not in taken}
    return [Package(CORE, "what connects, and all packages need", rest), *packages]


def write_packages(packages: list[Package], folder: Path, base_url: str | None = None) -> None:
    """A folder each, with package.json and the files it names, to be served from anywhere.
    With `base_url`, where they will be, each brings the core along. Packages that are there
    already go; raises OSError, and removes nothing, where there is anything else."""
    there = sorted(folder.iterdir()) if folder.exists() else []
    for place in there:
        if not _is_package(place, {package.name for package in packages}):
            reason = f"{folder} holds something else, {place.name}; nothing was removed"
            raise FileExistsError(f"{reason}. Name an empty folder, or one of packages: --output")
    for place in there:
        shutil.rmtree(place)
    for package in packages:
        place = folder / package.name
        for path, content in package.files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        description = {
            "version": version(),
            "urls": [[path, path] for path in sorted(package.files)],
            "deps": [],
        }
        if base_url is not None and package.name != CORE:
            description["deps"] = [[f"{base_url.rstrip('/')}/{CORE}/{_DESCRIPTION}", version()]]
        text = json.dumps(description, indent=1) + "\n"
        (place / _DESCRIPTION).write_text(text, encoding="utf-8")


def _compiled() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compile_library(library(), folder)
        compile_file(FIRMWARE / "lib/umqtt/simple.py", folder / _CLIENT, ("-O3",))
        for path in library().literals:
            (folder / path).with_suffix(".mpy").unlink()
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.mpy"))
        }


def _is_package(place: Path, names: set[str]) -> bool:
    """Whether write_packages() made it, also if it was stopped half-way."""
    if place.name not in names or not place.is_dir():
        return False
    files = [path for path in place.rglob("*") if not path.is_dir()]
    return all(path.suffix == ".mpy" or path.name == _DESCRIPTION for path in files)


def _is_one_of(path: str, patterns: list[str]) -> bool:
    inside = path.removeprefix(_LIBRARY).removesuffix(".mpy")
    return path.startswith(_LIBRARY) and any(fnmatch(inside, pattern) for pattern in patterns)
