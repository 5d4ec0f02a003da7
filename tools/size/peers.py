"""Reads peers.toml: what other libraries take."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.size.plan import FOLDER

PEERS_FILE = FOLDER / "peers.toml"


@dataclass(frozen=True)
class Peer:
    """`what` in English and Chinese; `heap` and `code` with their units, empty where unknown."""

    name: str
    what: tuple[str, str]
    source: str
    heap: str = ""
    code: str = ""


def read_peers(path: Path = PEERS_FILE) -> list[Peer]:
    """Raises TypeError naming a field that is not known or missing."""
    return [Peer(**table) for table in tomllib.loads(path.read_text("utf-8"))["peer"]]
