"""What the library becomes before it is compiled: joined, without constants, with new names."""

import ast
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bytecode
from tools.compact.apart import put_apart
from tools.compact.build import CompactLibrary, compact_library
from tools.compact.library import CompactError, read_library
from tools.compact.linker import Linker
from tools.compact.names import firmware_names
from tools.compact.pairs import coded
from tools.compact.texts import module_of_texts
from tools.compact.traceback_names import read_back

ERRORS = "class Refused(OSError):\n    pass\n"
COMPAT = "def const(value):\n    return value\n"
MICROPYTHON = Path(sys.executable).with_name("micropython")
ROOT = Path(__file__).resolve().parents[3]


def run(program: str, library: Path) -> "subprocess.CompletedProcess[str]":
    """Under MicroPython, with a compiled library."""
    return subprocess.run(
        [MICROPYTHON, "-c", program],
        env={"MICROPYPATH": f"{library}:.frozen"},
        capture_output=True,
        text=True,
        timeout=20,
    )


def written(tmp_path: Path, **modules: str) -> Path:
    folder = tmp_path / "iothub"
    for name, text in {"__init__": "", "compat": COMPAT, "errors": ERRORS, **modules}.items():
        path = folder / (name.replace("__of__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def linked(tmp_path: Path, bundle: list[str], **modules: str) -> dict[str, str]:
    """{path: text} of the files of modules, those of `bundle` joined in the file of its last."""
    linker = Linker(read_library(written(tmp_path, **modules)), {bundle[-1]: bundle})
    return {file.path: ast.unparse(file.tree) for file in linker.files()}


@pytest.fixture(scope="module")
def library() -> CompactLibrary:
    return bytecode.library()


def test_what_a_bundle_imports_of_itself_is_a_global(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.b"],
        a="def add(x):\n    return x\n",
        b="from iothub import a\nfrom iothub.a import add as plus\n"
        "def use():\n    return a.add(1) + plus(2)\n",
    )
    assert files["iothub/b.py"] == (
        "def add_of_a(x):\n    return x\n\ndef use():\n    return add_of_a(1) + add_of_a(2)"
    )
    assert "iothub/a.py" not in files


def test_two_globals_of_one_name_are_told_apart(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.b"],
        a="def _bad():\n    return 1\n",
        b="def _bad():\n    return 2\ndef use():\n    return _bad()\n",
    )
    assert "return _bad_of_b()" in files["iothub/b.py"]


def test_a_local_of_the_same_name_stays_a_local(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.b"],
        a="def size(x):\n    return x\n",
        b="from iothub.a import size as measure\n"
        "def use(size):\n    return measure(size) + size.size\n",
    )
    assert "return size_of_a(size) + size.size" in files["iothub/b.py"]


def test_an_import_inside_of_a_function_stays_there(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.b"],
        a="def one():\n    pass\ndef two():\n    pass\n",
        b="",
        d="def late():\n    from iothub import a\n    return a.two()\n",
    )
    assert files["iothub/d.py"] == (
        "def late():\n    from iothub.b import two_of_a\n    return two_of_a()"
    )


def test_a_module_of_a_bundle_cannot_be_handed_around(tmp_path):
    with pytest.raises(CompactError, match=r"iothub\.c: a is used as a module"):
        linked(
            tmp_path,
            ["iothub.a", "iothub.b"],
            a="",
            b="",
            c="from iothub import a\nkept = a\n",
        )


def test_constants_are_literals_everywhere(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a"],
        a="from iothub.compat import const\n_BITS = const(3)\nMASK = const((1 << _BITS) - 1)\n"
        "NAME = 'text'\ndef low(x):\n    return x & MASK\n",
        b="from iothub import a\nfrom iothub.a import MASK as mask\nx = a.MASK, mask, a.NAME\n",
    )
    assert "return x & 7" in files["iothub/a.py"]
    assert "MASK" in files["iothub/a.py"]  # for whoever imports it
    assert "_BITS" not in files["iothub/a.py"]
    assert files["iothub/b.py"] == "x = (7, 7, 'text')"


def test_a_stub_has_the_public_names_of_a_module_that_moved(tmp_path):
    folder = written(
        tmp_path,
        a="from iothub.compat import const\nLIMIT = const(5)\n_OWN = const(6)\n"
        "def shown():\n    pass\ndef _hidden():\n    pass\n",
        b="",
    )
    linker = Linker(read_library(folder), {"iothub.b": ["iothub.a", "iothub.b"]})
    stub = linker.stub("iothub.a")
    assert stub is not None
    assert ast.unparse(stub) == "from iothub.b import shown\nLIMIT = 5"
    assert linker.stub("iothub.b") is None


def test_classes_put_apart_are_found_where_they_went(tmp_path):
    modules = read_library(
        written(tmp_path, a="from iothub.errors import Refused, Rare\nraise Rare(Refused)\n")
    )
    body = modules["iothub.errors"].tree.body
    body += ast.parse("class Rare(Refused):\n    code = 5\n").body
    lookups = put_apart(modules, {"iothub.errors": {"iothub.rare": ["Rare"]}})
    assert ast.unparse(modules["iothub.errors"].tree) == ERRORS.strip()
    assert ast.unparse(modules["iothub.rare"].tree) == (
        "from iothub.errors import Refused\n\nclass Rare(Refused):\n    code = 5"
    )
    assert ast.unparse(modules["iothub.a"].tree).startswith(
        "from iothub.errors import Refused\nfrom iothub.rare import Rare\n"
    )
    assert "'iothub.rare'" in ast.unparse(lookups["iothub.errors"])
    with pytest.raises(CompactError, match=r"iothub\.errors has no class Rare to put apart"):
        put_apart(modules, {"iothub.errors": {"iothub.rare": ["Rare"]}})


def test_every_error_is_where_the_sources_have_it(library, tmp_path):
    bytecode.compile_library(library, tmp_path)
    program = """
import iothub
from iothub import errors
from iothub.errors import BadInput, UpdateError
assert "iothub.rare_errors" in __import__("sys").modules
print(str(UpdateError("odd"))[:11], errors.TlsError("no").code, errors.TlsError.__name__)
print(issubclass(errors.TlsError, iothub.LinkError), issubclass(UpdateError, BadInput))
"""
    done = run(program, tmp_path)
    assert done.stdout.splitlines() == ["update: odd 104 TlsError", "True False"], done.stdout


def test_an_import_for_annotations_only_is_left_out(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a"],
        a="from asyncio import Lock, sleep\nfrom select import poll\n"
        "class Held:\n    lock: Lock = None\n    poller: poll\n    def wait(self):\n"
        "        return sleep(1)\n",
    )
    assert files["iothub/a.py"].startswith("from asyncio import sleep\n\nclass Held:\n    lock")
    assert "poll" not in files["iothub/a.py"]


LOADING = (
    "import sys\ndef load(name):\n    return __import__(name, None, None, (name,))\n"
    "def for_now(name):\n    try:\n        return load(name)\n"
    "    finally:\n        sys.modules.pop(name)\n"
)


def test_a_module_for_now_is_found_in_its_file(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.c"],
        loading=LOADING,
        c="",
        a="def join():\n    return 'a'\ndef size(join):\n    return join\n",
        b="from iothub.loading import for_now, load\ndef use():\n    held = load('iothub.a')\n"
        "    return held.join(), for_now('iothub.a').size(2)\n",
    )
    assert "held = load('iothub.c')" in files["iothub/b.py"]
    # Both are attributes as well, and so have other names as globals.
    assert "return (held.join_of_a(), for_now('iothub.c').size_of_a(2))" in files["iothub/b.py"]


def test_a_module_for_now_must_have_what_is_used(tmp_path):
    with pytest.raises(CompactError, match=r"iothub\.a has no gone"):
        linked(
            tmp_path,
            ["iothub.b"],
            loading=LOADING,
            a="x = 1\n",
            b="from iothub.loading import for_now\nfor_now('iothub.a').gone()\n",
        )


def test_what_a_module_does_not_use_it_passes_on(tmp_path):
    files = linked(
        tmp_path,
        ["iothub.a", "iothub.b"],
        a="def made():\n    pass\ndef _own():\n    return made()\n",
        b="",
        c="import sys\nif sys.platform == 'x':\n    from iothub.a import made as given\n"
        "def more():\n    pass\n",
    )
    assert "    from iothub.b import made as given\n" in files["iothub/c.py"]


def test_what_the_library_does_not_have_is_left_to_be_told_on_the_board(tmp_path):
    files = linked(tmp_path, ["iothub.a"], a="from iothub.gone import x\nprint(x)\n")
    assert files["iothub/a.py"] == "from iothub.gone import x\nprint(x)"


def test_only_private_names_are_new_ones(tmp_path):
    folder = written(
        tmp_path,
        device="class Device:\n"
        "    def __init__(self, config):\n        self._secret_thing = config\n"
        "        self.known_thing = 1\n        self._written = 2\n"
        "    def public(self, argument):\n        return self._helper(argument)\n"
        "    def _helper(self, argument_of_it):\n"
        "        return getattr(self, '_written') + self._secret_thing + argument_of_it\n",
    )
    compact = compact_library(folder, bundles={})
    text = compact.sources["iothub/device.py"]
    assert "_secret_thing" not in text and "_helper" not in text and "argument_of_it" not in text
    for kept in ("known_thing", "public", "argument", "'_written'", "self._written", "config"):
        assert kept in text
    names = {*firmware_names()[0], *firmware_names()[1]}
    assert compact.names["_secret_thing"] in names and compact.names["_helper"] in names


def test_a_nested_function_keeps_the_arguments_around_it(tmp_path):
    folder = written(
        tmp_path,
        a="def _outer(first, second):\n"
        "    def inner(first):\n        return first + second\n"
        "    return inner(second) + (lambda third: third + first)(1)\n",
    )
    text = compact_library(folder, bundles={}).sources["iothub/a.py"]
    scope: dict = {}
    exec(text, scope)
    (function,) = (value for name, value in scope.items() if name != "__builtins__")
    assert function(10, 200) == 200 + 200 + 1 + 10


def test_names_of_one_library_are_all_different(library):
    assert len(set(library.names.values())) == len(library.names) > 300


def test_new_names_mean_nothing_else_in_the_library(library):
    modules = read_library(bytecode.FIRMWARE / "lib")
    words: set[str] = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            words.update(str(value) for _, value in ast.iter_fields(node))
    clash = words & set(library.names.values())
    assert not clash


def test_what_users_write_keeps_its_name(library):
    """Programs of users, the interface, and the code in the papers."""
    texts = [path.read_text("utf-8") for path in bytecode.FIRMWARE.glob("examples/*.py")]
    texts += [path.read_text("utf-8") for path in bytecode.FIRMWARE.glob("app/*.py")]
    for paper in (ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").glob("*.md")):
        texts += re.findall(r"```python\n(.*?)```", paper.read_text("utf-8"), re.S)
    used = {name for text in texts for name in re.findall(r"\.(\w+)", text)}
    used |= {name for text in texts for name in re.findall(r"\b(\w+)=", text)}
    for interface in bytecode.FIRMWARE.glob("stubs/**/*.pyi"):
        used |= set(re.findall(r"\b[a-z]\w*", interface.read_text("utf-8")))
    assert len(used) > 60
    renamed = {name for name in used if name in library.names}
    assert not renamed


def test_texts_of_errors_are_elsewhere_and_found_again(library, tmp_path):
    kept = "a wildcard may only follow PID/DN/"
    assert not any(kept in text for text in library.sources.values())
    bytecode.compile_library(library, tmp_path)
    program = library.translated("""
import sys
from iothub.credentials import Identity
from iothub.errors import BadInput
from iothub.profiles import IoTHub
for again in range(2):
    try:
        IoTHub(Identity("ABCDE12345", "d")).check_subscribe(b"other/#", 0)
    except BadInput as e:
        print(e.reason)
names = list(sys.modules) + list(sys.modules["iothub"].__dict__)
print([name for name in names if "texts" in name])
""")
    done = run(program, tmp_path)
    assert done.stdout.splitlines() == [f"topic: {kept}"] * 2 + ["[]"], done.stderr


def test_every_text_of_an_error_is_decoded_as_it_was(tmp_path):
    words = ["", "a", "aa", "aaaaaaa", "%s is not %d", "\x01\x7f"]
    rng = random.Random(7)
    texts = words + ["".join(rng.choices("abc %", k=rng.randrange(80))) for _ in range(58)]
    source = ast.unparse(module_of_texts(texts))
    asked = "import json\nprint(json.dumps([decoded(number) for number in range(64)]))\n"
    assert json.loads(run(source + "\n" + asked, tmp_path).stdout) == texts
    parts, pairs = coded(texts)
    assert sum(map(len, parts)) + len(pairs) < 0.7 * sum(map(len, texts))
    with pytest.raises(UnicodeEncodeError):
        module_of_texts(["Grüße"])


# What an interrupted copy leaves behind.
@pytest.mark.parametrize(
    "instead",
    [None, b"M\x05\x00\x1f", b"decoded = None", b""],
    ids=["no", "old", "other", "empty"],
)
def test_without_its_text_an_error_has_a_number(library, tmp_path, instead):
    bytecode.compile_library(library, tmp_path)
    for path in (tmp_path / "iothub").glob("texts[0-9]*.mpy"):
        path.unlink()
        if instead is not None:
            is_source = instead.startswith(b"decoded")
            path.with_suffix(".py" if is_source else ".mpy").write_bytes(instead)
    program = """
from iothub.errors import BadInput
from iothub.profiles import IoTHub
from iothub.topics import check_name
for wrong in (lambda: check_name(b"a/#"), lambda: IoTHub.check_connect(IoTHub, 9999)):
    try:
        wrong()
    except BadInput as error:
        print(error.reason)
"""
    done = run(library.translated(program), tmp_path)
    said = "topic: error N\nkeepalive_s: error N\n"
    assert re.sub(r"\d+", "N", done.stdout) == said, done.stdout + done.stderr


def test_a_traceback_is_read_back(library):
    enter, window = library.names["_enter"], library.names["_window_bytes"]
    told = f"""Traceback (most recent call last):
  File "main.py", line 12, in <module>
  File "device", line 1, in {enter}
AttributeError: 'Engine' object has no attribute '{window}'
"""
    assert read_back(told, library.names) == (
        told.replace(f"in {enter}", "in _enter").replace(f"'{window}'", "'_window_bytes'")
    )
    assert read_back("It says: " + enter, library.names) == "It says: " + enter


def test_a_real_traceback_names_the_source(library, tmp_path):
    bytecode.compile_library(library, tmp_path)
    program = library.translated(
        "from iothub.mqtt.engine import Engine\nEngine(None, None)._age('')"
    )
    done = run(program, tmp_path)
    assert "in _age" not in done.stdout
    assert "in _age" in read_back(done.stdout, library.names)


def test_the_same_sources_give_the_same_library(library):
    bytecode.library.cache_clear()
    again = bytecode.library()
    assert again.sources == library.sources and again.names == library.names
