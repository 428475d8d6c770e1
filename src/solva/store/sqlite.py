"""Engine state in SQLite (WAL): one table of (kind, key, value), values msgspec-encoded JSON.

Synchronous: a write is one small transaction of tens of microseconds. The last acknowledged write survives a
``kill -9`` of the engine; ``synchronous=NORMAL`` may lose the last ones on a power cut, never consistency.

A full disk must not keep the engine from writing down that a container ended or was removed (which frees space), so a
file beside the database holds some; it is given up in small pieces when a write finds no room, and filled again later.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from solva.errors import SystemFailure

SCHEMA_VERSION = 1
RESERVE = 1 << 20
PIECE = 64 << 10
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
        self._path = path
        self._reserve = os.open(path.with_name(f"{path.name}.reserve"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._reserved = os.fstat(self._reserve).st_size
        self._refill()

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        """The value, or None."""
        row = self._db.execute("SELECT value FROM item WHERE kind=? AND key=?", (kind, key)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=type_)

    def put(self, kind: str, key: str, value: object) -> None:
        """Insert or replace."""
        self._write("REPLACE INTO item VALUES (?, ?, ?)", (kind, key, msgspec.json.encode(value)))

    def delete(self, kind: str, key: str) -> None:
        """Fine when it is gone already."""
        self._write("DELETE FROM item WHERE kind=? AND key=?", (kind, key))

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
            self._write("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()
        os.close(self._reserve)

    def _write(self, statement: str, values: tuple[object, ...] = ()) -> None:
        """Carry it out, on space of the reserve when there is no other; SystemFailure when that is used up too."""
        while True:
            try:
                self._db.execute(statement, values)
                break
            except sqlite3.OperationalError as error:
                # a full disk ends some transactions by itself: then there is nothing left to try again
                lost = statement == "COMMIT" and not self._db.in_transaction
                if not _disk_full(error) or lost or not self._give_up():
                    raise SystemFailure(f"the engine's state cannot be written to {self._path}: {error}") from error
        if self._reserved < RESERVE:
            self._refill()

    def _give_up(self) -> bool:
        """Free a piece of the reserve; False when nothing is left of it."""
        if not self._reserved:
            return False
        self._reserved = max(0, self._reserved - PIECE)
        os.ftruncate(self._reserve, self._reserved)
        return True

    def _refill(self) -> None:
        """Fill the reserve where there is room for that and as much again."""
        room = os.fstatvfs(self._reserve)
        if self._reserved < RESERVE and room.f_bavail * room.f_frsize > 2 * RESERVE:
            try:
                os.posix_fallocate(self._reserve, 0, RESERVE)
                self._reserved = RESERVE
            except OSError:
                os.ftruncate(self._reserve, self._reserved)


def _disk_full(error: sqlite3.OperationalError) -> bool:
    code = error.sqlite_errorcode
    return code == sqlite3.SQLITE_FULL or code & 0xFF == sqlite3.SQLITE_IOERR
