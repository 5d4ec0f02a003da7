"""The stubs of the public API (firmware/stubs) are what the library's sources are: every name,
every parameter, every default, and nothing public forgotten."""

import pytest

from host_tests.unit.house import public_api
from host_tests.unit.house.public_api import Call, Class, Module

STUBS = public_api.stubs()
SOURCES = {name: Module(public_api.source_of(name)) for name in STUBS}
CLASSES = [(module, name) for module, stub in STUBS.items() for name in stub.classes]
# What is public for the other modules of the library, and not for an application.
BETWEEN_MODULES = {
    "Clock": {"set"},
    "Config": {"secret"},
    "Console": set(),
    "Device": {"tell", "listeners", "chip", "config", "profile"},
    "DeviceOta": {
        "save",
        "forget",
        "device",
        "journal",
        "tail_file",
        "record",
        "place",
        "installed",
        "turn",
        "may_run",
    },
    "Identity": {"system_topic"},
    "Log": {"request", "answer", "wants_to_leave", "batch", "sent"},
    "MQTTClient": {"write", "deliver", "acknowledged", "report", "sock"},
    "Ota": {"update", "cancel", "qos"},
    "Session": {"deliver", "acknowledged", "report", "write", "engine"},
    "SubDevice": {"enter"},
    "Task": {"alive_ms"},
}
# Of every service: what its driver calls and reads (services/service.py).
OF_DRIVERS = {"connected", "closed", "advance", "received", "qos", "pattern", "malformed"}


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__call__"


def services() -> dict[str, tuple[str, str]]:
    """What Device makes on first use, by its attribute: (module, class)."""
    found = {}
    for attribute, module in SOURCES["iothub.device"].literal("_SERVICES").items():
        name = f"iothub.net.{module}"
        classes = STUBS[name].classes
        if classes:
            (made,) = classes
            found[attribute] = (name, made)
    for attribute, (module, made) in SOURCES["iothub.net.services"].literal("_HOME").items():
        found[attribute] = (f"iothub.services.{module}", made)
    return found


def test_names_of_the_package_are_where_the_stub_says():
    home = SOURCES["iothub"].literal("_HOME")
    stub = STUBS["iothub"].imported
    assert {name: f"iothub.{module}" for name, module in home.items()} == {
        name: module for name, (module, _) in stub.items()
    }


def test_what_a_device_makes_on_first_use_is_declared():
    device = STUBS["iothub.device"].classes["Device"]
    made = services()
    assert len(made) >= 9
    for attribute, (module, name) in made.items():
        assert device.attributes.get(attribute) == name
        assert STUBS["iothub.device"].imported[name] == (module, name)


@pytest.mark.parametrize("name", STUBS)
def test_functions_and_constants_are_those_of_the_source(name):
    stub, source = STUBS[name], SOURCES[name]
    assert stub.calls == {each: source.calls.get(each) for each in stub.calls}
    public = {each for each in stub.constants if is_public(each)}
    assert public <= source.constants


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_a_class_is_that_of_the_source(module, name):
    stub = STUBS[module].classes[name]
    lineage = list(public_api.lineage(SOURCES[module], name))
    assert lineage, f"{name} is not in {module}"
    calls: dict[str, Call] = {}
    attributes: set[str] = set()
    for each in reversed(lineage):
        calls |= each.calls
        attributes |= set(each.attributes)
    assert stub.calls == {each: calls.get(each) for each in stub.calls}
    made = services() if name == "Device" else {}
    assert set(stub.attributes) - set(made) <= attributes


def forgotten(stub: list[Class], source: Class, name: str) -> set[str]:
    public = {each for each in {*source.calls, *source.attributes} if is_public(each)}
    for each in stub:
        public -= {*each.calls, *each.attributes}
    if "connected" in source.calls or "received" in source.calls:
        public -= OF_DRIVERS
    return public - BETWEEN_MODULES.get(name, set())


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_nothing_public_of_a_class_is_forgotten(module, name):
    source = SOURCES[module].classes[name]
    stub = list(public_api.lineage(STUBS[module], name, public_api.stub_of))
    assert forgotten(stub, source, name) == set()
    # Nor is anything kept back that is not there.
    known = {each for one in public_api.lineage(SOURCES[module], name) for each in one.calls}
    known |= {each for one in public_api.lineage(SOURCES[module], name) for each in one.attributes}
    assert BETWEEN_MODULES.get(name, set()) <= known


def test_every_error_has_its_stub():
    assert set(STUBS["iothub.errors"].classes) == set(SOURCES["iothub.errors"].classes)


def test_what_differs_is_seen(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        "_LIMIT = 5\n\n\nclass Lamp:\n    def __init__(self):\n        self.level = 0\n\n"
        "    async def dim(self, percent, step=_LIMIT, *more):\n        pass\n"
    )
    lamp = Module(source).classes["Lamp"]
    assert lamp.calls["dim"] == Call(True, "", "percent, step=5, *more")
    assert "level" in lamp.attributes
    for other in (
        "async def dim(self, percent, step=6, *more)",
        "async def dim(self, percent, steps=5, *more)",
        "async def dim(self, percent, step=5)",
        "def dim(self, percent, step=5, *more)",
    ):
        stub = tmp_path / "stub.pyi"
        stub.write_text(f"class Lamp:\n    {other}: ...\n")
        assert Module(stub).classes["Lamp"].calls != {"dim": lamp.calls["dim"]}
        assert forgotten([Module(stub).classes["Lamp"]], lamp, "Lamp") == {"level"}
