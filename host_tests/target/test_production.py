"""The console of a product is closed, on the emulated Pico W: whatever is typed, while the
application runs, when it fails and when it ends. Updates go on, and there is a way back."""

import json

import pytest

from host_tests.conftest import requires
from host_tests.target.closed_board import KEYS, TELL, Console, WatchedBoard
from host_tests.target.test_slots import OLD_MAIN, compiled, flash_files
from tools.boards.description import read_board
from tools.deploy.starters import starters
from tools.ota.keys import KeyPair, make_keys
from tools.ota.pack import application_files, base_files, compiled_firmware
from tools.ota.slot import MAIN, slot_file
from tools.pico.filesystem import read_flash_image
from tools.provision import __main__ as provision

pytestmark = requires("node", "npm")

CLOSED = {"/closed.json": b"{}"}
# A board whose console is open has come to its USB by then.
USB_S = 1.5
STARTS = TELL + "tell('starts')\n"
RUNS = STARTS + "import time\nwhile True:\n    time.sleep_ms(50)\n    tell('runs')\n"
RAISES = STARTS + "raise ValueError('of a failure')\n"
# One way a start: the last one goes on.
ENDS = (
    TELL
    + """
import micropython, os, sys, time
ways = ["raises", "ends", "exits", "is interrupted", "resets softly", "runs"]
way = len([name for name in os.listdir() if name.startswith("start.")])
open("start.%d" % way, "w").close()
tell(ways[way])
if way == 0:
    raise ValueError
if way == 2:
    sys.exit()
if way == 3:
    micropython.kbd_intr(3)
    raise KeyboardInterrupt
if way == 4:
    import machine
    machine.soft_reset()
if way == 5:
    time.sleep(3600)
"""
)
PROMPTS = (b">>>", b"raw REPL", b"a prompt\r\n", b"MicroPython v")
SECRETS = (b"secret-of-this-device", b"password-of-this-home", b"key-of-this-device")
LEARNED = (b"message-of-this-user", b"session-of-this-user")


