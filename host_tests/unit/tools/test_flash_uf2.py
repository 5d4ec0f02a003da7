"""`make flash` and `make erase` for a Pico: the drive it shows, and the UF2 file put there."""

import pytest

from tools.boards.description import read_board
from tools.boards.errors import BoardError
from tools.boards.image import pinned_image
from tools.boards.uf2 import BLOCK_BYTES, PAYLOAD_BYTES, make_uf2, read_uf2
from tools.flash import __main__ as flash
from tools.flash import pico
from tools.flash.drive import find_drive

PICO_W = read_board("pico_w")


def drive(path, board_id="RPI-RP2"):
    path.mkdir(parents=True)
    text = f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {board_id}\r\n"
    (path / "INFO_UF2.TXT").write_text(text, newline="")
    return path


def test_the_image_is_on_the_drive_afterwards(tmp_path, capsys):
    where = drive(tmp_path / "RPI-RP2")
    assert flash.main(["--board", "pico_w", "--port", str(where)]) == 0
    image = pinned_image(PICO_W)
    assert (where / image.name).read_bytes() == image.read_bytes()
    assert "MicroPython 1.27.0 is on Raspberry Pi Pico W; its files stayed" in (
        capsys.readouterr().out
    )


def test_the_only_drive_is_found(tmp_path):
    where = drive(tmp_path / "media/me/RPI-RP2")
    (tmp_path / "media/me/STICK").mkdir()
    mounts = [f"{tmp_path}/media/*/*"]
    assert PICO_W.uf2_family is not None
    assert find_drive(PICO_W.uf2_family, None, mounts) == where
    drive(tmp_path / "media/me/RPI-RP2 1")
    with pytest.raises(BoardError, match=r"there are 2: .*RPI-RP2, .*RPI-RP2 1"):
        find_drive(PICO_W.uf2_family, None, mounts)
    with pytest.raises(BoardError, match=r"no board shows its drive\n.*Hold BOOTSEL"):
        find_drive(PICO_W.uf2_family, None, [f"{tmp_path}/nowhere/*"])


@pytest.mark.parametrize(
    ("board_id", "reason"),
    [("RP2350", "of another chip: RP2350"), ("RPI-RP1", "RPI-RP1"), (None, "INFO_UF2.TXT")],
    ids=["rp2350", "unknown", "no-drive"],
)
def test_a_drive_of_another_chip_is_refused(tmp_path, capsys, board_id, reason):
    where = drive(tmp_path / "drive", board_id) if board_id else tmp_path
    assert flash.main(["--board", "pico_w", "--port", str(where)]) == 1
    assert reason in capsys.readouterr().err
    assert not list(where.glob("*.uf2"))


def test_an_image_for_another_chip_is_refused(tmp_path, capsys):
    where = drive(tmp_path / "drive", "RP2350")
    image = str(pinned_image(PICO_W))
    assert flash.main(["--board", "pico_2_w", "--port", str(where), "--image", image]) == 1
    assert "it is for another chip" in capsys.readouterr().err


def test_a_board_without_an_image_asks_for_one(capsys):
    assert flash.main(["--board", "pico_2_w"]) == 1
    assert "no package carries one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [b"", bytes(BLOCK_BYTES), b"UF2\n" + bytes(100)], ids=["empty", "zeros", "cut"]
)
def test_what_is_not_uf2_is_refused(content):
    with pytest.raises(BoardError, match="UF2"):
        read_uf2(content)


@pytest.mark.parametrize("missing", [slice(0, 1), slice(7, 8), slice(-1, None), slice(100, None)])
def test_an_image_that_lacks_blocks_is_refused(tmp_path, capsys, missing):
    where = drive(tmp_path / "drive")
    content = pinned_image(PICO_W).read_bytes()
    blocks = [content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]
    del blocks[missing]
    image = tmp_path / "cut.uf2"
    image.write_bytes(b"".join(blocks))
    assert flash.main(["--board", "pico_w", "--port", str(where), "--image", str(image)]) == 1
    assert f"it has {len(blocks)} of 3422 blocks" in capsys.readouterr().err
    assert not list(where.glob("*.uf2"))


def test_the_block_before_an_image_of_an_rp2350_stands_for_itself():
    one = make_uf2(0xE48BFF57, 0x10FFFF00, bytes(PAYLOAD_BYTES * 2))[:BLOCK_BYTES]
    assert read_uf2(one + make_uf2(7, 0x1000, b"code")).families == {0xE48BFF57, 7}


def test_a_drive_that_ends_early_is_told(tmp_path):
    with pytest.raises(BoardError, match=r"took 0 of 10 bytes: No such file"):
        pico.copy(bytes(10), tmp_path / "gone", "a.uf2")


def test_what_was_made_is_read_back():
    content = bytes(range(256)) * 3 + b"end"
    made = read_uf2(make_uf2(7, 0x1000, content))
    assert made.families == {7}
    assert made.code[: len(content)] == content
    assert set(made.code[len(content) :]) == {0xFF}


def test_erasing_covers_the_files_and_nothing_else(tmp_path):
    where = drive(tmp_path / "drive")
    assert flash.main(["--board", "pico_w", "--erase", "--port", str(where)]) == 0
    content = (where / "erase.uf2").read_bytes()
    addresses = [
        int.from_bytes(content[at + 12 : at + 16], "little")
        for at in range(0, len(content), BLOCK_BYTES)
    ]
    assert addresses == list(range(0x1012C000, 0x10200000, 256))
    assert set(read_uf2(content).code) == {0xFF}
