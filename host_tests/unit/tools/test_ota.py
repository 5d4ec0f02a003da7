"""The tool that makes updates, against the device's own modules: what it packs they take, and what
it should refuse it refuses. The real images of three ESP32 boards are packed too."""

import ast
import contextlib
import io
import json
import random
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from iothub.errors import UpdateError
from iothub.update import bundle as device_bundle
from iothub.update import image as device_image

from tools.boards.description import read_board
from tools.boards.errors import BoardError
from tools.boards.image import pinned_image
from tools.bytecode import library
from tools.deploy.starters import starters
from tools.ota import __main__ as cli
from tools.ota.application import application
from tools.ota.errors import OtaError
from tools.ota.keys import PUBLIC, make_keys, read_keys, rotate
from tools.ota.pack import (
    application_files,
    base_files,
    board_field,
    compiled_firmware,
    filesystem_bytes,
    pack_application,
    pack_bundle,
)
from tools.ota.slot import MAIN, bundle, bytecode_of, slot_file
from tools.ota.trailer import Release, read_release, trailer

PICO = read_board("pico_w")
ESP32S = {"esp32": 1_698_016, "esp32_c3": 1_659_184, "esp32_s3": 1_688_368}
RELEASE = Release(0, "PRODUCT123", board_field(PICO), "1.0", 7)
HEADROOM_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("ota") / "keys")


@pytest.fixture(scope="module")
def compiled():
    return compiled_firmware(PICO)


def inflate(file, wbits):
    return io.BytesIO(zlib.decompress(file.read(), -wbits))


def device_takes(content: bytes, keys, board=PICO, floor=0) -> device_image.Trailer:
    """As update/slots.py judges a file. Raises UpdateError."""
    found = device_image.parse(content[-device_image.TRAILER_BYTES :])
    device_image.check(
        found,
        "PRODUCT123",
        board_field(board),
        {found.kind: 1 << 21},
        floor,
        len(content),
        6,
        device_image.load_keys(keys.public_file()),
    )
    device_image.check_head(found, content[: device_image.HEAD_BYTES])
    return found


# Keys.


def test_keys_are_made_once_and_kept_private(tmp_path):
    folder = tmp_path / "keys"
    made = make_keys(folder)
    again = make_keys(folder)
    assert (made.current.modulus, made.following.modulus) == (
        again.current.modulus,
        again.following.modulus,
    )
    assert device_image.load_keys((folder / PUBLIC).read_bytes()) == [
        made.current.modulus,
        made.following.modulus,
    ]
    for path in folder.glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_after_a_rotation_devices_know_the_key_that_signs(tmp_path, compiled):
    before = make_keys(tmp_path, 3072)
    after = rotate(tmp_path)
    assert after.current.modulus == before.following.modulus
    assert after.following.modulus not in (before.current.modulus, before.following.modulus)
    assert len(list(tmp_path.glob("retired-*.pem"))) == 1
    packed = pack_bundle(PICO, compiled, RELEASE, after)
    device_takes(packed.content, before)
    # It brings the new pair.
    assert packed.files["update.keys"] == after.public_file()
    twice = rotate(tmp_path)
    packed = pack_bundle(PICO, compiled, RELEASE, twice)
    with pytest.raises(UpdateError, match="signed with a key this device does not have"):
        device_takes(packed.content, before)


@pytest.mark.parametrize("stopped_at", range(4))
def test_a_rotation_that_is_stopped_leaves_a_key_that_devices_know(
    tmp_path, monkeypatch, stopped_at
):
    before = make_keys(tmp_path)
    left = iter(range(stopped_at))
    replace = Path.replace

    def cut(path, target):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cut)
    with contextlib.suppress(KeyboardInterrupt):
        rotate(tmp_path)
    monkeypatch.undo()
    after = make_keys(tmp_path)  # what the error of a missing key says
    known = {before.current.modulus, before.following.modulus}
    assert after.current.modulus in known
    assert after.public_file() == (tmp_path / PUBLIC).read_bytes()


