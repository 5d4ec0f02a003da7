"""`make deploy` through mpremote: onto a board made of the Unix port, whose power is cut at any
moment, and onto the emulated Pico W."""

import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.target.desk_board import BLOCK_BYTES, DeskBoard
from tools.boards.description import read_board
from tools.boards.errors import BoardError
from tools.bytecode import compile_file
from tools.deploy import __main__ as deploy
from tools.deploy import transfer
from tools.deploy.starters import starters
from tools.ota.slot import slot_file
from tools.pico import flash_image
from tools.pico.board import START_TIMEOUT_S
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.image import stock_image
from tools.provision import __main__ as provision
from tools.repl.board import RunningBoard

# A program ends as by Ctrl-C: slotboot starts again what ends otherwise, after a pause.
ENDING = "\nraise KeyboardInterrupt\n"


def compiled(source: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(source)
        compile_file(path, path.with_suffix(".mpy"))
        return path.with_suffix(".mpy").read_bytes()


def program(told: str) -> bytes:
    """A slot that needs no library: what is deployed is a slot, whatever is in it."""
    main = f"import filler\nprint({told!r}, filler.TEXT)" + ENDING
    return slot_file({"main.mpy": compiled(main), **FILLER})


FILLER = {"filler.mpy": compiled(f"TEXT = 'and its filler'\nDATA = {bytes(range(256)) * 20!r}\n")}
OLD, NEW = program("the old one"), program("the new one")


def put(board: RunningBoard, slot: bytes) -> transfer.Deployed:
    transfer.write_starters(board, starters())
    return transfer.deploy(board, slot)


def told_at_start(board: RunningBoard) -> str:
    """What the application prints that slotboot starts."""
    code = """
import sys
for _name in ("main", "filler"):
    sys.modules.pop(_name, None)
import slotboot
_running, _slot = slotboot.choose()
import vfs
try:
    vfs.umount("/slot")
except OSError:
    pass
vfs.mount(_slot, "/slot")
sys.path.insert(0, "/slot")
try:
    import main
except KeyboardInterrupt:
    pass
sys.path.pop(0)
"""
    return board.exec(code).decode().strip()


def test_only_what_changed_is_sent(tmp_path):
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        assert put(board, OLD) == transfer.Deployed("a", len(OLD), 0)
        assert told_at_start(board) == "the old one and its filler"
        assert put(board, OLD) == transfer.Deployed("", 0, 0)
        done = put(board, NEW)
        assert done.slot == "b"
        assert done.sent_bytes < 200
        assert done.copied_bytes > 5000
        assert told_at_start(board) == "the new one and its filler"
        assert put(board, OLD).slot == "a"
        assert told_at_start(board) == "the old one and its filler"


class Cut(Exception):
    """The power went."""


def cut_within(monkeypatch, desk: DeskBoard, commands: int, delay_s: float) -> None:
    """Takes the power away while the board runs a command: after so many others, so late."""
    run = RunningBoard.exec
    left = commands

    def counted(self, code):
        nonlocal left
        if left:
            left -= 1
            return run(self, code)
        self._transport.exec_raw_no_follow(code)
        time.sleep(delay_s)
        desk.cut_power()
        raise Cut

    monkeypatch.setattr(RunningBoard, "exec", counted)


def test_power_cut_anywhere_leaves_the_old_application_or_the_new(
    tmp_path, monkeypatch, sweep_full
):
    delays_s = [number / 2000 for number in range(20)] if sweep_full else [0.05]
    monkeypatch.setattr("tools.repl.board.CHUNK_BYTES", 512)
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        put(board, OLD)
    flash = (tmp_path / "flash.bin").read_bytes()
    # Nothing of it is on the board, so that the cuts fall into the sending, too.
    different = slot_file(
        {
            "main.mpy": compiled("print('the new one')" + ENDING),
            "filler.mpy": compiled(f"x = {b'y' * 3000!r}"),
        }
    )
    seen = []
    for commands in range(100):
        for delay_s in delays_s:
            (tmp_path / "flash.bin").write_bytes(flash)
            with DeskBoard(tmp_path) as desk, monkeypatch.context() as patched:
                try:
                    with RunningBoard.opened(desk.port) as board:
                        cut_within(patched, desk, commands, delay_s)
                        put(board, different)
                    break
                except Cut:
                    pass
            with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
                seen.append(told_at_start(board))
        else:
            continue
        break
    assert len(seen) >= 15 * len(delays_s)
    assert set(seen) == {"the old one and its filler", "the new one"}
    # It becomes the new one in the very end, and not before.
    assert seen.index("the new one") >= len(seen) - 2 * len(delays_s)
    print(f"{len(seen)} cuts: {seen.count('the new one')} times the new one, else the old")


def test_a_cable_pulled_in_the_middle_is_told(tmp_path, monkeypatch):
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        put(board, OLD)
        run = board._transport.exec

        def pulled(code, **options):
            if "_f.write" in code:
                raise OSError(5, "Input/output error")
            return run(code, **options)

        monkeypatch.setattr(board._transport, "exec", pulled)
        with pytest.raises(BoardError, match=r"went away\n.*still there"):
            put(board, NEW)
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        assert told_at_start(board) == "the old one and its filler"
        assert put(board, NEW).slot == "b"  # and the next try is none the wiser
        assert told_at_start(board) == "the new one and its filler"


def test_a_slot_that_arrives_damaged_never_starts(tmp_path, monkeypatch):
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        put(board, OLD)
        append = RunningBoard.append

        def damaged(self, file, content, progress):
            append(self, file, bytes([content[0] ^ 1]) + content[1:], progress)

        monkeypatch.setattr(RunningBoard, "append", damaged)
        with pytest.raises(BoardError, match="not as it was sent"):
            put(board, NEW)
        assert told_at_start(board) == "the old one and its filler"


def test_no_room_is_told_before_anything_is_sent(tmp_path):
    with DeskBoard(tmp_path) as desk, RunningBoard.opened(desk.port) as board:
        put(board, OLD)
        board.exec(
            "f = open('/big', 'wb')\nfor _ in range(780): _ = f.write(bytes(1024))\nf.close()"
        )
        with pytest.raises(BoardError, match=r"\d+ bytes are needed, \d+ are free"):
            put(board, slot_file({"main.mpy": b"M\x06", "x.mpy": b"M\x06" + bytes(80_000)}))
        assert told_at_start(board) == "the old one and its filler"


def test_the_whole_firmware_is_deployed_but_not_over_a_main_of_somebody_else(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(deploy, "KEYS", tmp_path)
    (tmp_path / "update.keys").write_bytes(b"public keys")
    with DeskBoard(tmp_path) as desk:
        with RunningBoard.opened(desk.port) as board:
            board.write("/main.py", b"print('mine')\n")
        arguments = ["--port", desk.port, "--keep-running"]
        assert deploy.main(arguments) == 1
        assert "it has a main.py of yours" in capsys.readouterr().err
        assert deploy.main([*arguments, "--replace"]) == 0
        told = capsys.readouterr().out
        assert "Deployed to slot a, verified" in told
        assert "Safe mode: " in told
        assert deploy.main(arguments) == 0
        told = capsys.readouterr().out
        assert "nothing sent" in told
        assert "Safe mode: " not in told
        with RunningBoard.opened(desk.port) as board:
            board.write("/main.py", b"import slotboot  # of a version before\n\nslotboot.run()\n")
        assert deploy.main(arguments) == 0
        capsys.readouterr()
        with RunningBoard.opened(desk.port) as board:
            assert board.call("hashes", ["/slots/keys"]) == [sha256(b"public keys").hexdigest()]
            assert board.call("read", "/main.py").encode() == starters()["/main.py"]
            assert sorted(board.call("files", "/")) == [
                "/boot.py",
                "/factory.mpy",
                "/main.py",
                "/slotboot.mpy",
                "/slots/a",
                "/slots/base",
                "/slots/keys",
                "/state/slots.a",
                "/state/slots.b",
            ]


def test_a_board_that_is_full_is_not_touched(tmp_path, capsys, monkeypatch):
    """Starters and safe mode have room there, the application has not."""
    monkeypatch.setattr(deploy, "KEYS", tmp_path)
    with DeskBoard(tmp_path) as desk:
        with RunningBoard.opened(desk.port) as board:
            board.exec("f = open('/big', 'wb')\nfor _ in range(620): _ = f.write(bytes(1024))")
            board.exec("f.close()")
        assert deploy.main(["--port", desk.port, "--keep-running"]) == 1
        refused = capsys.readouterr()
        needed, free = judged_room(refused.err)
        assert needed > free > 100_000
        with RunningBoard.opened(desk.port) as board:
            assert board.call("files", "/") == ["/big"]
            # With so much room as it asked for it is done.
            board.exec("import os\nos.remove('/big')\nf = open('/big', 'wb')")
            kept = 620 * 1024 - (needed - free) - BLOCK_BYTES
            board.exec(f"for _ in range({kept // 1024}): _ = f.write(bytes(1024))")
            board.exec("f.close()")
        assert deploy.main(["--port", desk.port, "--keep-running"]) == 0
        capsys.readouterr()


def judged_room(told: str) -> tuple[int, int]:
    """(bytes needed, bytes free) as deploy says, which wrote nothing."""
    found = re.search(r"deploying: (\d+) bytes are needed, (\d+) are free\n.*Nothing was", told)
    assert found, told
    return int(found[1]), int(found[2])


def test_another_board_is_refused(tmp_path, capsys):
    with DeskBoard(tmp_path) as desk:
        assert deploy.main(["--port", desk.port, "--board", "pico_w"]) == 1
    assert "this is standard\n  BOARD=pico_w is RPI_PICO_W" in capsys.readouterr().err


@contextmanager
def emulated(*options: str) -> Iterator[str]:
    """Where mpremote finds an emulated Pico W; without options with an empty flash."""
    emulator = EmulatorProcess([str(stock_image()), *options])
    try:
        port = emulator.wait_for("ready", START_TIMEOUT_S)["port"]
        yield f"socket://127.0.0.1:{port}"
    finally:
        emulator.stop()


@pytest.fixture
def emulated_pico() -> Iterator[str]:
    with emulated() as port:
        yield port


@requires("node", "npm")
def test_an_emulated_pico_that_is_full_is_not_touched(tmp_path, capsys):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flash_image({"/big": bytes(640_000)}))
    with emulated("--flash", str(flash)) as port:
        assert deploy.main(["--port", port, "--board", "pico_w", "--keep-running"]) == 1
        needed, free = judged_room(capsys.readouterr().err)
        assert needed > free > 100_000
        with RunningBoard.opened(port) as board:
            assert board.call("files", "/") == ["/big"]


@requires("node", "npm")
def test_the_emulated_pico_is_provisioned_and_starts_what_was_deployed(
    emulated_pico, tmp_path, capsys
):
    (tmp_path / "secret").write_text("c2VjcmV0")
    arguments = ["A1B2C3D4E5", "dev-1", "--secret-file", str(tmp_path / "secret")]
    arguments += ["--set", "transport=psk", "--port", emulated_pico, "--board", "pico_w"]
    assert provision.main(arguments) == 0
    assert "/device.json: " in capsys.readouterr().out
    with RunningBoard.opened(emulated_pico, read_board("pico_w")) as board:
        assert put(board, OLD).slot == "a"
        done = put(board, NEW)
        assert (done.slot, done.sent_bytes < 200) == ("b", True)
        assert told_at_start(board) == "the new one and its filler"
        assert put(board, NEW).slot == ""
        assert json.loads(board.call("read", "/device.json"))["device_secret"] == "c2VjcmV0"
        assert len(board.identity.unique_id) == 16


@requires("node", "npm")
def test_an_emulated_pico_that_restarts_for_ever_is_repaired(tmp_path):
    files = starters() | {"/slotboot.mpy": b"M\x05\x00\x1f" + bytes(64), "/slots/a": OLD}
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flash_image(files))
    with (
        emulated("--flash", str(flash), "--idle", "real") as port,
        RunningBoard.opened(port) as board,
    ):
        assert put(board, NEW).slot == "b"
        assert told_at_start(board) == "the new one and its filler"
