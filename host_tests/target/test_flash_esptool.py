"""`make flash` and `make erase` for ESP32s: the real esptool against a simulated boot ROM, over a
pseudo-terminal."""

import os
import pty
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import serial  # type: ignore[import-untyped]
from esptool import cmds  # type: ignore[import-untyped]

from host_tests.target.boot_rom import BootRom
from tools.boards.description import read_board
from tools.boards.image import pinned_image
from tools.boards.partitions import read_table
from tools.flash import __main__ as flash
from tools.flash import esp32

BOARDS = ["esp32", "esp32_c3", "esp32_s3"]


def boot_rom(key: str) -> BootRom:
    chip = read_board(key).esptool_chip
    assert chip is not None
    return BootRom(chip)


def run(rom: BootRom, *arguments: str) -> int:
    """The command, and the reset after it."""
    status = flash.main([*arguments, "--port", rom.port])
    rom.wait_for_reset()
    return status


def read_flash(key: str, rom: BootRom, spans: list[tuple[int, int]]) -> list[bytes]:
    with esp32.connected(read_board(key), rom.port) as esp:
        return [bytes(cmds.read_flash(esp, at, size, no_progress=True)) for at, size in spans]


@pytest.mark.parametrize("key", [*BOARDS, "esp32_c3-files"])
def test_what_is_written_is_verified_and_read_back_identical(key, capsys):
    board = read_board(key)
    version, pieces = esp32.pieces(board, pinned_image(board))
    with boot_rom(key) as rom:
        assert run(rom, "--board", key) == 0
        told = capsys.readouterr().out
        assert told.count("Hash of data verified") == len(pieces) == 3
        assert f"MicroPython {version} is on {board.name}, verified" in told
        spans = [(piece.offset, len(piece.content)) for piece in pieces]
        assert read_flash(key, rom, spans) == [piece.content for piece in pieces]
        for piece in pieces:
            assert rom.flash[piece.offset :].startswith(piece.content)
    capsys.readouterr()  # what esptool tells is not for the summary


def test_files_stay_when_the_layout_is_the_same_and_go_when_it_is_new(capsys):
    table = read_table(read_board("esp32_c3"))
    files, otadata = (table.find_by_name(name).offset for name in ("vfs", "otadata"))
    with boot_rom("esp32_c3") as rom:
        rom.flash[files : files + 5] = b"stock"  # where the stock layout has other files
        assert run(rom, "--board", "esp32_c3") == 0
        assert "are gone, since the partition table is new" in capsys.readouterr().out
        assert rom.flash[files : files + 5] == b"\xff" * 5

        rom.flash[files : files + 4] = b"mine"
        rom.flash[otadata : otadata + 4] = b"\2\0\0\0"  # start the other slot
        assert run(rom, "--board", "esp32_c3") == 0
        assert "its files stayed" in capsys.readouterr().out
        assert rom.flash[files : files + 4] == b"mine"
        # The application just written starts.
        assert rom.flash[otadata : otadata + 4] == b"\xff" * 4


def test_an_application_without_room_is_refused_without_touching_the_port(tmp_path, capsys):
    large = tmp_path / "large.bin"
    large.write_bytes(pinned_image(read_board("esp32")).read_bytes() + bytes(128 * 1024))
    assert flash.main(["--board", "esp32", "--image", str(large), "--port", "/dev/nowhere"]) == 1
    assert "bytes too large for its place" in capsys.readouterr().err


def test_erasing_removes_everything(capsys):
    with boot_rom("esp32_s3") as rom:
        for offset in (0, 0x9000, 0x370000):
            rom.flash[offset : offset + 8] = b"a secret"
        assert run(rom, "--board", "esp32_s3", "--erase") == 0
        assert "is empty" in capsys.readouterr().out
        assert set(rom.flash) == {0xFF}


@pytest.mark.parametrize(("key", "other"), [("esp32", "esp32_s3"), ("esp32_c3", "esp32")])
@pytest.mark.parametrize("erase", [[], ["--erase"]], ids=["flash", "erase"])
def test_another_chip_is_refused_before_anything_is_written(key, other, erase, capsys):
    with boot_rom(other) as rom:
        assert run(rom, "--board", key, *erase) == 1
        told = capsys.readouterr().err
        assert f"this is {read_board(other).chip}\n" in told
        assert f"BOARD={key} is for {read_board(key).chip}" in told
        assert set(rom.flash) == {0xFF}


def test_an_image_of_another_board_is_refused_without_touching_the_port(capsys):
    image = pinned_image(read_board("esp32_c3"))
    arguments = ["--board", "esp32_s3", "--image", str(image), "--port", "/dev/nowhere"]
    assert flash.main(arguments) == 1
    assert "MicroPython 1.27.0, but for another board" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0.3, 0.99, 1], ids=["third", "nearly", "damaged"])
@pytest.mark.parametrize("key", BOARDS)
def test_an_image_that_is_cut_or_damaged_is_refused_without_touching_the_port(
    tmp_path, key, kept, capsys
):
    content = bytearray(pinned_image(read_board(key)).read_bytes())
    content[500_000] ^= kept == 1
    image = tmp_path / "part.bin"
    image.write_bytes(content[: int(len(content) * kept)])
    arguments = ["--board", key, "--image", str(image), "--port", "/dev/nowhere"]
    assert flash.main(arguments) == 1
    assert "reading the image: " in capsys.readouterr().err


def test_an_old_image_is_refused(tmp_path, capsys):
    old = tmp_path / "old.bin"
    old.write_bytes(pinned_image(read_board("esp32")).read_bytes().replace(b"v1.27.0", b"v1.19.1"))
    assert flash.main(["--board", "esp32", "--image", str(old), "--port", "/dev/nowhere"]) == 1
    assert "MicroPython 1.19.1 is too old" in capsys.readouterr().err


def test_no_board_a_busy_port_and_one_that_is_silent(tmp_path, capsys, monkeypatch):
    assert flash.main(["--board", "esp32", "--port", str(tmp_path / "tty")]) == 1
    assert f"there is no {tmp_path}/tty\n" in capsys.readouterr().err
    with boot_rom("esp32") as rom:
        with serial.Serial(rom.port, exclusive=True):
            assert flash.main(["--board", "esp32", "--port", rom.port]) == 1
        assert f"{rom.port} is busy\n  Close the other program" in capsys.readouterr().err
    monkeypatch.setattr(esp32, "_CONNECT_ATTEMPTS", 1)
    with silent_port() as port:
        assert flash.main(["--board", "esp32", "--port", port]) == 1
    assert f"no chip answers at {port}\n  Hold BOOT" in capsys.readouterr().err


@contextmanager
def silent_port() -> Iterator[str]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)
