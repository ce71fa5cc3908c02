"""The file of the index of DICOM: SQLite, and another in its place whatever is wrong with it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from imgd.errors import Unavailable
from imgd.logs import Logger

LOCK_TIMEOUT: Final = 5.0  # seconds to wait for another program that has the file locked
UNUSED: Final = 30 * 86400  # seconds after which what nobody indexed is dropped
_PRIMARY: Final = 0xFF  # the low byte of an extended result code, https://sqlite.org/rescode.html
# Result codes of a file that makes no sense; after all others, it is left as it is.
_BROKEN: Final = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
)
# Records are apart from what is read of every file of a folder. AUTOINCREMENT: no number is used
# for another file later, while somebody still has it.
_TABLES: Final = """
CREATE TABLE version (version BLOB NOT NULL);
CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,  -- as the file system has it: it need not be UTF-8
    used_at INTEGER NOT NULL
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder INTEGER NOT NULL REFERENCES folders ON DELETE CASCADE,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    summary BLOB,  -- of an instance
    why TEXT,  -- it is none
    UNIQUE (folder, name)
);
CREATE TABLE records (
    id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    record BLOB NOT NULL
);
"""
# What SQLite raises; the second if a name in a damaged file, which its message holds, is no UTF-8.
_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)


class StoreLost(Exception):
    """What was stored is gone, and its rows' numbers mean nothing any more; the store is empty."""


class IndexFile:
    """A file at ``path``, made when it is first needed; "" for one that SQLite deletes when it is
    closed. Rows of another ``version`` are dropped. ``wall`` gives seconds since the epoch.
    """

    log = Logger()

    def __init__(self, path: str, version: bytes, wall: Callable[[], float]) -> None:
        self._path = path
        self._version = version
        self._wall = wall
        self._connection: sqlite3.Connection | None = None

    def drop_old(self) -> None:
        """Drop what is of another version, or unused, if there is a file."""
        if self._path and os.path.exists(self._path):
            with suppress(StoreLost), self.used():
                pass

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def used(self) -> Iterator[sqlite3.Connection]:
        """The file, for one transaction. StoreLost if it fails; Unavailable if there can be no
        other.
        """
        if self._connection is None:
            self._connection = self._open()
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                yield self._connection
        except _FAILURES as error:
            self._replace(error)
            raise StoreLost from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except (OSError, *_FAILURES) as error:
            self._give_up(error)
        try:
            return self._connect()
        except (OSError, *_FAILURES) as error:
            self._use_no_path(error)
        try:
            return self._connect()
        except _FAILURES as error:
            raise _cannot(error) from error

    def _replace(self, error: Exception) -> None:
        """Another file is used from now on; Unavailable if there can be no other."""
        self.close()
        if not self._path:
            raise _cannot(error) from error
        self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Of a file that makes no sense, make another; if it cannot be written, use none."""
        if _code(error) not in _BROKEN:
            self._use_no_path(error)
            return
        message = "The index of DICOM in {path} is unusable ({why}), and is made again"
        self.log.warn(message, path=self._path, why=error)
        try:
            _remove(self._path)
        except OSError as failed:
            self._use_no_path(failed)

    def _use_no_path(self, error: Exception) -> None:
        if self._path:
            message = "The index of DICOM cannot be kept in {path}: {why}. A restart makes it again"
            self.log.warn(message, path=self._path, why=error)
        self._path = ""

    def _connect(self) -> sqlite3.Connection:
        if self._path:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            if not self._is_sound(connection):
                connection.close()
                _remove(self._path)
                return self._connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_sound(self, connection: sqlite3.Connection) -> bool:
        """Whether the file holds rows of this version, or none yet. Drops what is unused."""
        if self._path:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # whole, if not the newest, after a crash
        connection.execute("PRAGMA foreign_keys = ON")
        [is_new] = one(connection, "SELECT count(*) = 0 FROM sqlite_schema")
        if is_new:
            connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
            connection.execute("INSERT INTO version VALUES (?)", (self._version,))
        [version] = one(connection, "SELECT version FROM version")
        oldest = int(self._wall()) - UNUSED
        connection.execute("DELETE FROM folders WHERE used_at < ?", (oldest,))
        return bool(version == self._version)


def one(connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    rows: list[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
    if len(rows) != 1:
        raise sqlite3.DatabaseError("rows are missing")
    return rows[0]


def _code(error: Exception) -> int:
    """The primary result code; 0 if it is an error of the system."""
    if isinstance(error, OSError):
        return 0
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & _PRIMARY


def _remove(path: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.remove(path + suffix)


def _cannot(error: Exception) -> Unavailable:
    return Unavailable(f"The index of DICOM cannot be stored: {error}.")
