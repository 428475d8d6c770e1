"""Engine state in SQLite (WAL): one table of (kind, key, value), values msgspec-encoded JSON.

Synchronous: a write is one small transaction of tens of microseconds. The last acknowledged write survives a
``kill -9`` of the engine; ``synchronous=NORMAL`` may lose the last ones on a power cut, never consistency.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from solva.errors import SystemFailure

SCHEMA_VERSION = 1
T = TypeVar("T")


class Store:
    """Typed keys and values. ``kind`` names a collection: ``container``, ``network``, ``volume``, ``image`` …"""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise SystemFailure(
                f"{path} was written by a newer Solva (schema {version}, this one knows {SCHEMA_VERSION})"
            )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS item (kind TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        """The value, or None."""
        row = self._db.execute("SELECT value FROM item WHERE kind=? AND key=?", (kind, key)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=type_)

    def put(self, kind: str, key: str, value: object) -> None:
        """Insert or replace."""
        self._db.execute("REPLACE INTO item VALUES (?, ?, ?)", (kind, key, msgspec.json.encode(value)))

    def delete(self, kind: str, key: str) -> None:
        """Fine when it is gone already."""
        self._db.execute("DELETE FROM item WHERE kind=? AND key=?", (kind, key))

    def all(self, kind: str, type_: type[T]) -> list[T]:
        """Every value of a kind, in the order of the keys."""
        rows = self._db.execute("SELECT value FROM item WHERE kind=? ORDER BY key", (kind,)).fetchall()
        decoder = msgspec.json.Decoder(type_)
        return [decoder.decode(row[0]) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several puts and deletes at once or not at all. Not across an await."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