def test_no_key_is_made_for_one_that_was_lost(tmp_path, capsys):
    make_keys(tmp_path)
    (tmp_path / "current.pem").unlink()
    assert cli.main(["keys", "--keys", str(tmp_path)]) == 1
    assert "Restore it from your copy" in capsys.readouterr().err
    assert not (tmp_path / "current.pem").exists()


def test_a_folder_that_cannot_be_one_is_told_with_the_option(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["keys", "--keys", str(tmp_path / "file")]) == 1
    assert "Name another folder: --keys." in capsys.readouterr().err
    (tmp_path / "current.pem.new").mkdir()
    assert cli.main(["keys", "--keys", str(tmp_path)]) == 1
    assert "current.pem cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "there is no"), (b"nonsense", "cannot be read")]
)
def test_missing_or_damaged_keys_are_told(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "current.pem").write_bytes(content)
    with pytest.raises(OtaError, match=reason):
        read_keys(tmp_path)


# Bundles.


def test_a_device_takes_and_unpacks_what_is_packed(keys, compiled):
    packed = pack_bundle(PICO, compiled, RELEASE, keys)
    found = device_takes(packed.content, keys)
    assert (found.version, found.sequence, found.bytecode) == ("1.0", 7, 6)
    target = io.BytesIO()
    source = io.BytesIO(packed.content[: found.size])
    for _ in device_bundle.unpack(source, inflate, target, found.unpacked):
        pass
    slot = target.getvalue()
    assert len(slot) == found.unpacked
    target.seek(0)
    assert len(list(device_bundle.verify(target, len(slot)))) == len(packed.files)
    assert {"main.mpy", "iothub/errors.mpy", "app/thermostat.mpy"} <= set(packed.files)
    assert not {"boot.mpy", "slotboot.mpy", "base.mpy"} & set(packed.files)


def test_a_bit_flipped_anywhere_in_a_whole_file_is_refused(keys, compiled):
    content = pack_bundle(PICO, compiled, RELEASE, keys).content
    for at in range(0, len(content), 331):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(UpdateError):
            found = device_takes(bytes(flipped), keys)
            device_image.verify(found, device_digest(flipped))


def device_digest(content):
    from hashlib import sha256

    return sha256(content[: -device_image.TRAILER_BYTES]).digest()


def test_a_trailer_does_not_fit_another_file(keys, compiled):
    one = pack_bundle(PICO, compiled, RELEASE, keys).content
    other = pack_bundle(PICO, compiled | {"app/more.mpy": compiled[MAIN]}, RELEASE, keys).content
    swapped = one[: -device_image.TRAILER_BYTES] + other[-device_image.TRAILER_BYTES :]
    with pytest.raises(UpdateError):
        device_image.verify(device_takes(swapped, keys), device_digest(swapped))
    with pytest.raises(OtaError, match="the trailer is of another image"):
        read_release(swapped)


def test_an_unsigned_file_is_for_devices_that_take_it_only(keys, compiled):
    content = pack_bundle(PICO, compiled, RELEASE, None).content
    with pytest.raises(UpdateError, match="it is not signed"):
        device_takes(content, keys)


def test_safe_mode_has_what_it_needs_and_no_more(compiled):
    files = base_files(compiled)
    assert files[MAIN] == compiled["base.mpy"]
    assert {"iothub/net/ota.mpy", "iothub/update/slots.mpy", "iothub/net/updates.mpy"} <= set(
        files
    )
    assert not [path for path in files if path.startswith(("app/", "umqtt/"))]


def test_base_two_slots_and_a_download_must_fit(keys, compiled):
    too_much = compiled | {"app/large.mpy": compiled[MAIN] + bytes(400_000)}
    with pytest.raises(OtaError, match="base, two slots and a download need"):
        pack_bundle(PICO, too_much, RELEASE, keys)
    assert filesystem_bytes(PICO) == 848 * 1024
    assert filesystem_bytes(read_board("esp32")) == 576 * 1024


