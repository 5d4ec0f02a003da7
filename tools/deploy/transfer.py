"""From a slot's file here to the slot the board starts: whatever breaks on the way, it starts what
it started before. What does not fit is refused before anything is written."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tools.boards.errors import BoardError
from tools.deploy.parts import Entry, parts_of
from tools.repl.board import NEW_SUFFIX, RunningBoard

DEVICE_CODE = Path(__file__).with_name("device") / "slots.py"
SLOTS = "ab"
_PHASE = "deploying"
_CONFIRMED = 0
# For the journals and the file system itself.
_SPARE_BYTES = 16 * 1024
_BLOCK_BYTES = 4096
_FOLDER_BYTES = 4 * _BLOCK_BYTES  # as MicroPython counts them; LittleFS needs two
_RECORD_BYTES = 2 * _BLOCK_BYTES  # the journal's two files


@dataclass(frozen=True)
class Deployed:
    """What it took; `slot` is empty when the board had it already."""

    slot: str
    sent_bytes: int
    copied_bytes: int


@dataclass(frozen=True)
class _Plan:
    """Which slot is filled, "" where the board has it already; `state` is the record's."""

    digest: str
    state: dict[str, Any]
    running: str
    target: str
    good: str


def different(board: RunningBoard, files: dict[str, bytes]) -> dict[str, bytes]:
    """Those of the files, by path, that the board does not have as they are."""
    found = board.call("hashes", list(files))
    return {
        path: content
        for (path, content), digest in zip(files.items(), found, strict=True)
        if digest != hashlib.sha256(content).hexdigest()
    }


def check_room(board: RunningBoard, files: dict[str, bytes], slot: bytes) -> None:
    """Raises BoardError unless the files, each written beside the one it replaces, and then the
    slot have room."""
    board.load(DEVICE_CODE)
    begin = board.call("free_bytes") - _SPARE_BYTES
    folders = {path.rpartition("/")[0] for path in files} - {""} | {"/slots", "/state"}
    free = begin - _RECORD_BYTES
    free -= _FOLDER_BYTES * board.call("sizes", list(folders)).count(None)
    least = free
    old = board.call("sizes", list(files))
    left_over = board.call("sizes", [path + NEW_SUFFIX for path in files])
    for content, old_bytes, left_over_bytes in zip(files.values(), old, left_over, strict=True):
        free += _in_blocks(left_over_bytes) - _in_blocks(len(content))
        least = min(least, free)
        free += _in_blocks(old_bytes)
    target = _plan(board, slot).target
    if target:
        (old_bytes,) = board.call("sizes", [_path(target)])
        least = min(least, free + _in_blocks(old_bytes) - _in_blocks(len(slot)))
    if least < 0:
        reason = f"{begin - least} bytes are needed, {max(begin, 0)} are free"
        hint = "Nothing was written. Remove files of yours, or begin anew: make erase"
        raise BoardError(_PHASE, reason, hint)


def write_starters(board: RunningBoard, starters: dict[str, bytes]) -> None:
    """boot.py and what else starts slots, each where it differs: a file each, replaced whole."""
    for path, content in different(board, starters).items():
        board.write(path, content)
    board.load(DEVICE_CODE)
    board.call("forget_slotboot")
    board.call("make_folders", "/state")


def deploy(board: RunningBoard, slot: bytes) -> Deployed:
    """Fills the slot that does not run, compares all of it by SHA-256, then makes it what starts,
    by one record. Raises BoardError."""
    plan = _plan(board, slot)
    if not plan.target:
        return Deployed("", 0, 0)
    digest, running, target, good = plan.digest, plan.running, plan.target, plan.good
    # Before it is touched: from here on it may hold anything.
    state = board.call("save", {**plan.state, "slot": running, "good": good, target: None})
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


def _plan(board: RunningBoard, slot: bytes) -> _Plan:
    digest = hashlib.sha256(slot).hexdigest()
    state = board.call("state")
    hashes = dict(zip(SLOTS, board.call("hashes", [_path(name) for name in SLOTS]), strict=True))
    running = state.get("slot", "a")
    target = "b" if running == "a" and hashes["a"] else "a"
    if hashes.get(running) == digest and state.get("phase", _CONFIRMED) == _CONFIRMED:
        target = ""
    good = str(state.get("good", "a" if hashes["a"] else "")).replace(target, "")
    return _Plan(digest, state, running, target, good)


def _path(slot: str) -> str:
    return f"/slots/{slot}"


def _in_blocks(size_bytes: int | None) -> int:
    return -(-(size_bytes or 0) // _BLOCK_BYTES) * _BLOCK_BYTES


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
