"""What outlives a restart: the loaded collections, in SQLite.

Every method blocks, and may be called from any thread, by one at a time. When a method that changes
something returns, the change survives a crash of the process and of the machine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from imgd.host import state_file

APPLICATION_ID: Final = 0x696D6764  # "imgd"
VERSION: Final = 1
LOCK_PATIENCE: Final = 5.0  # seconds to wait for another program that has the file locked

_TABLES: Final = """
CREATE TABLE collections (
    name TEXT PRIMARY KEY NOT NULL,
    directory BLOB NOT NULL,  -- as the file system has it: it need not be UTF-8
    recursive INTEGER NOT NULL,
    image_count INTEGER NOT NULL,
    loaded_at REAL NOT NULL,
    expires_at REAL,
    timeout_minutes INTEGER NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS: Final = "name, directory, recursive, image_count, loaded_at, expires_at, timeout_minutes"
_SELECT: Final = f"SELECT {_COLUMNS} FROM collections ORDER BY name"  # noqa: S608 (constants)
_REPLACE: Final = "INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM collections WHERE name = ?"
_RESCHEDULE: Final = "UPDATE collections SET expires_at = ?, timeout_minutes = ? WHERE name = ?"


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection as it is stored.

    ``directory`` is absolute, and may hold surrogates (PEP 383). ``loaded_at`` and ``expires_at``
    (None: never) are wall seconds since the epoch; ``timeout_minutes`` is what the timer was last
    started with.
    """

    name: str
    directory: str
    recursive: bool
    image_count: int
    loaded_at: float
    expires_at: float | None
    timeout_minutes: int


class Store:
    """The stored collections, by name. ``Store.open`` makes one.

    Every method raises Unavailable, and leaves what was stored as it was, where the disk is full or
    read-only or another program holds the file. ``moved_aside`` is where an unusable file was moved
    on opening, or None.
    """

    def __init__(self, connection: sqlite3.Connection, moved_aside: str | None = None) -> None:
        self._connection = connection
        self.moved_aside = moved_aside

    @classmethod
    def open(cls, path: str, patience: float = LOCK_PATIENCE) -> Store:
        """Open the store at ``path``, in a folder that exists; make one where there is none.

        A file that is corrupt, not imgd's or of a later version is moved aside, which the log
        tells, and an empty one takes its place. ``patience`` is how many seconds to wait for
        another program's lock.
        """
        return cls(*state_file.open_sound(path, patience, _FORMAT))

    def collections(self) -> list[StoredCollection]:
        """Every stored collection, sorted by name."""
        with state_file.explained("read"):
            return _read(self._connection)

    def put(self, collection: StoredCollection) -> None:
        """Store a collection, in place of the one that had its name."""
        with self._transaction():
            self._connection.execute(_REPLACE, _row(collection))

    def remove(self, name: str) -> None:
        """Forget a collection; nothing happens where there is none of this name."""
        with self._transaction():
            self._connection.execute(_DELETE, (name,))

    def reschedule(self, rows: Iterable[tuple[str, float | None, int]]) -> None:
        """Store new timers, all or none: name, ``expires_at`` and ``timeout_minutes`` of each."""
        with self._transaction():
            self._connection.executemany(
                _RESCHEDULE, [(expires_at, minutes, name) for name, expires_at, minutes in rows]
            )

    def close(self) -> None:
        """Close the file. Nothing is lost by not closing it."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with state_file.explained("stored"), self._connection:  # commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield


def _row(collection: StoredCollection) -> tuple[object, ...]:
    return (
        collection.name,
        os.fsencode(collection.directory),
        collection.recursive,
        collection.image_count,
        collection.loaded_at,
        collection.expires_at,
        collection.timeout_minutes,
    )


def _collection(row: tuple[Any, ...]) -> StoredCollection:
    """The inverse of ``_row``; ValueError, TypeError or OverflowError where it makes no sense."""
    name, directory, recursive, image_count, loaded_at, expires_at, minutes = row
    return StoredCollection(
        name=name,
        directory=os.fsdecode(directory),
        recursive=bool(recursive),
        image_count=int(image_count),
        loaded_at=float(loaded_at),
        expires_at=None if expires_at is None else float(expires_at),
        timeout_minutes=int(minutes),
    )


def _read(connection: sqlite3.Connection) -> list[StoredCollection]:
    return [_collection(row) for row in connection.execute(_SELECT).fetchall()]


_FORMAT: Final = state_file.Format(APPLICATION_ID, VERSION, _TABLES, _read)