@pytest.fixture(scope="module")
def firmware() -> dict[str, bytes]:
    return compiled_firmware(read_board("pico_w"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeyPair:
    return make_keys(tmp_path_factory.mktemp("keys"))


def deployed(firmware: dict[str, bytes], program: str) -> dict[str, bytes]:
    """A board as `make deploy` and `make provision` leave it."""
    return {
        **starters(),
        "/slots/a": slot_file(application_files(firmware, None) | {MAIN: compiled(program)}),
        "/slots/base": slot_file(base_files(firmware)),
        "/state/queue": LEARNED[0] * 200,
        "/state/session": LEARNED[1],
        "/device.json": json.dumps(
            {"device_secret": SECRETS[0].decode(), "network": {"password": SECRETS[1].decode()}}
        ).encode(),
        "/device.key.der": SECRETS[2] * 40,
    }


def test_a_closed_console_shows_nothing_and_takes_nothing(tmp_path, firmware):
    files = deployed(firmware, RUNS) | CLOSED
    with (
        WatchedBoard(tmp_path / "flash.bin", files) as board,
        Console(board.console_port) as console,
    ):
        console.types(KEYS, 5)
        board.hears(3, "runs")
        console.types(KEYS, 5)
        board.hears(3, "runs")  # as if nothing had been typed
        assert not board.has_usb(USB_S)
        assert console.seen == b""


def test_however_the_application_ends_it_starts_again_and_no_prompt_comes(tmp_path):
    files = {**starters(), **CLOSED, "/main.py": ENDS.encode()}
    del files["/slotboot.mpy"]  # which would give it up after three failures
    with (
        WatchedBoard(tmp_path / "flash.bin", files) as board,
        Console(board.console_port) as console,
    ):
        console.types(KEYS, 10)
        lines = board.hears(1, "runs")
        console.types(KEYS, 5)
        assert lines == ["raises", "ends", "exits", "is interrupted", "resets softly", "runs"]
        assert console.seen == b""


def test_keys_do_nothing_where_the_port_is_there_before_boot_py(tmp_path, firmware):
    """As on ESP32s: here USB stays from before a soft reset, and keys come all through boot.py."""
    with WatchedBoard(tmp_path / "flash.bin", deployed(firmware, RUNS)) as board:
        assert board.has_usb()
        board.hears(1, "runs")
        with Console(board.console_port) as console:
            console.types(b"\x03\x02", 5)
            console.sees(b">>>")
            console.types(b"open('/closed.json', 'w').close(); print('clo' + 'sed')\r")
            console.sees(b"closed\r\n>>> ")
            console.types(b"\x04", pause_s=0)
            console.types(b"\x03\x03\x03\x03", 40, pause_s=0.02)
            board.hears(1, "starts")
            console.types(KEYS, 5)
            board.hears(3, "runs")
            after = console.seen.partition(b"soft reboot")[2]
        assert not [prompt for prompt in PROMPTS if prompt in after], after


def test_provisioning_closes_the_console_last(tmp_path, firmware, monkeypatch, capsys):
    flash = tmp_path / "flash.bin"
    (tmp_path / "secret").write_text("c2VjcmV0IG9mIHRoaXMgZGV2aWNl")
    files = deployed(firmware, RUNS) | {"/webrepl_cfg.py": b"PASS = 'opensesame'\n"}
    del files["/device.json"]
    with WatchedBoard(flash, files) as board:
        assert board.has_usb()
        board.hears(1, "runs")
        command = ["--port", f"socket://127.0.0.1:{board.console_port}", "--profile", "production"]
        assert provision.main(command) == 1
        assert "closing the console: it has no product and device" in capsys.readouterr().err
        device = ["A1B2C3D4E5", "dev-1", "--secret-file", str(tmp_path / "secret")]
        device += ["--set", "transport=psk"]
        assert provision.main([*command, *device]) == 0
        told = capsys.readouterr().out
        assert "It has no keys that sign updates" in told
        assert "/closed.json: its console is closed from now on" in told
        board.hears(1, "starts")
        assert not board.has_usb(USB_S)
        monkeypatch.setattr("tools.repl.board.REPL_TIMEOUT_S", 1.0)
        monkeypatch.setattr("tools.repl.board.READ_TIMEOUT_S", 1.0)
        assert provision.main([*command, *device]) == 1
        assert "docs/production.md has the ways back" in capsys.readouterr().err
    assert "/webrepl_cfg.py" not in read_flash_image(flash.read_bytes())


def test_an_update_that_fails_is_still_given_up(tmp_path, firmware, keys):
    files = flash_files(
        firmware,
        keys,
        RAISES.replace("starts", "new runs"),
        TELL + OLD_MAIN.replace("print(", "tell("),
    )
    with (
        WatchedBoard(tmp_path / "flash.bin", {**files, **starters(), **CLOSED}) as board,
        Console(board.console_port) as console,
    ):
        console.types(KEYS, 5)
        lines = board.hears(1, "rolled back")
        assert [line for line in lines if line.endswith("runs")] == [
            "old runs", "new runs", "new runs", "new runs", "old runs",
        ]  # fmt: skip
        assert lines[-1] == "rolled back: it raised ValueError: of a failure"
        assert console.seen == b""


def asking(everything: bool) -> str:
    """Tells what it has; asks for a reset, once."""
    return TELL + (
        "import os\n"
        "from iothub.port import factory\n"
        "tell('has', *sorted(os.listdir('/') + os.listdir('/state')))\n"
        "if 'session' in os.listdir('/state'):\n"
        f"    factory.reset({everything})\n"
        "import time\nwhile True:\n    time.sleep(60)\n"
    )


def test_a_factory_reset_takes_what_was_learned(tmp_path, firmware):
    flash = tmp_path / "flash.bin"
    files = deployed(firmware, asking(False)) | CLOSED | {"/state/registered.a": b"given"}
    with WatchedBoard(flash, files) as board:
        first, second = (line.split() for line in board.hears(2, "has"))
        assert {"queue", "session"} <= set(first)
        assert set(first) - set(second) == {"queue", "session"}
        assert not set(second) - set(first)
        assert not board.has_usb(USB_S)
    content = flash.read_bytes()
    assert not [word for word in LEARNED if word in content]
    assert SECRETS[0] in content


def test_a_factory_reset_of_everything_leaves_no_secret_and_opens_the_console(tmp_path, firmware):
    flash = tmp_path / "flash.bin"
    with WatchedBoard(flash, deployed(firmware, asking(True)) | CLOSED) as board:
        first, second = (line.split() for line in board.hears(2, "has"))
        gone = {"closed.json", "device.json", "device.key.der", "queue", "session"}
        assert set(first) - set(second) == gone
        assert board.has_usb()
        with Console(board.console_port) as console:
            console.types(b"\x03", 5)
            console.sees(b">>>")
    content = flash.read_bytes()
    assert not [word for word in SECRETS + LEARNED if word in content]


def test_the_reset_pin_is_a_way_back(tmp_path, firmware, capsys):
    flash = tmp_path / "flash.bin"
    # Nothing pulls it up in the emulator: it is held.
    closed = {"/closed.json": json.dumps({"reset_pin": 22}).encode()}
    with WatchedBoard(flash, deployed(firmware, RUNS) | closed) as board:
        assert board.has_usb()
        board.hears(1, "runs")
    content = flash.read_bytes()
    assert not [word for word in SECRETS + LEARNED if word in content]
    assert "/closed.json" not in read_flash_image(content)
    # Which is why provisioning looks at the pin first.
    with WatchedBoard(flash, deployed(firmware, RUNS)) as board:
        assert board.has_usb()
        board.hears(1, "runs")
        command = ["--profile", "production", "--port", f"socket://127.0.0.1:{board.console_port}"]
        for pin, reason in (("22", "pin 22 is held"), ("40", "this board has no pin 40")):
            assert provision.main([*command, "--reset-pin", pin]) == 1
            assert f"closing the console: {reason}" in capsys.readouterr().err
    assert "/closed.json" not in read_flash_image(flash.read_bytes())
