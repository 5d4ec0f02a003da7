"""boards/: each description, partition table and manifest, compared with the images."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest
from esp_idf_defs import PartitionTable  # type: ignore[import-untyped]

from tools import bytecode
from tools.boards import __main__ as boards_command
from tools.boards import capabilities, partitions
from tools.boards.description import FILES, FOLDER, board_keys, read_board, version_numbers
from tools.boards.errors import BoardError
from tools.boards.image import check_image, pinned_image, read_image
from tools.boards.ports import choose_port, port_error
from tools.boards.uf2 import read_uf2
from tools.fetch.install import CLONE, install, is_installed
from tools.fetch.pins import read_pins

ESP32S = ["esp32", "esp32_c3", "esp32_s3"]
PINNED = [*ESP32S, "pico_w"]


def code(key: str) -> bytes:
    """The program inside the image a board pins."""
    board = read_board(key)
    content = read_image(pinned_image(board))
    if board.is_esp32:
        return partitions.take_apart(board, content).application
    return read_uf2(content).code


def test_every_board_can_be_read_and_an_unknown_one_names_them():
    assert board_keys() == ["esp32", "esp32_c3", "esp32_s3", "pico_2_w", "pico_w"]
    for key in board_keys():
        assert read_board(key).key == key
    with pytest.raises(BoardError, match=r"no board 'pico'\n.*esp32, esp32_c3, .*pico_w"):
        read_board("pico")


def test_versions_compare_by_number():
    assert version_numbers("v1.9.4") < version_numbers("1.27.0") == version_numbers("1.27")
    assert version_numbers("1.29.0-preview") == (1, 29, 0)


@pytest.mark.parametrize("key", PINNED)
def test_the_pinned_image_is_what_the_board_says(key):
    board = read_board(key)
    assert board.image is not None
    (pinned,) = [
        member.sha256
        for pin in read_pins().values()
        for member in pin.members
        if CLONE / member.destination == board.image.path
    ]
    assert board.image.sha256 == pinned
    assert check_image(board, code(key)) == board.image.version


@pytest.mark.parametrize("key", PINNED)
def test_what_a_board_can_do_is_in_its_image(key):
    told = {each.name: each.able for each in capabilities.capabilities(read_board(key))}
    program = code(key)
    assert told["TLS-PSK"] == (b"psk_identity\0" in program)
    assert told["DTLS"] == (b"PROTOCOL_DTLS_CLIENT\0" in program)
    assert told["full-image update"] == (b"mark_app_valid_cancel_rollback\0" in program)


@pytest.mark.parametrize("key", PINNED)
def test_an_image_of_another_board_an_old_one_and_another_program_are_refused(key):
    board, program = read_board(key), code(key)
    with pytest.raises(BoardError, match="for another board"):
        check_image(replace(board, build="RPI_PICO2_W"), program)
    with pytest.raises(BoardError, match=r"MicroPython 1\.27\.0 is too old\n.*1\.28\.0 or newer"):
        check_image(replace(board, minimum_micropython="1.28.0"), program)
    with pytest.raises(BoardError, match="not MicroPython"):
        check_image(board, bytes(4096))


@pytest.mark.parametrize("key", ESP32S)
def test_the_partition_table_survives_espressifs_own_generator_and_parser(key):
    table = partitions.read_table(read_board(key))
    again = PartitionTable.from_binary(table.to_binary())
    layout = [(p.name, p.offset, p.size) for p in again]
    assert layout == [
        ("nvs", 0x9000, 0x4000),
        ("otadata", 0xD000, 0x2000),
        ("phy_init", 0xF000, 0x1000),
        ("ota_0", 0x10000, 0x1B0000),
        ("ota_1", 0x1C0000, 0x1B0000),
        ("vfs", 0x370000, 0x90000),
    ]
    assert [p.name for p in partitions.slots(again)] == ["ota_0", "ota_1"]
    assert again.flash_size() == read_board(key).flash_bytes


@pytest.mark.parametrize("key", ESP32S)
def test_the_layout_for_files_begins_as_that_of_the_image(key):
    table = partitions.read_table(read_board(key + FILES))
    assert [p.name for p in partitions.slots(table)] == ["factory"]
    *stock, (name, offset, size) = [(p.name, p.offset, p.size) for p in table]
    assert stock == [
        (p.name, p.offset, p.size) for p in PartitionTable.from_binary(_stock_table(key))
    ]
    assert (name, offset, size) == ("vfs", 0x200000, 0x200000)


def test_only_esp32s_have_a_layout_for_files():
    with pytest.raises(BoardError, match=r"no board 'pico_w-files'\n.*an ESP32's may end in"):
        read_board("pico_w" + FILES)


@pytest.mark.parametrize("layout", ["", FILES], ids=["two applications", "files"])
@pytest.mark.parametrize("key", ESP32S)
def test_the_application_of_the_image_leaves_headroom_in_its_slot(key, layout):
    board = read_board(key + layout)
    application = code(key)
    assert partitions.headroom_bytes(board, application) >= partitions.HEADROOM_BYTES
    stock = PartitionTable.from_binary(_stock_table(key))
    assert [p.name for p in partitions.slots(stock)] == ["factory"]


def _stock_table(key: str) -> bytes:
    board = read_board(key)
    start = board.partition_table_offset - board.bootloader_offset
    return read_image(pinned_image(board))[start : start + partitions.TABLE_BYTES]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("0x1C0000, 0x1B0000", "0x1C0000, 0x1A0000", "2 sizes"),
        ("0x1C0000, 0x1B0000", "0x1B0000, 0x1B0000", "overlap"),
        ("0x370000, 0x90000", "0x370000, 0xA0000", "flash size"),
        ("ota_1,    app", "ota_1,    apple", "apple"),
    ],
    ids=["unequal", "overlapping", "too-large", "unknown-type"],
)
def test_a_bad_partition_table_is_refused(tmp_path, old, new, reason):
    board = read_board("esp32")
    assert board.partitions is not None
    text = board.partitions.read_text()
    assert old in text
    (tmp_path / "partitions.csv").write_text(text.replace(old, new))
    with pytest.raises(BoardError, match=rf"(?i)partition table: .*{reason}"):
        partitions.read_table(replace(board, partitions=tmp_path / "partitions.csv"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image of an ESP32"),
        (b"UF2\n" + bytes(70000), "no image of an ESP32"),
        (b"\xe9" + bytes(70000), "no partition table"),
    ],
    ids=["empty", "uf2", "bare-application"],
)
def test_what_is_no_merged_image_is_refused(content, reason):
    with pytest.raises(BoardError, match=reason):
        partitions.take_apart(read_board("esp32"), content)


def test_an_image_for_other_offsets_is_refused():
    content = read_image(pinned_image(read_board("esp32_s3")))
    with pytest.raises(BoardError, match="no partition table where the ESP32 has it"):
        partitions.take_apart(read_board("esp32"), content)


def manifestfile():
    """MicroPython's own evaluator of manifests."""
    pin = read_pins()["manifestfile"]
    if not is_installed(pin):
        install(pin)
    spec = importlib.util.spec_from_file_location(
        "manifestfile", CLONE / pin.members[0].destination
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("key", ["esp32", "esp32_c3", "esp32_s3", "pico_2_w", "pico_w"])
def test_the_manifest_freezes_the_library_and_keeps_what_the_board_freezes(key, tmp_path):
    # MicroPython's tree is not here: one file stands for what its own manifest of the board adds.
    text = (FOLDER / key / "manifest.py").read_text()
    (above,) = re.findall(r'include\("\$\(MPY_DIR\)/(.*)"\)', text)
    own = tmp_path / above
    own.parent.mkdir(parents=True)
    own.write_text('module("own.py")\n')
    (own.parent / "own.py").write_text("x = 1\n")
    micropython = manifestfile()
    manifest = micropython.ManifestFile(micropython.MODE_FREEZE, {"MPY_DIR": str(tmp_path)})
    manifest.execute(str(FOLDER / key / "manifest.py"))
    frozen = {each.target_path: each for each in manifest.files()}
    library = bytecode.FIRMWARE / "lib"
    expected = {str(path.relative_to(library)) for path in library.rglob("*.py")}
    assert set(frozen) == expected | {"own.py"}
    for name in expected:
        assert frozen[name].opt == 3
        assert Path(frozen[name].full_path).resolve() == library / name


def test_make_boards_tells_of_each_board_and_why_not(capsys):
    assert boards_command.main([]) == 0
    told = capsys.readouterr().out
    for key in board_keys():
        board = read_board(key)
        assert re.search(rf"^{key} .*{re.escape(board.name)}", told, re.MULTILINE)
    assert told.count("full-image update") == 5
    assert "MicroPython 1.29 or newer has it; the image here is 1.27.0" in told
    assert "none: bring yours (IMAGE=)" in told


class Port:
    def __init__(self, device: str, vid: int | None) -> None:
        self.device, self.vid, self.description = device, vid, "a board"


@pytest.mark.parametrize(
    ("ports", "chosen"),
    [
        ([Port("/dev/ttyS0", None), Port("/dev/ttyUSB7", 0x10C4)], "/dev/ttyUSB7"),
        ([Port("/dev/ttyS0", None)], "no board was found"),
        ([Port("a", 1), Port("b", 1)], r"there are 2 boards: a \(a board\), b \(a board\)"),
    ],
    ids=["one", "none", "two"],
)
def test_the_only_board_is_found(monkeypatch, ports, chosen):
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    assert choose_port("COM3") == "COM3"
    if chosen.startswith("/"):
        assert choose_port(None) == chosen
    else:
        with pytest.raises(BoardError, match=chosen):
            choose_port(None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "not allowed to open"),
        (OSError(16, "Device or resource busy"), "is busy"),
        (OSError("Could not exclusively lock port"), "is busy"),
        (OSError("strange\nand more"), "strange$"),
    ],
    ids=["permission", "busy", "locked", "other"],
)
def test_what_a_port_that_does_not_open_means(tmp_path, error, reason):
    port = tmp_path / "tty"
    port.touch()
    assert re.search(reason, port_error(str(port), error).reason)
    port.unlink()
    assert port_error(str(port), error).reason == f"there is no {port}"


@pytest.mark.parametrize("paper", ["hardware.md", "hardware.zh-CN.md"])
def test_the_pins_and_images_of_the_guide_are_the_boards(paper):
    text = (CLONE / "docs" / paper).read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    named: dict[str, list[list[str]]] = {key: [] for key in board_keys()}
    for first, *cells in rows:
        for key in named.keys() & set(re.findall(r"`(\w+)`", first)):
            named[key].append([cell.strip() for cell in cells])
    for key, tables in named.items():
        board = read_board(key)
        about, pins = tables
        assert about[0].startswith(board.chip)
        version = board.image.version if board.image else "IMAGE"
        assert version in about[1]
        wanted = [board.pins[name] for name in ("i2c_sda", "i2c_scl", "relay")]
        assert [int(re.sub(r"\D", "", cell)) for cell in pins[:3]] == wanted
        assert ("led" in board.pins) == (str(board.pins.get("led")) in pins[3])
