"""From a slot's file here to the slot the board starts: whatever breaks on the way, it starts what
it started before."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tools.boards.errors import BoardError
from tools.deploy.parts import Entry, parts_of
from tools.repl.board import RunningBoard

DEVICE_CODE = Path(__file__).with_name("device") / "slots.py"
SLOTS = "ab"
_PHASE = "deploying"
_CONFIRMED = 0
# For the journals and the file system itself.
_SPARE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Deployed:
    """What it took; `slot` is empty when the board had it already."""

    slot: str
    sent_bytes: int
    copied_bytes: int


def write_starters(board: RunningBoard, starters: dict[str, bytes]) -> None:
    """boot.py and what else starts slots, each where it differs: a file each, replaced whole."""
    found = board.call("hashes", list(starters))
    for (path, content), digest in zip(starters.items(), found, strict=True):
        if digest != hashlib.sha256(content).hexdigest():
            board.write(path, content)
    board.load(DEVICE_CODE)
    board.call("forget_slotboot")
    board.call("make_folders", "/state")


def deploy(board: RunningBoard, slot: bytes) -> Deployed:
    """Fills the slot that does not run, compares all of it by SHA-256, then makes it what starts,
    by one record. Raises BoardError."""
    digest = hashlib.sha256(slot).hexdigest()
    state = board.call("state")
    hashes = dict(zip(SLOTS, board.call("hashes", [_path(name) for name in SLOTS]), strict=True))
    running = state.get("slot", "a")
    if hashes.get(running) == digest and state.get("phase", _CONFIRMED) == _CONFIRMED:
        return Deployed("", 0, 0)
    target = "b" if running == "a" and hashes["a"] else "a"
    good = str(state.get("good", "a" if hashes["a"] else "")).replace(target, "")
    # Before it is touched: from here on it may hold anything.
    state = board.call("save", {**state, "slot": running, "good": good, target: None})
    sent, copied = _fill(board, slot, _path(running), _path(target))
    if board.call("hashes", [_path(target)])[0] != digest:
        # Two files of one size and CRC-32, or a worn flash: the second time all of it is sent.
        sent, copied = _fill(board, slot, None, _path(target))
        if board.call("hashes", [_path(target)])[0] != digest:
            hint = "Run it again; what ran before still starts. If it repeats, the flash is worn."
            raise BoardError(_PHASE, "the slot is not as it was sent", hint)
    wanted = {**state, "slot": target, "phase": _CONFIRMED, "good": good + target}
    wanted.update(tries=0, why="", causes=[], watched="")
    if board.call("save", wanted) != wanted:
        hint = "Remove files of yours; what ran before still starts."
        raise BoardError(_PHASE, "the record of the slots was not written", hint)
    return Deployed(target, sent, copied)


def _path(slot: str) -> str:
    return f"/slots/{slot}"


def _fill(board: RunningBoard, slot: bytes, source: str | None, target: str) -> tuple[int, int]:
    """Returns (bytes sent, bytes that were on the board)."""
    board.call("remove", target)
    free = max(board.call("free_bytes") - _SPARE_BYTES, 0)
    if free < len(slot):
        hint = "Remove files of yours; what ran before still starts."
        raise BoardError(_PHASE, f"{len(slot)} bytes are needed, {free} are free", hint)
    old = [Entry(*entry) for entry in board.call("entries", source)] if source else []
    parts = parts_of(slot, old)
    sent = sum(part.size for part in parts if part.source is None)
    board.call("make_folders", "/slots")
    board.call("begin", target)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("sending", total=sent)
        for part in parts:
            if part.source is not None:
                board.call("add", source, part.source, part.size)
            else:
                content = slot[part.place : part.place + part.size]
                board.append("_f", content, lambda count: bar.update(task, advance=count))
        bar.update(task, description="sent")
    board.call("end")
    return sent, len(slot) - sent
