"""What a board can do, and why not."""

from dataclasses import dataclass

from tools.boards.description import Board, version_numbers
from tools.boards.partitions import read_table, slots

PSK_SINCE = "1.29.0"
# Its `tls` has PROTOCOL_DTLS_CLIENT in every image that boards/ pins.
DTLS_SINCE = "1.27.0"


@dataclass(frozen=True)
class Capability:
    """`why` is the reason of a no, or what a yes rests on."""

    name: str
    able: bool
    why: str


def capabilities(board: Board) -> list[Capability]:
    """In the order `make boards` shows them. Raises BoardError for a bad partition table."""
    return [
        _full_image_update(board),
        Capability("application update", True, "as a bundle of files, on every board"),
        _since("TLS-PSK", board, PSK_SINCE),
        _since("DTLS", board, DTLS_SINCE),
    ]


def _full_image_update(board: Board) -> Capability:
    name = "full-image update"
    if board.partitions is None:
        why = "MicroPython's rp2 port has one place for an image, and no bootloader to choose"
        return Capability(name, False, why)
    found = slots(read_table(board))
    sizes = f"{len(found)} slots of {found[0].size // 1024} KiB in partitions.csv"
    if len(found) < 2:
        return Capability(name, False, sizes)
    return Capability(name, True, f"{sizes}; a stock image's own table has one")


def _since(name: str, board: Board, version: str) -> Capability:
    short = version.removesuffix(".0")
    if board.image is None:
        return Capability(name, True, f"with MicroPython {short} or newer; the image is yours")
    if version_numbers(board.image.version) >= version_numbers(version):
        return Capability(name, True, f"MicroPython {board.image.version}")
    why = f"MicroPython {short} or newer has it; the image here is {board.image.version}"
    return Capability(name, False, why)
