"""Files of the data directory: written whole, secrets for their owner only."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PRIVATE, PUBLIC = 0o600, 0o644


class FileError(Exception):
    """A file cannot be read or written. The text says which and what to do."""


def write_files(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write content and mode by name into a folder, made if it must be. Raises FileError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, (data, mode) in files.items():
            _replace(folder / name, data, mode)
    except OSError as error:
        raise FileError(f"writing into {folder}: {error.strerror}") from error


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and with its mode from the first byte on."""
    temporary = path.with_name(path.name + ".part")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
