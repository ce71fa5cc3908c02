"""A SQLite file that is sound when it is opened, private, and durable at every commit.

One that is not is moved aside whole, never repaired and never deleted: what it holds may still
matter to someone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imgd.errors import Unavailable
from imgd.logs import Logger

_PRIMARY: Final = 0xFF  # the low byte of an extended result code, https://sqlite.org/rescode.html
# Result codes of a file that is there and no longer makes sense; all others may pass.
_BROKEN: Final = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
)
_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space and try again",
    sqlite3.SQLITE_READONLY: "the state folder is read-only: make it writable and try again",
    sqlite3.SQLITE_CANTOPEN: "the state folder cannot be written: check it and try again",
    sqlite3.SQLITE_BUSY: "another program has the state file locked: try again",
    sqlite3.SQLITE_LOCKED: "another program has the state file locked: try again",
    sqlite3.SQLITE_IOERR: "the disk failed, or has no room: check it and try again",
}

log = Logger()


@dataclass(frozen=True, slots=True)
class Format:
    """What a sound file has: two numbers in its header (``PRAGMA application_id, user_version``),
    tables, and rows that ``probe`` reads, in files of every version. ``upgrades`` has for each
    earlier version the SQL that makes the next one of it.
    """

    application_id: int
    version: int
    tables: str
    upgrades: Mapping[int, str]
    probe: Callable[[sqlite3.Connection], object]


class _UnusableError(Exception):
    """The file is there and cannot be used: says why, as in "is not imgd's"."""


def open_sound(
    path: str, lock_timeout: float, file_format: Format
) -> tuple[sqlite3.Connection, str | None]:
    """Open a file, made if it is missing, and say where an unusable one was moved (or None).

    Waits ``lock_timeout`` seconds for another program's lock. Unavailable if the disk is at fault.
    """
    try:
        return _connect(path, lock_timeout, file_format), None
    except _UnusableError as error:
        aside = _move_aside(path)
        log.error(  # noqa: TRY400 (one line says it all)
            "The state file {path} {why}. It was moved to {aside}, and an empty one started: "
            "what was loaded must be loaded again.",
            path=path,
            why=error,
            aside=aside,
        )
    try:
        return _connect(path, lock_timeout, file_format), aside
    except _UnusableError as error:
        raise Unavailable(f"The state cannot be stored: a new file {error}.") from error


@contextmanager
def explained(verb: str) -> Iterator[None]:
    """Turn SQLite's errors into Unavailable, in one sentence that names no path.

    ``verb`` is what was tried, as in "stored".
    """
    try:
        yield
    except sqlite3.Error as error:
        reason = _REASONS.get(_code(error), f"the state file failed ({error})")
        raise Unavailable(f"The state cannot be {verb}: {reason}.") from error


def _code(error: sqlite3.Error) -> int:
    """The primary result code; errors that Python's binding makes itself have none."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & _PRIMARY


def _connect(path: str, lock_timeout: float, file_format: Format) -> sqlite3.Connection:
    try:
        _make_private(path)
    except OSError as error:
        raise Unavailable(f"The state file {path} cannot be opened: {error.strerror}.") from error
    with explained("opened"):
        connection = sqlite3.connect(
            path, timeout=lock_timeout, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _text
        try:
            _prepare(connection, file_format)
        except BaseException:
            connection.close()
            raise
        return connection


def _text(data: bytes) -> str:
    """Text as it lies in the file, UTF-8 or not: whoever reads it judges it."""
    return data.decode("utf-8", "surrogateescape")


def _make_private(path: str) -> None:
    """Make the file with mode 0600 if it is missing; SQLite gives -wal and -shm the same."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    journal = path + "-wal"
    if not os.path.getsize(path) and os.path.exists(journal) and os.path.getsize(journal):
        raise _UnusableError("is empty, though its journal is not")  # which SQLite would delete


def _prepare(connection: sqlite3.Connection, file_format: Format) -> None:
    try:
        version = _check(connection, file_format)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's own cache
        if version is None:
            _execute(connection, file_format.tables, file_format)
        elif version < file_format.version:
            steps = range(version, file_format.version)
            _execute(connection, "".join(file_format.upgrades[n] for n in steps), file_format)
    except sqlite3.Error as error:
        short = getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHORT_READ"
        if short or _code(error) in _BROKEN:
            raise _UnusableError(f"is unusable ({error})") from error
        raise


def _check(connection: sqlite3.Connection, file_format: Format) -> int | None:
    """The version of a sound file, None for an empty one; _UnusableError if it is neither."""
    identity = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if identity == (0, 0) and not _pragma(connection, "schema_version"):
        return None
    if identity[0] != file_format.application_id:
        raise _UnusableError("is not imgd's")
    version = int(identity[1])
    if version != file_format.version and version not in file_format.upgrades:
        raise _UnusableError(
            f"has version {version}, and this imgd reads version {file_format.version}"
        )
    if (verdict := _pragma(connection, "quick_check")) != "ok":
        raise _UnusableError(f"is corrupt ({verdict})")
    file_format.probe(connection)
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int | str:
    with closing(connection.execute(f"PRAGMA {name}")) as cursor:
        value: int | str = cursor.fetchone()[0]
        return value


def _execute(connection: sqlite3.Connection, sql: str, file_format: Format) -> None:
    """Make tables and set the numbers in the file's header, all or none."""
    connection.executescript(
        f"BEGIN EXCLUSIVE; {sql} PRAGMA application_id = {file_format.application_id}; "
        f"PRAGMA user_version = {file_format.version}; COMMIT;"
    )


def _move_aside(path: str) -> str:
    """Rename a file and its journals so that they still belong together; the new path."""
    aside = f"{path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        for suffix in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(path + suffix):
                os.rename(path + suffix, aside + suffix)
    except OSError as error:
        raise Unavailable(
            f"The state file {path} is unusable and cannot be moved aside: {error.strerror}."
        ) from error
    return aside
