"""The packages of `make mip`: complete, whole, and installed by MicroPython's own mip."""

import ast
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tests.target.desk_board import MICROPYTHON
from host_tests.unit.tools.package_server import package_server
from tools.bytecode import library
from tools.fetch.install import CLONE
from tools.mip import __main__ as mip
from tools.mip.packages import CORE, PLAN, make_packages, version, write_packages

TIMEOUT_S = 60
# What a user of each package does first, on a device that has it and the core.
FIRST_USE = {
    "shadow": "device.shadow",
    "rrpc": "device.rrpc",
    "gateway": "device.gateway",
    "config": "device.remote_config",
    "broadcast": "device.broadcast",
    "http": "device.http",
    "log": "device.log",
    "register": "import iothub.net.register",
    "coap": "device.coap",
    "ota": "device.ota; from iothub.net import updates, stages, fetch, follow, trial",
    "websocket": "import iothub.net.websocket",
    "repl": "import iothub.net.repl",
}
DEVICE = """
import sys
sys.path[:] = [sys.argv[1], ".frozen"]
from iothub.config import Config
from iothub import Device
fields = {"product_id": "A1B2C3D4E5", "device_name": "d", "device_secret": "c2VjcmV0"}
fields["http"] = {"transport": "http"}  # needs no anchors
device = Device(Config(fields))
"""


@pytest.fixture(scope="module")
def packages():
    return {package.name: package for package in make_packages()}


@pytest.fixture(scope="module")
def server(packages, tmp_path_factory) -> Iterator[str]:
    with package_server(list(packages.values()), tmp_path_factory.mktemp("mip")) as url:
        yield url


def micropython(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [MICROPYTHON, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_packages_together_are_the_library(packages):
    files = {path for package in packages.values() for path in package.files}
    loaded = library().sources.keys() - library().literals
    library_files = {path.replace(".py", ".mpy") for path in loaded}
    assert files == library_files | {"umqtt/simple.mpy"}
    for name, package in packages.items():
        if name != CORE:
            assert not package.files.keys() & packages[CORE].files.keys(), name


def test_each_package_needs_the_core_and_itself_only(packages):
    sources = library().sources
    for name, package in packages.items():
        there = packages[CORE].files.keys() | package.files.keys()
        for path in package.files.keys() - {"umqtt/simple.mpy"}:
            for module in imports(sources[path.replace(".mpy", ".py")]):
                file = module.replace(".", "/")
                found = {f"{file}.mpy", f"{file}/__init__.mpy"} & there
                # The core looks for services when they are used, and may not find them.
                assert found or name == CORE, f"{name}: {path} imports {module}"


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("iothub"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("iothub."):
            yield str(node.module)


@pytest.mark.parametrize("name", sorted(FIRST_USE))
def test_mip_installs_a_package_with_its_core_and_it_works(name, server, tmp_path):
    install = "import mip, sys; mip.install(sys.argv[1], target=sys.argv[2])"
    told = micropython(install, f"{server}/{name}/package.json", str(tmp_path))
    assert "Done" in told
    micropython(DEVICE + FIRST_USE[name], str(tmp_path))


def test_every_service_has_its_package(packages):
    assert set(packages) == {CORE, *FIRST_USE}


def test_the_core_alone_makes_a_device(server, tmp_path):
    install = "import mip, sys; mip.install(sys.argv[1], target=sys.argv[2])"
    micropython(install, f"{server}/{CORE}/package.json", str(tmp_path))
    told = micropython(DEVICE + "print(device.identity.client_id)", str(tmp_path))
    assert told == "b'A1B2C3D4E5d'\n"


def test_the_version_is_the_projects_everywhere(packages, tmp_path, capsys):
    assert mip.main(["--output", str(tmp_path)]) == 0
    assert f"version {version()} in" in capsys.readouterr().out
    for name in packages:
        description = json.loads((tmp_path / name / "package.json").read_text())
        assert description["version"] == version()
        assert description["deps"] == []
        for target, url in description["urls"]:
            assert (tmp_path / name / url).is_file(), target
    manifest = (CLONE / "boards/library_manifest.py").read_text()
    assert f'version="{version()}"' in manifest


@pytest.mark.parametrize(
    "path", ["thesis.txt", "core/main.py", "site/package.json", "core"], ids=lambda path: path
)
def test_a_folder_with_anything_else_is_left_alone(packages, tmp_path, path):
    mine = tmp_path / path
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else"):
        write_packages(list(packages.values()), tmp_path)
    assert mine.read_text() == "mine"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [mine]


def test_packages_are_made_anew_after_a_run_that_was_stopped(packages, tmp_path):
    write_packages(list(packages.values()), tmp_path)
    (tmp_path / "core/package.json").unlink()
    (tmp_path / "core/iothub/of_before.mpy").write_bytes(b"M")
    write_packages(list(packages.values()), tmp_path)
    assert (tmp_path / "core/package.json").is_file()
    assert not (tmp_path / "core/iothub/of_before.mpy").exists()


def test_no_pattern_is_left_over(packages):
    plan = tomllib.loads(PLAN.read_text())
    patterns = [p for group in plan.pop("shared").values() for p in group]
    patterns += [p for each in plan.values() for p in each["files"]]
    files = {path for package in packages.values() for path in package.files}
    for pattern in patterns:
        assert any(Path(path).match(f"iothub/{pattern}.mpy") for path in files), pattern
