"""Transactions: writes are collected and committed together, reads see everything collected."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tools.hub.config import MEMORY
from tools.hub.topics import matches

# Each file brings a database from the version before to the one it is named for.
SCHEMA_VERSION = 7
_SCHEMA_FILES = [
    Path(__file__).with_name(f"schema_{version}.sql") for version in range(1, SCHEMA_VERSION + 1)
]

Row = Sequence[Any]


class StoreError(Exception):
    """The database cannot be used, or lost a transaction. The text says what to do."""


def _nobody_commits() -> None:
    """Until a commit cycle runs, what is collected waits for `flush` or `query`."""


class Store:
    """One SQLite database. `later` is a list append; `flush` is one transaction for them all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pending: list[tuple[str, Row]] = []
        # Called when something is collected after nothing was; set by whoever runs the commits.
        self.on_pending: Callable[[], None] = _nobody_commits
        try:
            if path != MEMORY:
                # It holds device secrets; SQLite gives its other files the same mode.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"opening the database {path}: {error}") from error

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives the end of the process; only a power cut can take the last ones.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.create_function("topic_matches", 2, matches, deterministic=True)
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"opening the database {self._path}: it has schema {version}, this hub knows "
                f"{SCHEMA_VERSION}; use another data directory or the hub that wrote it"
            )
        for number, file in enumerate(_SCHEMA_FILES[version:], version + 1):
            step = f"BEGIN;\n{file.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
            self._connection.executescript(step)

    def later(self, sql: str, row: Row) -> None:
        """Collect one write for the next transaction."""
        if not self._pending:
            self.on_pending()
        self._pending.append((sql, row))

    def flush(self) -> None:
        """Commit what was collected. Raises StoreError, and then none of it is kept."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for sql, writes in groupby(pending, key=itemgetter(0)):
                self._connection.executemany(sql, map(itemgetter(1), writes))
            self._connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeEncodeError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError(f"writing the database: {len(pending)} rows lost: {error}") from error

    def query(self, sql: str, row: Row = ()) -> list[Any]:
        self.flush()
        return self._connection.execute(sql, row).fetchall()

    def highest_id(self, table: str) -> int:
        """The largest id in one of the schema's tables, 0 when it is empty."""
        return int(self.query(f"SELECT COALESCE(MAX(id), 0) FROM {table}")[0][0])

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._connection.close()
