"""Many boards, one after the other, from a CSV file: what is done is in a result file, which the
next run reads, so that it goes on where the last one stopped."""

import csv
import io
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from tools.boards.description import Board
from tools.boards.errors import BoardError
from tools.provision.closing import Closing, check_deployed, close
from tools.provision.configuration import Fields
from tools.provision.contents import files_for
from tools.provision.write import check_identity, write
from tools.repl.board import RunningBoard

MAX_ROWS = 10_000
MAX_FILE_BYTES = 8 * 1024 * 1024
DONE, FAILED = "done", "failed"
_PHASE = "reading the list"
# Columns of the list: fields of device.json that differ from device to device.
_COLUMNS = (
    "product_id",
    "device_name",
    "device_secret",
    "product_secret",
    "certificate",
    "private_key",
)


@dataclass(frozen=True)
class Result:
    """A line of the result file. No secret is in it."""

    time: str
    product_id: str
    device_name: str
    unique_id: str
    board: str
    micropython: str
    status: str
    reason: str


@dataclass(frozen=True)
class Run:
    """`common`: the fields all devices share; `near`, `trust` as of contents.files_for();
    `closing`: None where consoles stay open."""

    devices: list[Fields]
    results: Path
    common: Fields
    near: Path
    trust: Path | None
    board: Board | None
    port: str | None
    closing: Closing | None = None


def read_devices(path: Path) -> list[Fields]:
    """The rows of a list. Raises BoardError, which names the line and no value."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BoardError(_PHASE, f"{path} is too large", f"{MAX_FILE_BYTES} bytes at most.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise BoardError(_PHASE, f"{path}: {error.strerror}", "Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BoardError(_PHASE, f"{path} is no CSV in UTF-8", "Save it as that.") from error
    columns = ", ".join(_COLUMNS)
    if not rows or len(rows) > MAX_ROWS:
        hint = f"Its first line names columns: {columns}."
        raise BoardError(_PHASE, f"{path} has {len(rows)} devices, not 1 to {MAX_ROWS}", hint)
    unknown = sorted(str(name) for name in reader.fieldnames or () if name not in _COLUMNS)
    if unknown:
        raise BoardError(_PHASE, f"unknown columns {unknown}", f"Known are {columns}.")
    devices: dict[tuple[str, str], Fields] = {}
    for line, row in rows:
        # What is beyond the columns is a list, under the name None.
        too_long = row.pop(None, None) is not None
        device = {name: value.strip() for name, value in row.items() if value}
        name = _name(device)
        if too_long or not all(name) or name in devices:
            what = "is there twice" if name in devices else "lacks product_id or device_name"
            what = "has more values than there are columns" if too_long else what
            raise BoardError(_PHASE, f"line {line} {what}", f"Correct {path.name}.")
        devices[name] = device
    return list(devices.values())


def read_results(path: Path) -> list[Result]:
    """What earlier runs did; a last line that a power cut left half is not counted. Raises
    BoardError."""
    if not path.exists():
        return []
    names = [field.name for field in fields(Result)]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("status") in (DONE, FAILED)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _no_results(path, error) from error
    return [Result(**{name: row.get(name) or "" for name in names}) for row in rows]


def provision_all(run: Run, next_board: Callable[[str], bool], told: Callable[[str], None]) -> int:
    """Goes through the devices that are not done; `next_board(device)` returns when a board for it
    is plugged in, False to stop. Returns how many are still to do. Raises BoardError before the
    first board when the list, the common fields or the result file are wrong; later when a result
    cannot be noted."""
    # The first stands for all: to ask the library for each takes 50 ms.
    files_for({**run.common, **run.devices[0]}, run.near, run.trust)
    done = {_key(result) for result in read_results(run.results) if result.status == DONE}
    todo = [device for device in run.devices if _name(device) not in done]
    if todo:
        _check_writable(run.results)
    told(f"{len(run.devices) - len(todo)} of {len(run.devices)} are done: {run.results}")
    while todo:
        label = "/".join(_name(todo[0]))
        if not next_board(label):
            break
        result = _provision(run, todo[0])
        _append(run.results, result)
        told(f"{label}: {result.status} {result.reason or result.unique_id}")
        if result.status == DONE:
            todo.pop(0)
    return len(todo)


def _provision(run: Run, device: Fields) -> Result:
    identity = None
    status, reason = FAILED, ""
    try:
        files = files_for({**run.common, **device}, run.near, run.trust)
        with RunningBoard.opened(run.port, run.board) as board:
            identity = board.identity
            if run.closing:
                check_deployed(board)
            _check_unused(run, identity.unique_id, _name(device))
            check_identity(board, files, replace=False)
            write(board, files, lambda line: None)
            if run.closing:
                close(board, run.closing, lambda line: None)
            else:
                board.restart()
        status = DONE
    except BoardError as error:
        reason = f"{error.phase}: {error.reason}"
    return Result(
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        product_id=device["product_id"],
        device_name=device["device_name"],
        unique_id=identity.unique_id if identity else "",
        board=(identity.build or identity.platform) if identity else "",
        micropython=identity.version if identity else "",
        status=status,
        reason=reason,
    )


def _check_unused(run: Run, unique_id: str, name: tuple[str, str]) -> None:
    for result in read_results(run.results):
        if result.status == DONE and unique_id and result.unique_id == unique_id:
            other = _key(result)
            if other != name:
                reason = f"this board was made {'/'.join(other)} before"
                raise BoardError("looking at the board", reason, "Take the next board.")


def _check_writable(path: Path) -> None:
    """A board whose result cannot be noted would be done twice, or given out twice."""
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()  # it begins with the first result
    except OSError as error:
        raise _no_results(path, error) from error


def _append(path: Path, result: Result) -> None:
    """A line that is on the disk when this returns. Raises BoardError."""
    try:
        is_new = not path.exists() or path.stat().st_size == 0
        with path.open("a+b") as file:
            # After a half line of a power cut, a new one begins.
            torn = b""
            if not is_new:
                file.seek(-1, os.SEEK_END)
                torn = b"" if file.read(1) == b"\n" else b"\r\n"
            file.write(torn + _lines(result, is_new))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        told = _no_results(path, error)
        what = f"{'/'.join(_key(result))} is {result.status}, and it is not noted: {told.reason}"
        raise BoardError(told.phase, what, told.hint) from error


def _no_results(path: Path, error: Exception) -> BoardError:
    why = error.strerror if isinstance(error, OSError) else "no CSV in UTF-8"
    hint = "Make room for it, or name another file: --results"
    return BoardError("opening the result file", f"{path}: {why}", hint)


def _lines(result: Result, with_header: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(Result)])
    if with_header:
        writer.writeheader()
    writer.writerow(asdict(result))
    return text.getvalue().encode()


def _name(device: Fields) -> tuple[str, str]:
    return str(device.get("product_id", "")), str(device.get("device_name", ""))


def _key(result: Result) -> tuple[str, str]:
    return result.product_id, result.device_name