UNUSED = (
    "umqtt", "iothub/net/mqtt", "iothub/net/coap", "iothub/services/coap", "iothub/codec/coap",
    "iothub/doctor", "iothub/net/repl", "iothub/net/iotmq", "iothub/net/websocket",
    "iothub/codec/websocket", "iothub/services/gateway",
)  # fmt: skip


def test_what_a_device_does_not_use_is_left_away(keys, compiled):
    esp32 = read_board("esp32")
    packed = pack_bundle(esp32, compiled, RELEASE, keys, UNUSED)
    assert not [path for path in packed.files if path.startswith(UNUSED)]
    assert "iothub/net/ota.mpy" in packed.files
    with pytest.raises(OtaError, match="nothing begins with nonsense"):
        pack_bundle(esp32, compiled, RELEASE, keys, ("nonsense",))


@pytest.mark.parametrize("path", ["../main.mpy", "/main.mpy", "a//b", "a b", "é", "x" * 65])
def test_a_path_no_board_takes_is_told(path):
    with pytest.raises(OtaError, match="a board takes no file"):
        slot_file({MAIN: b"", path: b""})


def test_a_slot_without_program_or_with_too_much_is_told():
    with pytest.raises(OtaError, match=r"there is no main\.mpy"):
        slot_file({"other.mpy": b""})
    with pytest.raises(OtaError, match="files and"):
        slot_file({MAIN: b"", **{f"f{i}": b"" for i in range(256)}})


def test_mixed_bytecode_is_told():
    with pytest.raises(OtaError, match="one mpy-cross"):
        bytecode_of({"a.mpy": b"M\x06", "b.mpy": b"M\x05"})


def test_a_bundle_is_smaller_than_its_slot(compiled, keys):
    slot = slot_file(application_files(compiled, keys))
    assert len(bundle(slot)) < 0.75 * len(slot)


def test_what_nothing_loads_is_in_no_slot(compiled):
    unused = {"iothub/timeouts.mpy", "iothub/services/codes.mpy", "iothub/compat.mpy"}
    assert unused <= compiled.keys()
    for files in (application_files(compiled, None), base_files(compiled)):
        assert not unused & files.keys()
        there = {module_of(path) for path in files}
        for path, text in library().sources.items():
            if path.removesuffix(".py") + ".mpy" in files:
                assert not named_in(text) & {module_of(path) for path in unused}, path
        assert {"iothub.base", "iothub.texts0"} <= there


# A person's advice, which is done without; the beginning of names, of texts0 and so on; what only
# a gateway loads.
NOT_FOR_SAFE_MODE = {"iothub.hints", "iothub.texts", "iothub.net.sub_ota"}


def test_safe_mode_has_all_that_it_imports(compiled):
    sources = library().sources
    safe = base_files(compiled)
    there = {module_of(path) for path in safe}
    known = {module_of(path) for path in sources}
    for path, text in sources.items():
        if path.removesuffix(".py") + ".mpy" in safe:
            missing = (named_in(text) & known) - there
            assert missing <= NOT_FOR_SAFE_MODE, path
    assert not NOT_FOR_SAFE_MODE & there


def module_of(path: str) -> str:
    return path.rpartition(".")[0].removesuffix("/__init__").replace("/", ".")


def named_in(text: str) -> set[str]:
    """What a source imports, or has the name of in a string."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases):
                names |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.Constant(value=str(text)):
                names.add(text)
    return names


# Whether all of it fits, as MicroPython counts its LittleFS.

BLOCK_BYTES = 4096
DEVICE_SPARE_BLOCKS = 4  # _SPARE_BYTES of update/slots.py
# Trust anchors: IoT Hub's and one for downloads; with more room, all that make trust has.
ANCHORS, ALL_ANCHORS = 2, 7
# The others, laid out for two applications, have room for little more.
ROOMY = ["pico_w", "esp32-files", "esp32_c3-files", "esp32_s3-files"]
_COUNT = """
import json, os, sys, vfs

