"""Reports of tools.size: what is written can be read back, and growth is told."""

import pytest

from tools.size.comparison import differences, read_figures
from tools.size.library_files import library_files
from tools.size.measurement import (
    Costs,
    GroupCost,
    ModuleCost,
    OperationCost,
    Ratio,
    files_bytes,
)
from tools.size.peaks import PeakCost
from tools.size.peers import read_peers
from tools.size.plan import Group, read_groups, read_probes
from tools.size.report import as_markdown, over_limit


def costs(
    heap_bytes: int = 2000,
    allocated_bytes: int = 0,
    without_heap: bool = True,
    peak_bytes: int = 17000,
) -> Costs:
    group = Group(
        "core",
        imports="import core",
        setup="core.Core()",
        peer="the core",
        heap_limit_bytes=3000,
        mpy_limit_bytes=1500,
    )
    return Costs(
        image="v1.27.0",
        mpy_files={"/lib/core.mpy": 1200},
        groups=[GroupCost(group, heap_bytes, 64, 1200, ("core",))],
        modules=[ModuleCost("core", 1900, 1200)],
        operations=[OperationCost("probe", "publish", 80, allocated_bytes, without_heap, 0)],
        ratios=[Ratio("probe", "publish", "raw", 1.25, 1.6)],
        peaks=[PeakCost("16 KiB received", peak_bytes, 300, 17408)],
    )


def test_the_report_holds_each_figure():
    figures = read_figures(as_markdown(costs()))
    assert figures == {
        ("Heap", "core", "heap after import (bytes)"): 2000,
        ("Heap", "core", "heap of its objects (bytes)"): 64,
        ("Heap", "core", ".mpy (bytes)"): 1200,
        ("Peak heap", "16 KiB received", "peak (bytes)"): 17000,
        ("Peak heap", "16 KiB received", "kept (bytes)"): 300,
        ("Operations", "publish", "time (µs)"): 80,
        ("Operations", "publish", "allocated (bytes)"): 0,
        ("Ratios", "publish / raw", "times"): 1.25,
        ("Modules", "core", "heap (bytes)"): 1900,
        ("Modules", "core", ".mpy (bytes)"): 1200,
        ("Bytecode", "all", "bytes"): 1200,
    }


def test_the_same_figures_do_not_differ():
    report = as_markdown(costs())
    assert differences(report, report) == []


def test_growth_up_to_a_twentieth_is_let_pass_and_more_is_told():
    committed = as_markdown(costs(heap_bytes=2000))
    assert differences(committed, as_markdown(costs(heap_bytes=2100))) == []
    assert differences(committed, as_markdown(costs(heap_bytes=1000))) == []
    (told,) = differences(committed, as_markdown(costs(heap_bytes=2101)))
    assert "2000 to 2101" in told


def test_times_may_grow_more_and_small_figures_by_some_blocks():
    committed = as_markdown(costs())
    assert differences(committed, committed.replace("| publish | 80 |", "| publish | 104 |")) == []
    (told,) = differences(committed, committed.replace("| publish | 80 |", "| publish | 105 |"))
    assert "publish, time (µs): grew from 80 to 105" in told
    small = committed.replace("| core | 1900 | 1200 |", "| core | 100 | 1200 |")
    assert differences(small, small.replace("| 100 |", "| 148 |")) == []
    assert len(differences(small, small.replace("| 100 |", "| 149 |"))) == 1


def test_peaks_may_grow_by_what_differs_from_run_to_run():
    committed = as_markdown(costs(peak_bytes=10000))
    assert differences(committed, as_markdown(costs(peak_bytes=10512))) == []
    (told,) = differences(committed, as_markdown(costs(peak_bytes=10513)))
    assert "16 KiB received, peak (bytes): grew from 10000 to 10513" in told
    (told,) = differences(committed, committed.replace("| 300 |", "| 813 |"))
    assert "kept (bytes)" in told


def test_own_figures_stand_beside_those_of_the_peers():
    for chinese in (False, True):
        report = as_markdown(costs(), chinese)
        assert "| the core | core | 2000 B | 1200 B |" in report
        for peer in read_peers():
            row = f"| {peer.name} | {peer.what[chinese]} | {peer.heap} | {peer.code} |"
            assert f"{row} {peer.source} |" in report


def test_every_section_is_in_the_contents():
    for chinese in (False, True):
        lines = as_markdown(costs(), chinese).splitlines()
        titles = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
        listed = [line[3 : line.index("]")] for line in lines if line.startswith("- [")]
        assert listed == titles and len(titles) == 7


def test_both_languages_have_the_same_figures():
    english = list(read_figures(as_markdown(costs())).values())
    assert english == list(read_figures(as_markdown(costs(), chinese=True)).values())


def test_an_allocation_where_there_was_none_is_growth():
    (told,) = differences(as_markdown(costs()), as_markdown(costs(allocated_bytes=16)))
    assert "publish" in told


def test_figures_that_come_or_go_are_told():
    report = as_markdown(costs())
    shorter = report.replace("| publish | 80 | 0 | ≤ 0 |\n", "")
    assert len(shorter) < len(report)
    assert len(differences(report, shorter)) == 2
    assert len(differences(shorter, report)) == 2


def test_an_empty_report_is_no_reference():
    assert differences("", as_markdown(costs())) == ["the committed report has no figures"]


def test_limits():
    assert over_limit(costs()) == []
    assert len(over_limit(costs(heap_bytes=3001))) == 1
    assert len(over_limit(costs(allocated_bytes=16))) == 1
    assert len(over_limit(costs(without_heap=False))) == 1
    (told,) = over_limit(costs(peak_bytes=17409))
    assert told == "16 KiB received: 17409 bytes at peak, limit 17408"


def test_the_groups_and_probes_of_this_clone_can_be_read():
    groups = read_groups()
    assert len({group.name for group in groups}) == len(groups) > 0
    assert {"login_signature", "messages"} <= set(read_probes())


def test_files_count_once_and_none_is_forgotten():
    files = {"/lib/a.mpy": 100, "/lib/b/__init__.mpy": 20, "/lib/b/c.mpy": 3}
    assert files_bytes(["a", "b.c", "a", "b"], files) == 123
    with pytest.raises(KeyError, match="moment"):
        files_bytes(["a", "moment"], files)


def test_what_is_loaded_for_a_moment_is_a_file_of_the_board():
    files = {path: len(content) for path, content in library_files().items()}
    groups = [group for group in read_groups() if group.also]
    assert len(groups) >= 4
    for group in groups:
        assert files_bytes(group.also, files) > 500
