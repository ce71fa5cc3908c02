"""What outlives a restart: the loaded collections, in SQLite.

A row that makes no sense is set aside, in a table of its own: the others are restored. The file
that was opened must stay at its path: what is stored in one that was deleted or replaced is lost.

Every method blocks, and may be called from any thread, by one at a time. When a method that changes
something returns, the change survives a crash of the process and of the machine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from imgd.collections import store_file
from imgd.collections.stored_rows import StoredCollection, from_row, to_row
from imgd.core import health
from imgd.errors import Unavailable
from imgd.logs import Logger

__all__ = ["Store", "StoredCollection"]

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
# SQLite has a type for each value, and not for a column: a name may be bytes, or no UTF-8.
_KEY: Final = "typeof(name), CAST(name AS BLOB)"
_SELECT: Final = f"SELECT {_KEY}, {_COLUMNS} FROM collections ORDER BY name"  # noqa: S608 (constants)
_REPLACE: Final = "INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM collections WHERE name = ?"
_THIS_ROW: Final = f"WHERE ({_KEY}) = (?, ?)"
_SET_ASIDE: Final = (
    f"CREATE TABLE IF NOT EXISTS set_aside ({_COLUMNS}, why)",
    f"INSERT INTO set_aside SELECT *, ? FROM collections {_THIS_ROW}",  # noqa: S608 (constants)
    f"DELETE FROM collections {_THIS_ROW}",  # noqa: S608 (constants)
)
_RESCHEDULE: Final = "UPDATE collections SET expires_at = ?, timeout_minutes = ? WHERE name = ?"


_WAS_SET_ASIDE: Final = (
    "The stored collection {name} makes no sense: {why}. Its row is in the table set_aside of "
    "{path}, and the others are restored"
)
_NOT_SET_ASIDE: Final = "The stored collection {name} in {path} makes no sense: {why}. {more}"

T = TypeVar("T")


class Store:
    """The stored collections, by name. ``Store.open`` makes one.

    Every method raises Unavailable, and leaves what was stored as it was, where the disk is full or
    read-only, another program holds the file, or it is not at its path any more. ``moved_aside`` is
    where an unusable file was moved on opening, or None.
    """

    log = Logger()

    def __init__(
        self, connection: sqlite3.Connection, moved_aside: str | None = None, path: str = ""
    ) -> None:
        self._connection = connection
        self._path = path
        self._identity = _identity(path)
        self.moved_aside = moved_aside

    @classmethod
    def open(cls, path: str, patience: float = LOCK_PATIENCE) -> Store:
        """Open the store at ``path``, in a folder that exists; make one where there is none.

        A file that is corrupt, not imgd's or of a later version is moved aside, which the log
        tells, and an empty one takes its place. ``patience`` is how many seconds to wait for
        another program's lock.
        """
        return cls(*store_file.open_sound(path, patience, _FORMAT), path)

    def collections(self) -> list[StoredCollection]:
        """Every stored collection that makes sense, sorted by name; the others are set aside, which
        the log tells, a line each.
        """
        with store_file.explained("read"):
            found = [self._judged(row) for row in _rows(self._connection)]
        return [collection for collection in found if collection is not None]

    def put(self, collection: StoredCollection) -> None:
        """Store a collection, in place of the one that had its name."""
        with self._transaction():
            self._connection.execute(_REPLACE, to_row(collection))

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

    def check_place(self) -> None:
        """Unavailable where the open file is not the one at its path: somebody deleted, moved or
        replaced it, or its folder. Blocks for the disk alone, whoever else uses the store.
        """
        if _identity(self._path) != self._identity:
            raise Unavailable(
                "The state cannot be stored: its file was deleted or replaced. Put it back as it "
                "was, or start imgd again.",
                health.STATE,
            )

    def in_place(self, f: Callable[..., T], *args: Any) -> T:
        """The result of ``f(*args)``, which changes something else in the store's folder;
        Unavailable where that is not the folder any more.
        """
        self.check_place()
        result = f(*args)
        self.check_place()
        return result

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.check_place()
        with store_file.explained("stored"), self._connection:  # commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield
        self.check_place()

    def _judged(self, row: tuple[Any, ...]) -> StoredCollection | None:
        """The collection of a row, or None and the row set aside."""
        key, columns = row[:2], row[2:]
        try:
            return from_row(columns)
        except ValueError as error:
            told = {"name": os.fsdecode(key[1]), "path": self._path, "why": str(error)}
        try:
            with self._transaction():
                create, copy, delete = _SET_ASIDE
                self._connection.execute(create)
                self._connection.execute(copy, (told["why"], *key))
                self._connection.execute(delete, key)
        except Unavailable as error:
            self.log.error(_NOT_SET_ASIDE, more=error.detail, **told)  # noqa: TRY400 (one line)
        else:
            self.log.error(_WAS_SET_ASIDE, **told)
        return None


def _identity(path: str) -> tuple[int, int] | None:
    """Which file is at a path: device and number; None where none can be seen."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_SELECT).fetchall()


_FORMAT: Final = store_file.Format(APPLICATION_ID, VERSION, _TABLES, _rows)
