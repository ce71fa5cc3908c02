"""What outlives a restart: the loaded collections and the default timeout, in SQLite.

A row that makes no sense is set aside, in a table of its own: the others are restored. The file
that was opened must stay at its path: what is stored in one that was deleted or replaced is lost.

Every method blocks, and may be called from any thread, by one at a time. When a method that changes
something returns, the change survives a crash of the process and of the machine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from imgd.collections import store_file
from imgd.collections.stored_rows import (
    StoredCollection,
    StoredTimeout,
    StoredTimer,
    from_row,
    timeout_from_row,
    to_row,
)
from imgd.core import health
from imgd.errors import Unavailable
from imgd.logs import Logger

__all__ = ["CatalogStore", "Store", "StoredCollection", "StoredTimeout"]

APPLICATION_ID: Final = 0x696D6764  # "imgd"
VERSION: Final = 3
LOCK_TIMEOUT: Final = 5.0  # seconds to wait for another program that has the file locked

# At most one row, which is there if a default timeout was set.
_TIMEOUT_TABLE: Final = """
CREATE TABLE default_timeout (minutes INTEGER NOT NULL, configured_minutes INTEGER NOT NULL);
"""
_TABLES: Final = f"""
CREATE TABLE collections (
    name TEXT PRIMARY KEY NOT NULL,
    directory BLOB NOT NULL,  -- as the file system has it: it need not be UTF-8
    recursive INTEGER NOT NULL,
    image_count INTEGER NOT NULL,
    loaded_at REAL NOT NULL,
    expires_at REAL,
    timeout_minutes INTEGER NOT NULL,
    all_files INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
{_TIMEOUT_TABLE}
"""
_COLUMNS_1: Final = (
    "name, directory, recursive, image_count, loaded_at, expires_at, timeout_minutes"
)
_COLUMNS: Final = f"{_COLUMNS_1}, all_files"
_ALL_FILES: Final = f"""
ALTER TABLE collections ADD COLUMN all_files INTEGER NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS set_aside ({_COLUMNS_1}, why);
ALTER TABLE set_aside ADD COLUMN all_files;
"""
# What makes a file of each earlier version one of the next.
_UPGRADES: Final = {1: _TIMEOUT_TABLE, 2: _ALL_FILES}
# SQLite has a type for each value, and not for a column: a name may be bytes, or no UTF-8.
_KEY: Final = "typeof(name), CAST(name AS BLOB)"
_SELECT: Final = f"SELECT {_KEY}, {_COLUMNS} FROM collections ORDER BY name"  # noqa: S608 (constants)
_PROBE: Final = f"SELECT {_COLUMNS_1} FROM collections"  # noqa: S608 (constants)
_REPLACE: Final = (
    f"INSERT OR REPLACE INTO collections ({_COLUMNS}) "  # noqa: S608 (constants)
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM collections WHERE name = ?"
_THIS_ROW: Final = f"WHERE ({_KEY}) = (?, ?)"
_SET_ASIDE: Final = (
    f"CREATE TABLE IF NOT EXISTS set_aside ({_COLUMNS}, why)",
    f"INSERT INTO set_aside ({_COLUMNS}, why) SELECT {_COLUMNS}, ? FROM collections {_THIS_ROW}",  # noqa: S608 (constants)
    f"DELETE FROM collections {_THIS_ROW}",  # noqa: S608 (constants)
)
_RESCHEDULE: Final = "UPDATE collections SET expires_at = ?, timeout_minutes = ? WHERE name = ?"
_SELECT_TIMEOUT: Final = "SELECT minutes, configured_minutes FROM default_timeout"
_DELETE_TIMEOUT: Final = "DELETE FROM default_timeout"
_INSERT_TIMEOUT: Final = "INSERT INTO default_timeout VALUES (?, ?)"


_WAS_SET_ASIDE: Final = (
    "The stored collection {name} makes no sense: {why}. Its row is in the table set_aside of "
    "{path}, and the others are restored"
)
_NOT_SET_ASIDE: Final = "The stored collection {name} in {path} makes no sense: {why}. {more}"


class CatalogStore(Protocol):
    """What the collection manager needs of a ``Store``."""

    def collections(self) -> list[StoredCollection]: ...

    def put(self, collection: StoredCollection) -> None: ...

    def remove(self, name: str) -> None: ...

    def reschedule(self, timers: Iterable[StoredTimer]) -> None: ...

    def default_timeout(self) -> StoredTimeout | None: ...

    def set_default_timeout(
        self, timeout: StoredTimeout | None, timers: Iterable[StoredTimer] = ()
    ) -> None: ...

    def close(self) -> None: ...


class Store:
    """The stored collections, by name. ``Store.open`` makes one.

    Every method raises Unavailable, and leaves what was stored as it was, if the disk is full or
    read-only, another program holds the file, or it is not at its path any more. ``moved_aside`` is
    the path that an unusable file was moved to on opening, or None.
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
    def open(cls, path: str, lock_timeout: float = LOCK_TIMEOUT) -> Store:
        """Open the store at ``path``, in a folder that exists; make one if there is none.

        One of an earlier version is brought up to date. A file that is corrupt, not imgd's or of a
        later version is moved aside, which is logged, and an empty one takes its place.
        ``lock_timeout`` is how many seconds to wait for another program's lock.
        """
        return cls(*store_file.open_sound(path, lock_timeout, _FORMAT), path)

    def collections(self) -> list[StoredCollection]:
        """Every stored collection that makes sense, sorted by name; the others are set aside, with
        a line of the log each.
        """
        with store_file.explained("read"):
            checked = [self._checked(row) for row in _rows(self._connection)]
        return [collection for collection in checked if collection is not None]

    def put(self, collection: StoredCollection) -> None:
        """Store a collection, in place of the one that had its name."""
        with self._transaction():
            self._connection.execute(_REPLACE, to_row(collection))

    def remove(self, name: str) -> None:
        """Forget a collection; nothing happens if there is none of this name."""
        with self._transaction():
            self._connection.execute(_DELETE, (name,))

    def reschedule(self, timers: Iterable[StoredTimer]) -> None:
        """Store new timers, all or none."""
        with self._transaction():
            self._reschedule(timers)

    def default_timeout(self) -> StoredTimeout | None:
        """The default timeout that was set last; None if there is none that makes sense."""
        with store_file.explained("read"):
            row = self._connection.execute(_SELECT_TIMEOUT).fetchone()
        try:
            return None if row is None else timeout_from_row(row)
        except ValueError as error:
            message = "The default timeout in {path} makes no sense, and is not used: {why}"
            self.log.error(message, path=self._path, why=str(error))  # noqa: TRY400 (one line)
            return None

    def set_default_timeout(
        self, timeout: StoredTimeout | None, timers: Iterable[StoredTimer] = ()
    ) -> None:
        """Store or (None) forget a default timeout, and new timers, all or none."""
        with self._transaction():
            self._connection.execute(_DELETE_TIMEOUT)
            if timeout is not None:
                row = timeout.minutes, timeout.configured_minutes
                self._connection.execute(_INSERT_TIMEOUT, row)
            self._reschedule(timers)

    def _reschedule(self, timers: Iterable[StoredTimer]) -> None:
        rows = [(timer.expires_at, timer.timeout_minutes, timer.name) for timer in timers]
        self._connection.executemany(_RESCHEDULE, rows)

    def close(self) -> None:
        """Close the file. Nothing is lost by not closing it."""
        self._connection.close()

    def check_path(self) -> None:
        """Unavailable if the open file is not the one at its path: somebody deleted, moved or
        replaced it, or its folder.
        """
        if _identity(self._path) != self._identity:
            raise Unavailable(
                "The state cannot be stored: its file was deleted or replaced. Put it back as it "
                "was, or start imgd again.",
                health.STATE,
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.check_path()
        with store_file.explained("stored"), self._connection:  # commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield
        self.check_path()

    def _checked(self, row: tuple[Any, ...]) -> StoredCollection | None:
        """The collection of a row; None if it makes no sense, and the row is set aside."""
        key, columns = row[:2], row[2:]
        try:
            return from_row(columns)
        except ValueError as error:
            fields = {"name": os.fsdecode(key[1]), "path": self._path, "why": str(error)}
        try:
            with self._transaction():
                create, copy, delete = _SET_ASIDE
                self._connection.execute(create)
                self._connection.execute(copy, (fields["why"], *key))
                self._connection.execute(delete, key)
        except Unavailable as error:
            self.log.error(_NOT_SET_ASIDE, more=error.detail, **fields)  # noqa: TRY400 (one line)
        else:
            self.log.error(_WAS_SET_ASIDE, **fields)
        return None


def _identity(path: str) -> tuple[int, int] | None:
    """Which file is at a path: device and inode; None if none can be seen."""
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_dev, st.st_ino


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_SELECT).fetchall()


def _probe(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_PROBE).fetchall()


_FORMAT: Final = store_file.Format(APPLICATION_ID, VERSION, _TABLES, _UPGRADES, _probe)
