"""The firmware's compiler: what it inlines, and what it leaves alone."""

import ast

import pytest

from tools import bytecode

HEADER = "from iothub.timeouts import PINGRESP_MS, TICK_MS\n"


def test_constants_of_other_modules_become_literals():
    text = HEADER + "wait(PINGRESP_MS + TICK_MS)\n"
    assert bytecode.with_constants_inlined(text).splitlines() == ["", "wait(10000 + 1000)"]


def test_what_is_no_constant_stays_imported():
    text = "from iothub.net.session import OFFLINE, Session\nx = Session, OFFLINE\n"
    inlined = bytecode.with_constants_inlined(text)
    assert inlined == "from iothub.net.session import Session\nx = Session, 0\n"


def test_attributes_strings_and_comments_are_not_names():
    text = HEADER + 'x.TICK_MS = "TICK_MS"  # TICK_MS\n'
    assert bytecode.with_constants_inlined(text) == '\nx.TICK_MS = "TICK_MS"  # TICK_MS\n'


def test_texts_are_inlined_too():
    text = "from iothub.errors import PUBLISH, LinkError\nraise LinkError('x', PUBLISH)\n"
    inlined = bytecode.with_constants_inlined(text)
    assert inlined == "from iothub.errors import LinkError\nraise LinkError('x', 'publish')\n"


def test_a_source_without_them_is_the_same():
    text = "from iothub.errors import LinkError\nraise LinkError\n"
    assert bytecode.with_constants_inlined(text) is text


def test_every_source_keeps_its_lines_and_its_grammar():
    count = 0
    for relative in bytecode.firmware_sources():
        text = (bytecode.FIRMWARE / relative).read_text("utf-8")
        inlined = bytecode.with_constants_inlined(text)
        ast.parse(inlined)
        assert inlined.count("\n") == text.count("\n"), relative
        count += 1
    assert count > 20


def test_a_syntax_error_is_told_with_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(bytecode, "FIRMWARE", tmp_path)
    source = tmp_path / "broken.py"
    source.write_text("x = [*a, *b]\n")  # CPython's, not MicroPython's
    with pytest.raises(bytecode.CompileError, match=r"broken\.py"):
        bytecode.compile_file(source, tmp_path / "broken.mpy")