class Flash:
    def __init__(self, blocks):
        self.data = bytearray(blocks * 4096)
    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        buf[:] = memoryview(self.data)[at:at + len(buf)]
    def writeblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        self.data[at:at + len(buf)] = buf
    def ioctl(self, operation, argument):
        return {4: len(self.data) // 4096, 5: 4096}.get(operation, 0)

blocks, files = json.loads(sys.stdin.readline())
flash = Flash(blocks)
vfs.VfsLfs2.mkfs(flash)
vfs.mount(vfs.VfsLfs2(flash), "/flash")
for path, size in files:
    folder = path.rpartition("/")[0]
    if folder and folder[1:] not in os.listdir("/flash"):
        os.mkdir("/flash" + folder)
    with open("/flash" + path, "wb") as file:
        file.write(bytes(size))
print(blocks - os.statvfs("/flash")[3])
"""


def blocks_taken(board, compiled, keys, packed, anchors: int) -> int:
    """In the worst moment: both slots full, and the download there."""
    slot_bytes = len(slot_file(packed.files))
    files = [(path, len(content)) for path, content in starters().items()]
    files += [(f"/trust/{number}.der", 1400) for number in range(anchors)]
    files += [(f"/state/{name}.{half}", 400) for name in ("slots", "ota") for half in "ab"]
    files += [
        ("/device.json", 400),
        ("/state/ota.tail", 528),
        ("/state/time.a", 15),
        ("/slots/keys", len(keys.public_file())),
        ("/slots/base", len(slot_file(base_files(compiled)))),
        ("/slots/a", slot_bytes),
        ("/slots/b", slot_bytes),
        ("/slots/download", len(packed.content) - 512),
    ]
    done = subprocess.run(
        [Path(sys.executable).with_name("micropython"), "-X", "heapsize=16m", "-c", _COUNT],
        input=json.dumps([filesystem_bytes(board) // BLOCK_BYTES, files]) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("key", [*ESP32S, *ROOMY])
def test_an_update_of_the_whole_library_has_room(key, keys, compiled):
    board = read_board(key)
    packed = pack_bundle(board, compiled, RELEASE, keys)
    anchors = ALL_ANCHORS if key in ROOMY else ANCHORS
    taken = blocks_taken(board, compiled, keys, packed, anchors)
    blocks = filesystem_bytes(board) // BLOCK_BYTES
    print(f"{key}: {taken} of {blocks} blocks, {(blocks - taken) / blocks:.0%} to spare")
    assert taken <= blocks - DEVICE_SPARE_BLOCKS
    if key in ROOMY:
        assert blocks - taken >= 0.15 * blocks


def test_what_does_not_fit_is_told_before_it_is_uploaded(keys, compiled):
    board = read_board("esp32")
    with pytest.raises(OtaError) as told:
        pack_bundle(board, compiled | {"app/large.mpy": noise(40_000)}, RELEASE, keys)
    assert "a download need" in str(told.value)
    assert "make flash BOARD=esp32-files" in str(told.value)
    larger = compiled | {"app/large.mpy": noise(100_000)}
    roomy = pack_bundle(read_board("esp32-files"), larger, RELEASE, keys)
    with pytest.raises(AssertionError, match="OSError: 28"):
        blocks_taken(board, compiled, keys, roomy, ANCHORS)


def noise(size: int) -> bytes:
    """Bytecode that does not get smaller."""
    return b"M\x06" + random.Random(1).randbytes(size)


@pytest.mark.parametrize(
    "fields", [{"product": ""}, {"version": "x" * 33}, {"board": "b\n"}, {"sequence": 1 << 32}]
)
def test_a_field_that_does_not_fit_is_told(fields, keys):
    values = {"kind": 1, "product": "P", "board": "b", "version": "1", "sequence": 1} | fields
    with pytest.raises(OtaError):
        trailer(Release(**values), b"", keys.current)


# Applications of ESP32s.


@pytest.mark.parametrize(("key", "size"), ESP32S.items())
def test_the_application_is_taken_out_of_the_published_image(key, size, keys):
    board = read_board(key)
    merged = pinned_image(board)
    release = Release(0, "PRODUCT123", board_field(board), "1.27.0", 7)
    micropython, packed = pack_application(board, merged, release, keys)
    assert micropython == "1.27.0"
    found = device_takes(packed.content, keys, board)
    assert found.size == size
    assert 0x1B0000 - size >= HEADROOM_BYTES
    # The device itself refuses the merged file by name.
    content = merged.read_bytes()
    with pytest.raises(UpdateError, match="a merged file"):
        device_image.check_head(found, content[: device_image.HEAD_BYTES])


@pytest.mark.parametrize("key", ESP32S)
def test_an_image_for_another_chip_is_refused(key):
    others = [other for other in ESP32S if other != key]
    for other in others:
        with pytest.raises((OtaError, BoardError)):
            application(read_board(key), pinned_image(read_board(other)))


def test_a_damaged_application_is_refused(tmp_path):
    board = read_board("esp32_c3")
    content = bytearray(pinned_image(board).read_bytes())
    content[500_000] ^= 1
    path = tmp_path / "image.bin"
    path.write_bytes(content)
    with pytest.raises(BoardError, match="is wrong"):
        application(board, path)
    path.write_bytes(content[:300_000])
    with pytest.raises((OtaError, BoardError)):
        application(board, path)


def test_an_application_by_itself_is_taken_too(tmp_path):
    board = read_board("esp32_c3")
    _, code = application(board, pinned_image(board))
    path = tmp_path / "application.bin"
    path.write_bytes(code)
    assert application(board, path)[1] == code


def test_no_image_fits_a_board_that_has_no_place_for_one(keys):
    with pytest.raises(OtaError, match="takes no image"):
        pack_application(PICO, Path("image.bin"), RELEASE, keys)
    with pytest.raises(OtaError, match="has one place for an application"):
        pack_application(read_board("esp32-files"), Path("image.bin"), RELEASE, keys)


def test_how_much_an_application_leaves_of_its_partition_is_told(tmp_path, capsys, keys):
    board = read_board("esp32")
    _, code = application(board, pinned_image(board))
    arguments = ["pack", "--unsigned", "--board", "esp32", "--product", "P", "--version", "2"]
    arguments += ["--output", str(tmp_path / "out"), "--image"]
    assert cli.main([*arguments, str(pinned_image(board))]) == 0
    assert f"{0x1B0000 - len(code)} bytes of the partition " in capsys.readouterr().out


# The command line.


def test_the_commands_from_keys_to_a_file(tmp_path, capsys):
    folder = str(tmp_path / "keys")
    output = tmp_path / "new.ota"
    arguments = ["pack", "--keys", folder, "--board", "pico_w", "--product", "PRODUCT123"]
    arguments += ["--version", "1.1", "--output", str(output)]
    assert cli.main(arguments) == 1
    assert "`make ota-keys` makes them" in capsys.readouterr().err
    assert cli.main(["keys", "--keys", folder]) == 0
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert "bundle for a slot" in told and "RPI_PICO_W" in told and "1.1, sequence" in told
    assert cli.main(["show", str(output)]) == 0
    assert "PRODUCT123" in capsys.readouterr().out
    assert "PRIVATE" not in told
    assert cli.main(["show", str(tmp_path / "missing.ota")]) == 1
    assert cli.main(["show", __file__]) == 1
    assert cli.main([*arguments, "--unsigned"]) == 0
    assert "NOT SIGNED" in capsys.readouterr().out


def test_a_version_names_no_other_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "OUTPUT", tmp_path / "ota")
    arguments = ["pack", "--board", "pico_w", "--product", "PRODUCT123", "--unsigned"]
    assert cli.main([*arguments, "--version", "../../2026/11"]) == 0
    assert "../../2026/11, sequence" in capsys.readouterr().out
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "ota/pico_w-.._.._2026_11.ota"]


@pytest.mark.parametrize("command", ["keys", "pack"])
def test_the_usage_names_what_a_person_types(command, capsys):
    for arguments in ([command, "--help"], [command, "--nothing-of-the-kind"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        told = capsys.readouterr()
        assert f"usage: make ota-{command} " in told.out + told.err
        assert "python" not in told.out + told.err
