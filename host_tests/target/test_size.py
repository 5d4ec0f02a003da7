"""The engine of `make size`, on modules whose cost is known beforehand."""

from pathlib import Path

import pytest

from host_tests.conftest import requires
from tools.pico import BoardError
from tools.size.__main__ import DOCS, main
from tools.size.library_files import compiled
from tools.size.measurement import Costs, measure
from tools.size.plan import Group
from tools.size.report import over_limit

pytestmark = requires("node", "npm")

_SMALL = b"def nothing():\n    pass\n"
_LARGE = b"TABLE = bytes(4096)\n"
_PROBE = b"""
import large

_target = bytearray(16)

def _once():
    total = 0
    for i in range(300):
        total += i

def _twice():
    total = 0
    for i in range(600):
        total += i

def _keep():
    bytearray(100)

def _write():
    _target[3] = 7

def _borrow():
    # Makes the text and gives it back before it ends: only a locked heap tells.
    for _ in range(3):
        b"".join([b"0123456789abcdef"] * 8)

OPERATIONS = (("once", _once), ("twice", _twice), ("keep", _keep), ("write", _write),
    ("borrow", _borrow))
RATIOS = (("twice", "once", 1.5),)
ALLOCATIONS = (("keep", 32), ("write", 0))
"""


def compiled_probe(folder: Path, source: bytes) -> bytes:
    (folder / "sample.py").write_bytes(source)
    return compiled(folder / "sample.py")


@pytest.fixture(scope="module")
def costs(tmp_path_factory) -> Costs:
    probe = compiled_probe(tmp_path_factory.mktemp("probe"), _PROBE)
    files = {"/lib/small.py": _SMALL, "/lib/large.py": _LARGE}
    groups = [
        Group("nothing", imports=""),
        Group("small", imports="import small"),
        Group("large", imports="import large", heap_limit_bytes=4000),
        Group("small after large", before="import large", imports="import small"),
        Group("set up", imports="import small", setup="kept = bytearray(2000)"),
    ]
    return measure(files, groups, {"sample": probe})


def test_heap_is_that_of_the_imports_alone(costs):
    heap = {cost.group.name: cost.import_heap_bytes for cost in costs.groups}
    assert heap["nothing"] == 0
    assert 0 < heap["small"] < 1000
    assert 4096 <= heap["large"] < 5500
    assert 0 < heap["small after large"] < 1000


def test_heap_of_objects_is_apart(costs):
    objects = {cost.group.name: cost.setup_heap_bytes for cost in costs.groups}
    assert objects["small"] == 0
    assert 2000 <= objects["set up"] < 2200


def test_time_and_allocation_of_an_operation(costs):
    operations = {operation.name: operation for operation in costs.operations}
    # The object takes one block of 16 bytes, its 100 bytes take seven.
    assert operations["keep"].allocated_bytes == 128
    assert operations["write"].allocated_bytes == 0
    assert operations["write"].runs_without_heap
    assert not operations["borrow"].runs_without_heap
    (ratio,) = costs.ratios
    assert 1.9 < ratio.value < 2.1


def test_what_is_over_its_limit_is_told_and_nothing_else(costs):
    told = sorted(problem.split(":")[0] for problem in over_limit(costs))
    assert told == ["keep", "large", "twice"]


def test_a_group_that_does_not_load_is_told():
    with pytest.raises(BoardError, match="no module named 'missing'"):
        measure({}, [Group("broken", imports="import missing")], {})


def test_a_limit_for_an_operation_that_is_not_there_is_told(tmp_path):
    probe = compiled_probe(tmp_path, b"OPERATIONS = ()\nALLOCATIONS = (('gone', 0),)\n")
    with pytest.raises(ValueError, match="gone"):
        measure({}, [], {"sample": probe})


@pytest.mark.sweep
def test_the_table_in_the_papers_is_what_is_measured(capsys):
    """Heap, allocations and simulated times, too; a limit that is exceeded is in the table, and no
    news."""
    main(["--check", str(DOCS)])
    told = [line for line in capsys.readouterr().err.splitlines() if ", limit " not in line]
    assert not told, told
