"""Imports point one way (ARCHITECTURE.md): leaves know leaves only, everything that knows a
protocol is without I/O, and only the ports know a chip. Imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ROOT / "firmware"
LIBRARY = FIRMWARE / "lib/iothub"
HUB = ROOT / "tools/hub"

# Modules beside the folders are leaves, but for those that join everything.
JOINTS = {"__init__", "assembly", "cycle", "device", "doctor", "timekeeper"}
PURE_FOLDERS = {"mqtt", "codec", "services", "store", "update"}
# folder of firmware/lib/iothub ("" are the leaves): where in the library it may import from
MAY_IMPORT = {
    "": {""},
    **{folder: {"", folder} for folder in PURE_FOLDERS},
    "net": {"", "net"} | PURE_FOLDERS,
    "port": {"", "port"},
}
# What pure modules may use of the interpreter's own: no I/O, no clock, no chance.
PURE_LIBRARY = {"binascii", "hashlib", "json", "struct"}
PURE_EXCEPTIONS = {
    "compat": {"micropython"},  # const(), where there is one
    "loading": {"sys"},  # to let go of modules
}
CHIP_MODULES = {"machine", "network", "esp32", "rp2"}
# They start whatever application there is, before any port can be imported.
BOOT_MODULES = {FIRMWARE / name for name in ("boot.py", "factory.py", "slotboot.py")}
# Only this module is built on the client people know.
UMQTT_MODULE = "net/mqtt.py"


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports; for `from a import b` a.b where b is a module.
    for_now("a.b") and load("a.b") import too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if is_library_module(full) else node.module
        else:
            match node:
                case ast.Call(
                    func=ast.Name(id="for_now" | "load"), args=[ast.Constant(value=str(name))]
                ):
                    yield name


def is_library_module(name: str) -> bool:
    path = FIRMWARE / "lib" / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def folder_of(module: str) -> str:
    """The folder of a library module: "mqtt" for iothub.mqtt.engine, "" for iothub.errors."""
    inside = module.split(".")[1:]
    is_folder = bool(inside) and (LIBRARY / inside[0]).is_dir()
    return inside[0] if is_folder else ""


def library_files() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


def python_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "umqtt" not in p.parts)


def broken_laws(path: Path) -> list[str]:
    """What a library file imports and may not."""
    inside = path.relative_to(LIBRARY)
    folder = inside.parts[0] if len(inside.parts) > 1 else ""
    if folder == "" and path.stem in JOINTS:
        return []
    pure = folder == "" or folder in PURE_FOLDERS
    broken = []
    for module in imports(path):
        top = module.split(".")[0]
        if top == "iothub":
            joint = module.split(".")[1:] in [[joint] for joint in JOINTS]
            if joint or folder_of(module) not in MAY_IMPORT[folder]:
                broken.append(module)
        elif pure:
            exceptions = PURE_EXCEPTIONS.get(path.stem, set()) if folder == "" else set()
            if top not in PURE_LIBRARY | exceptions:
                broken.append(module)
        elif top == "umqtt" and inside.as_posix() != UMQTT_MODULE:
            broken.append(module)
    return broken


def test_every_folder_of_the_library_has_its_law():
    folders = {p.name for p in LIBRARY.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= set(MAY_IMPORT), f"no law for {sorted(folders - set(MAY_IMPORT))}"
    nested = [p for p in LIBRARY.glob("*/*/*.py") if "__pycache__" not in p.parts]
    assert nested == [], "folders are one deep"


@pytest.mark.parametrize("path", library_files(), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_the_library_imports_one_way(path):
    assert broken_laws(path) == []


def test_importing_the_package_imports_nothing():
    tree = ast.parse((LIBRARY / "__init__.py").read_text())
    assert not [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("path", python_files(FIRMWARE), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_ports_know_the_chip_and_nothing_knows_the_host(path):
    found = {name.split(".")[0] for name in imports(path)}
    if path.parent != LIBRARY / "port" and path not in BOOT_MODULES:
        assert not found & CHIP_MODULES
    assert not found & {"tools", "host_tests"}


def test_the_hub_and_the_firmware_share_no_code():
    for path in python_files(HUB):
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & {"iothub", "umqtt", "app", "boot", "main", "host_tests"}, path


def test_no_tool_runs_firmware_code_but_those_that_must():
    # They compare, sign with or add to the very code of the board; others judge it from outside.
    allowed = {"sign.py", "bench", "compact", "size", "demo"}
    for path in python_files(ROOT / "tools"):
        if path.relative_to(ROOT / "tools").parts[0] not in allowed:
            found = {name.split(".")[0] for name in imports(path)}
            assert not found & {"iothub", "umqtt", "app"}, path


def test_a_broken_law_is_seen(tmp_path, monkeypatch):
    # The library as it is, and in each folder a module that breaks each law.
    monkeypatch.setattr(f"{__name__}.LIBRARY", tmp_path)
    for folder in MAY_IMPORT:
        (tmp_path / folder).mkdir(exist_ok=True)
    for place, source, expected in (
        ("leaf.py", "import socket", ["socket"]),
        ("leaf.py", "from iothub.mqtt import packet", ["iothub.mqtt.packet"]),
        ("leaf.py", "from iothub import device", ["iothub.device"]),
        ("mqtt/a.py", "def f():\n    import time", ["time"]),
        ("mqtt/a.py", "from iothub.store.queue import RamQueue", ["iothub.store.queue"]),
        ("store/a.py", "from iothub import net", ["iothub.net"]),
        ("codec/a.py", "import iothub.net.session", ["iothub.net.session"]),
        ("services/a.py", "from random import getrandbits", ["random"]),
        ("update/a.py", "import os, machine", ["os", "machine"]),
        ("net/a.py", "from iothub.port import Network", ["iothub.port"]),
        ("net/a.py", "from umqtt.simple import MQTTClient", ["umqtt.simple"]),
        ("port/a.py", "from iothub.net import session", ["iothub.net.session"]),
        ("mqtt/b.py", 'for_now("iothub.net.tls").explain()', ["iothub.net.tls"]),
        (
            "mqtt/a.py",
            "from iothub import errors\nfrom iothub.mqtt import packet\nimport json",
            [],
        ),
        ("net/a.py", "import socket, asyncio\nfrom iothub.mqtt.engine import Engine", []),
    ):
        path = tmp_path / place
        path.write_text(source)
        assert broken_laws(path) == expected, (place, source)
