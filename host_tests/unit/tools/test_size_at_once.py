"""What a device can hold at once is read from the library, or nothing is said."""

import ast

import pytest

from tools.compact.library import Module
from tools.size.at_once import NotUnderstood, held_at_once, let_go
from tools.size.library_files import loading_order
from tools.size.plan import AT_ONCE, read_at_once


def library_module(text: str) -> Module:
    return Module("iothub.net.a", "iothub/net/a.py", ast.parse(text))


def test_what_the_library_lets_go_of_is_read_from_it():
    text = """
from iothub.loading import for_now, let_go as forget, load
def run():
    load("iothub.net.stays").run()
    for_now("iothub.net.moment").run()
    from iothub.net import orientation
    forget(orientation.__name__)
    other("iothub.net.kept")
"""
    gone = {"iothub.net.moment", "iothub.net.orientation"}
    assert let_go([library_module(text)]) == gone


def test_what_cannot_be_read_is_no_guess():
    text = "from iothub.loading import let_go\nlet_go('iothub.' + name)\n"
    with pytest.raises(NotUnderstood, match=r"iothub/net/a.py, line 2: let_go\('iothub.' \+ name"):
        let_go([library_module(text)])


def test_held_at_once_is_all_but_what_goes_and_what_is_replaced():
    modules = loading_order()
    held = held_at_once(modules, {"iothub.net.mqtt"})
    missing = set(modules) - set(held)
    # Bundled: let go of by the name of the module.
    assert {"iothub.net.mqtt", "iothub.access", "iothub.transport", "iothub.rsa"} <= missing
    assert {"iothub.base", "iothub.device", "iothub.services.shadow"} <= set(held)
    group = read_at_once(modules)
    assert group.name == AT_ONCE
    assert "import iothub.device; " in group.imports and "iothub.net.repl" not in group.imports
