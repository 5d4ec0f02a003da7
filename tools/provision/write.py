"""Onto the board: each file beside its old one, compared, renamed."""

import hashlib
import json
from collections.abc import Callable

from tools.boards.errors import BoardError
from tools.provision.contents import CONFIGURATION, TRUST
from tools.repl.board import RunningBoard


def write(board: RunningBoard, files: dict[str, bytes], told: Callable[[str], None]) -> None:
    """Writes what differs, and removes anchors that are none any more. Raises BoardError."""
    found = board.call("hashes", list(files))
    for (path, content), digest in zip(files.items(), found, strict=True):
        if digest == hashlib.sha256(content).hexdigest():
            told(f"{path}: as it was")
        else:
            board.write(path, content)
            told(f"{path}: {len(content)} bytes")
    anchors = {path for path in files if path.startswith(TRUST + "/")}
    if anchors:
        for path in board.call("files", TRUST):
            if path not in anchors:
                board.call("remove", path)
                told(f"{path}: removed")


def check_identity(board: RunningBoard, files: dict[str, bytes], replace: bool) -> None:
    """Raises BoardError for a board that is another device already; with `replace`, takes what
    that one left in its state folder: queue, registration, sessions."""
    text = board.call("read", CONFIGURATION)
    if text is None:
        return
    wanted = _names(files[CONFIGURATION].decode())
    found = _names(text)
    if found in (wanted, ("", "")):
        return
    if not replace:
        hint = 'Erase it, or: make provision ARGS="... --replace"'
        raise BoardError("looking at the board", f"it is {'/'.join(found)} already", hint)
    for path in board.call("files", "/state"):
        if "/slots." not in path:  # which application starts is not of the identity
            board.call("remove", path)


def _names(text: str) -> tuple[str, str]:
    try:
        fields = json.loads(text)
        return str(fields.get("product_id", "")), str(fields.get("device_name", ""))
    except (ValueError, AttributeError):
        return "", ""
