"""The papers say what the code does: their tables, diagrams, commands and links are compared."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from iothub import config, errors, hints, regions
from iothub.mqtt.engine import CLOSED, LEGAL_PACKETS, LOGGING_IN, ONLINE, Engine
from iothub.services.ntp import Ntp
from iothub.store.queue import RamQueue
from iothub.timeouts import TIME_ANSWER_MS
from iothub.update import download

from host_tests.unit.house.constants import ROOT, integer_constants, tracked_files
from host_tests.unit.house.markdown import Paper, unquoted
from tools.hub import cli as hub_cli

LIBRARY = ROOT / "firmware/lib/iothub"
HUB = ROOT / "tools/hub"
README = Paper(ROOT / "README.md")
README_ZH = Paper(ROOT / "README.zh-CN.md")
CONFIGURATION, ERRORS = (
    [Paper(ROOT / f"docs/{name}{language}.md") for language in ("", ".zh-CN")]
    for name in ("configuration", "errors")
)
ARCHITECTURE = Paper(ROOT / "ARCHITECTURE.md")
CONTRIBUTING = Paper(ROOT / "CONTRIBUTING.md")
# English and Chinese.
PAIRS = [
    (README, README_ZH),
    *(
        (Paper(ROOT / f"docs/{name}.md"), Paper(ROOT / f"docs/{name}.zh-CN.md"))
        for name in ("api", "cost", "hardware", "production", "tls", "trust", "update")
    ),
    tuple(CONFIGURATION),
    tuple(ERRORS),
]
PAPERS = [
    *(paper for pair in PAIRS for paper in pair),
    ARCHITECTURE,
    CONTRIBUTING,
    Paper(ROOT / "CHANGELOG.md"),
    Paper(ROOT / "docs/vocabulary.md"),
]
each_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.path.name)
each_pair = pytest.mark.parametrize(
    ("english", "chinese"), PAIRS, ids=[english.path.stem for english, _ in PAIRS]
)
each_language = pytest.mark.parametrize("language", [0, 1], ids=["en", "zh"])
each_readme = pytest.mark.parametrize("readme", [README, README_ZH], ids=["en", "zh"])


# Both languages say the same.


@each_pair
def test_both_have_the_same_headings(english, chinese):
    assert [level for level, _ in english.headings] == [level for level, _ in chinese.headings]


@each_pair
def test_both_have_the_same_code(english, chinese):
    assert english.blocks == chinese.blocks


@each_pair
def test_both_have_tables_of_the_same_shape(english, chinese):
    def shapes(paper):
        return [[len(row) for row in table] for table in paper.tables]

    assert shapes(english) == shapes(chinese)


@each_pair
def test_both_have_the_same_figures_in_their_tables(english, chinese):
    def figures(paper):
        cells = [cell for table in paper.tables for row in table for cell in row]
        return [cell for cell in cells if re.fullmatch(r"[\d,.]+", cell)]

    assert figures(english) == figures(chinese)


@each_pair
def test_both_link_to_the_same_places(english, chinese):
    def places(paper):
        other_language = re.compile(r"\.zh-CN(?=\.md)")
        links = (other_language.sub("", link).partition("#") for link in paper.links)
        return sorted(f"{name}#" if anchor else name for name, anchor, _ in links)

    assert places(english) == places(chinese)


def test_every_translation_is_compared():
    translated = {name for name in tracked_files() if name.endswith(".zh-CN.md")}
    assert translated == {str(chinese.path.relative_to(ROOT)) for _, chinese in PAIRS}


# Commands, links, folders.

COMMAND = re.compile(r"^make (?:-s )?([a-z-]+)", re.MULTILINE)


def make_targets():
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_paper
def test_every_make_command_exists(paper):
    named = set(COMMAND.findall("\n".join(paper.code)))
    assert named <= make_targets()


def test_every_make_command_is_explained():
    named = COMMAND.findall("\n".join(README.code + CONTRIBUTING.code))
    assert make_targets() - set(named) == {"help"}


@each_readme
def test_every_hub_command_of_the_table_is_understood(readme):
    for cell, *_ in readme.table("`ARGS`"):
        arguments = shlex.split(unquoted(cell).strip('"'))
        if arguments == ["--help"]:
            continue
        hub_cli._parser().parse_args(arguments)


@each_paper
def test_every_relative_link_resolves(paper):
    for link in paper.links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (paper.path.parent / name).resolve() if name else paper.path
        assert target.exists(), f"{link} leads nowhere"
        assert ROOT in target.parents, f"{link} leads out of the tree"
        if anchor:
            assert anchor in Paper(target).anchors, f"{link}: no such heading"


def test_the_house_has_every_folder():
    (block,) = [b for _, b in ARCHITECTURE.blocks if b.startswith(".ci ")]
    listed = [line.split()[0] for line in block.splitlines()]
    assert listed == sorted(listed)
    assert [name for name in listed if not (ROOT / name).is_dir()] == []
    tracked = {str(Path(name).parent) for name in tracked_files()} - {"."}
    # A folder that holds only folders is in the names of those.
    assert tracked - set(listed) == set(), "ARCHITECTURE.md, The house: add these folders"


# Tables.

_JSON_TYPES = {str: "string", int: "number", bool: "boolean", dict: "object"}
# Of each, the English one and the Chinese one.
FIELD_HEADERS = ("Field", "字段")
CLASS_HEADERS = ("Class", "类")
REQUIRED = ("required", "必填")
YES_NO = (("yes", "no"), ("是", "否"))
PROOFS = (
    {"nothing": None, "certificates": "certificates", "psk": "psk"},
    {"无": None, "证书": "certificates", "psk": "psk"},
)


@each_language
def test_the_configuration_table_is_the_code(language):
    table = CONFIGURATION[language].table(FIELD_HEADERS[language])
    rows = {tuple(unquoted(cell) for cell in row[:3]) for row in table}
    assert rows == {
        (
            name,
            _JSON_TYPES[wanted],
            REQUIRED[language] if default is config._REQUIRED else json.dumps(default),
        )
        for name, (wanted, default) in config._FIELDS.items()
    }


@each_language
def test_the_transports_table_is_the_code(language):
    paper = CONFIGURATION[language]
    (header,) = [t[0][0] for t in paper.tables if unquoted(t[-1][0]) == "wss"]
    path = LIBRARY / "net/access.py"
    (layers,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_LAYERS"
    ]
    yes, no = YES_NO[language]
    found = {}
    for name, port, proof, websocket in paper.table(header):
        assert websocket in (yes, no)
        kind = PROOFS[language][re.split("[:： ]", proof)[0]]
        found[unquoted(name)] = (int(port), kind, websocket == yes)
    assert found == layers
    assert {"auto", *found} == set(config.TRANSPORTS)


def test_the_configuration_for_the_cloud_is_accepted():
    fields = json.loads(README.block("json"))
    fields["device_secret"] = "aGVsbG8gd29ybGQ="
    made = config.Config(fields)
    assert (made.transport, made.host, made.port) == ("tcp", "", 0)
    host = regions.mqtt_host(made.region, made.product_id)
    assert host == "A1B2C3D4E5.iotcloud.tencentdevices.com"


def error_classes(base=errors.IoTHubError):
    for each in base.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from error_classes(each)


def expected_errors(other):
    """(class, errno, hint) as the table must have them."""
    specific = {name for name, code, _ in hints._HINTS if code is not None}
    for name, code, text in hints._HINTS:
        if code is None:
            code = other if name in specific else getattr(errors, name).code
        yield name, str(code), text


def test_the_errors_table_is_the_code():
    table = ERRORS[0].table(CLASS_HEADERS[0])
    rows = {(unquoted(row[0]), row[1], row[3]) for row in table}
    assert rows == set(expected_errors("other"))
    assert {name for name, _, _ in rows} == {each.__name__ for each in error_classes()}


def test_the_chinese_errors_table_has_the_same_classes_and_codes():
    rows = [(unquoted(row[0]), row[1]) for row in ERRORS[1].table(CLASS_HEADERS[1])]
    assert sorted(rows) == sorted((name, code) for name, code, _ in expected_errors("其他"))


def test_the_timeouts_table_is_the_code():
    (table,) = [t for t in ARCHITECTURE.tables if t[0][2] == "What waits"]
    rows = {unquoted(name): int(value) for name, value, _ in table[1:]}
    assert rows == integer_constants(LIBRARY / "timeouts.py")


def caps_tables():
    return [table[1:] for table in ARCHITECTURE.tables if table[0][3:] == ["What it bounds"]]


@pytest.mark.parametrize(("number", "folder"), [(0, LIBRARY), (1, HUB)], ids=["device", "hub"])
def test_the_caps_table_is_the_code(number, folder):
    table = caps_tables()[number]
    listed = {(unquoted(where), unquoted(name)): int(value) for name, value, where, _ in table}
    missing = []
    for file in tracked_files(str(folder)):
        where = str((ROOT / file).relative_to(folder))
        constants = integer_constants(ROOT / file) if file.endswith(".py") else {}
        for name, value in constants.items():
            if (where, name) in listed:
                assert listed.pop((where, name)) == value, f"{name} in {file}"
            elif re.match(r"_?max_", name.rpartition(".")[2], re.IGNORECASE):
                missing.append(f"| `{name}` | {value} | `{where}` | ... |")
    assert missing == [], "ARCHITECTURE.md, Caps: add these lines:\n" + "\n".join(missing)
    assert listed == {}, "these are no longer in the code"


# Diagrams.

PACKETS = {
    "CONNACK": (2, b"\x20\x02\x00\x00"),
    "PUBLISH": (3, b"\x30\x03\x00\x01a"),
    "PUBACK": (4, b"\x40\x02\x00\x01"),
    "SUBACK": (9, b"\x90\x03\x00\x01\x00"),
    "UNSUBACK": (11, b"\xb0\x02\x00\x01"),
    "PINGRESP": (13, b"\xd0\x00"),
}
ENGINE_STATES = {"CLOSED": CLOSED, "LOGGING_IN": LOGGING_IN, "ONLINE": ONLINE}


class SilentDriver:
    """What an engine calls; takes everything."""

    def write(self, buf, size):
        pass

    def deliver(self, subscription, topic, payload):
        return True

    def acknowledged(self, token):
        pass

    def report(self, what, detail):
        pass


def feed(engine, data):
    engine.space()[: len(data)] = data
    engine.received(len(data))


def engine_in(state):
    engine = Engine(SilentDriver(), RamQueue())
    if state != "CLOSED":
        engine.connect(b"client")
    if state == "ONLINE":
        feed(engine, PACKETS["CONNACK"][1])
    assert engine.state == ENGINE_STATES[state]
    return engine


def steps(label):
    """What the label of an edge stands for: functions, each for an engine of its own."""
    if label == "connect()":
        return [lambda engine: engine.connect(b"client")]
    if label in ("closed()", "disconnect()"):
        return [lambda engine: getattr(engine, label[:-2])()]
    name, _, codes = label.partition(" ")
    if codes == "1 to 5":
        return [lambda engine, code=code: refuse(engine, code) for code in range(1, 6)]
    return [lambda engine: feed(engine, PACKETS[name][1])]


def refuse(engine, code):
    with pytest.raises(errors.LoginRefused):
        feed(engine, bytes((0x20, 2, 0, code)))


def test_the_engine_does_what_its_diagram_says():
    for start, end, label in ARCHITECTURE.diagram("engine"):
        for step in steps(label):
            engine = engine_in(start)
            step(engine)
            assert engine.state == ENGINE_STATES[end], f"{start} --> {end}: {label}"


def test_the_engine_diagram_has_every_legal_packet():
    edges = ARCHITECTURE.diagram("engine")
    for name, state in ENGINE_STATES.items():
        drawn = {label.split()[0] for start, _, label in edges if start == name}
        bits = sum(1 << kind for packet, (kind, _) in PACKETS.items() if packet in drawn)
        assert bits == LEGAL_PACKETS[state], name


# title of the diagram: where the module is, and the states in their order. The table NEXT_STATES
# is there, or in its test.
TABLES = {
    "session": ("net/session.py", ["STOPPED", "OPENING", "LOGGING_IN", "ONLINE", "WAITING"]),
    "shadow": ("services/shadow.py", ["OFFLINE", "GETTING", "IDLE", "UPDATING", "PAUSED"]),
    "call": ("services/rrpc.py", ["RUNNING", "LATE", "ANSWERING", "DONE"]),
    "slots": ("update/slots.py", ["CONFIRMED", "TRIAL", "SAFE"]),
    "trial": ("update/confirm.py", ["JOINING", "LINKING", "LOGGING_IN", "CHECKING", "DONE"]),
    "sub-device": ("services/gateway.py", ["OFFLINE", "COMING", "ONLINE", "LEAVING", "LOST"]),
    "update": ("services/ota.py", ["IDLE", "DOWNLOADING", "BURNING", "DONE", "FAIL"]),
}


@pytest.mark.parametrize("title", TABLES)
def test_a_diagram_is_its_table(title):
    where, names = TABLES[title]
    path = LIBRARY / where
    test = ROOT / f"host_tests/unit/iothub/test_{path.stem}.py"
    (table,) = [
        node.value
        for file in (path, test)
        if file.is_file()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NEXT_STATES"
    ]
    assert isinstance(table, ast.Tuple)
    followers = [re.findall(r"[A-Z_]+", ast.unparse(states)) for states in table.elts]
    constants = integer_constants(path)
    assert [constants[name] for name in names] == list(range(len(followers)))
    expected = {(names[i], after) for i, states in enumerate(followers) for after in states}
    assert {(start, end) for start, end, _ in ARCHITECTURE.diagram(title)} == expected


def test_the_table_of_answers_is_the_code():
    names = list(integer_constants(LIBRARY / "update/download.py"))
    behaviours, events = names[: names.index("PART")], names[names.index("PART") :]
    expected = [
        (events[number], behaviours[behaviour], str(code))
        for number, (behaviour, code, _) in enumerate(download.BEHAVIOUR)
    ]
    rows = [
        (unquoted(event), unquoted(then), code)
        for event, _, then, code in ARCHITECTURE.table("Event")
    ]
    assert rows == expected


def ntp_event(ntp, label):
    good = b'{"type":"get","time":1700000000,"ntptime1":1700000000000,"ntptime2":1700000000000}'
    match label:
        case "request()":
            ntp.request(0)
        case "expire()":
            ntp.expire()
        case "answer, in time":
            assert ntp.answer(good, 10) == 1700000000005
        case "answer, late":
            assert ntp.answer(good, TIME_ANSWER_MS + 1) is None
            assert ntp.late == 1
        case "answer, unasked":
            assert ntp.answer(good, 10) is None
            assert ntp.unasked == 1
        case "answer, absurd":
            assert ntp.answer(b"{}", 10) is None
            assert ntp.absurd == 1
        case _:
            raise AssertionError(f"unknown: {label}")


def test_the_time_service_does_what_its_diagram_says():
    edges = ARCHITECTURE.diagram("ntp")
    assert len(edges) == 7
    for start, end, label in edges:
        ntp = Ntp(lambda later, earlier: later - earlier)
        if start == "asked":
            ntp.request(0)
        ntp_event(ntp, label)
        assert ntp.asked == (end == "asked"), f"{start} --> {end}: {label}"
