"""docs/api.md has every public call as the stubs have it, in both languages, and its programs do
what it says they print."""

import pytest

from host_tests.unit.house import public_api
from host_tests.unit.house.constants import ROOT, integer_constants
from host_tests.unit.house.markdown import Paper, unquoted
from host_tests.unit.house.public_api import Call, Class
from host_tests.unit.house.test_papers import ERRORS
from host_tests.unit.house.test_readme_examples import PRINTED_DEVICE, desk, device, run

PAPERS = [Paper(ROOT / f"docs/api{language}.md") for language in ("", ".zh-CN")]
EVENT_HEADERS = ("Event", "事件")
STUBS = public_api.stubs()
EVENT_MODULES = ("mqtt.engine", "net.session", "net.services", "port.joining", "device")
CLASSES = {
    name: (stub, found)
    for stub in STUBS.values()
    for name, found in stub.classes.items()
    if found.calls or found.attributes  # the errors' kinds are in docs/errors.md
}
# Their members are in the tables of the classes that are built on them.
BASES = {"Log", "Ota"}
# docs/configuration.md has its fields, compared with the code as well.
FIELDS = set(CLASSES["Config"][1].attributes) - {"identity"}
BLOCKS = PAPERS[0].blocks
PROGRAMS = [i for i, (language, _) in enumerate(BLOCKS) if language == "python"]
each_language = pytest.mark.parametrize("language", [0, 1], ids=["en", "zh"])

__all__ = ["desk"]  # the fixture


def written(name: str, call: Call) -> str:
    if call.kind == "property":
        return name
    name = {"__call__": ""}.get(name, name)
    return ("await " if call.is_async else "") + f"{name}({call.parameters})"


def members(name: str) -> set[str]:
    """The first cells of a class's table."""
    stub, _ = CLASSES[name]
    merged: list[Class] = []
    for i, each in enumerate(public_api.lineage(stub, name, public_api.stub_of)):
        if i == 0 or each in [CLASSES[base][1] for base in BASES]:
            merged.append(each)
    cells = set()
    for each in merged:
        cells |= {written({"__init__": name}.get(key, key), c) for key, c in each.calls.items()}
        cells |= set(each.attributes)
    return cells - (FIELDS if name == "Config" else set())


def expected() -> dict[str, set[str]]:
    """The tables there must be: a class's, and one for each module with functions."""
    tables = {name: members(name) for name in CLASSES if name not in BASES}
    for module, stub in STUBS.items():
        if stub.calls:
            tables[module] = {written(name, call) for name, call in stub.calls.items()}
    return tables


@each_language
def test_every_public_call_is_there_as_the_stubs_have_it(language):
    found = {
        unquoted(table[0][0]): {unquoted(row[0]) for row in table[1:]}
        for table in PAPERS[language].tables
        if table[0][0] != EVENT_HEADERS[language]
    }
    assert found == expected()


@each_language
def test_every_event_is_there_with_its_number(language):
    asleep = integer_constants(public_api.source_of("iothub.cycle"))["ASLEEP"]
    events = {"ASLEEP": ("iothub.cycle", str(asleep))}
    for module in (f"iothub.{name}" for name in EVENT_MODULES):
        values = integer_constants(public_api.source_of(module))
        public = {name for name in STUBS[module].constants if not name.startswith("_")}
        events |= {name: (module, str(values[name])) for name in public}
    rows = PAPERS[language].table(EVENT_HEADERS[language])
    assert {unquoted(row[0]): (unquoted(row[1]), row[2]) for row in rows} == events


@each_language
def test_it_names_no_error_that_there_is_not(language):
    known = {unquoted(row[0]) for row in ERRORS[language].tables[0][1:]}
    for table in PAPERS[language].tables:
        for row in table[1:]:
            raised = row[-1] if len(row) == 3 else ""
            words = {word.strip("(),;、；：（）") for word in raised.replace("、", " ").split()}
            assert {word for word in words if word.endswith(("Error", "Input", "Full"))} <= known


@pytest.mark.parametrize("at", PROGRAMS, ids=[str(number) for number in range(len(PROGRAMS))])
def test_a_program_prints_what_it_says(at, desk):
    language, printed = BLOCKS[at + 1]
    assert language == "text"
    expected = printed.replace(PRINTED_DEVICE, device(desk)).splitlines()
    assert run(desk, BLOCKS[at][1], None, "") == expected


def test_the_orientation_at_the_repl_can_be_typed(desk):
    """Each line of hub.help() that is a call runs as it stands."""
    start = 'from iothub import connect\nhub = connect(".hub/device.json")\nhub.help()\n'
    online, *lines = run(desk, start, None, "")
    assert online == f"online as {device(desk)}" and 5 <= len(lines) <= 10
    assert run(desk, start + "hub.help()\n", None, "") == [online, *lines, *lines]
    calls = [line.split("   ")[0] for line in lines if line.startswith("hub.")]
    assert len(calls) == 5
    typed = "\n".join(calls).replace("listen(10)", "listen(0.1)")
    assert run(desk, start + "f = print\n" + typed, None, "")[:1] == [online]
    (examine,) = [line.split("   ")[0] for line in lines if "doctor" in line]
    typed = examine.replace("device.json", ".hub/device.json")
    *_, login = run(desk, typed + "\n", None, "")
    assert login.startswith("login") and "ok: " in login
