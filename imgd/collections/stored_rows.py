"""What is stored, as rows of SQLite tables: written, and checked when they are read.

A row may have been changed by hand, or by a disk: what nothing can serve or show is no collection.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from imgd.core.catalog import Collection
from imgd.core.messages import COLLECTION_NAME, MAX_MINUTES

# 9999-01-01: the year after would overflow datetime in some time zone. Nor is there a day before
# the epoch that every system can show.
_LAST_SECOND: Final = 253_370_764_800


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
    all_files: bool = False

    @classmethod
    def of(cls, collection: Collection, expires_at: float | None) -> StoredCollection:
        """A loaded collection as it is stored."""
        return cls(
            name=collection.name,
            directory=collection.directory,
            recursive=collection.recursive,
            image_count=collection.image_count,
            loaded_at=collection.loaded_at,
            expires_at=expires_at,
            timeout_minutes=collection.timeout_minutes,
            all_files=collection.all_files,
        )

    def to_collection(self, deadline: float | None) -> Collection:
        """The loaded collection again; ``deadline`` in monotonic seconds, None for never."""
        return Collection(
            name=self.name,
            directory=self.directory,
            recursive=self.recursive,
            image_count=self.image_count,
            loaded_at=self.loaded_at,
            timeout_minutes=self.timeout_minutes,
            deadline=deadline,
            all_files=self.all_files,
        )


class StoredTimer(NamedTuple):
    """A collection's timer, with the meanings that it has in ``StoredCollection``."""

    name: str
    expires_at: float | None
    timeout_minutes: int


@dataclass(frozen=True, slots=True)
class StoredTimeout:
    """The default timeout that was set last, and the one that the daemon was configured with then,
    in minutes (0: never).
    """

    minutes: int
    configured_minutes: int


def timeout_from_row(row: tuple[Any, ...]) -> StoredTimeout:
    """A stored timeout; ValueError says what makes no sense."""
    minutes, configured_minutes = row
    _must(_is_minutes(minutes), "minutes", minutes)
    _must(_is_minutes(configured_minutes), "configured_minutes", configured_minutes)
    return StoredTimeout(minutes, configured_minutes)


def to_row(collection: StoredCollection) -> tuple[object, ...]:
    """A collection as values of the table's columns."""
    return (
        collection.name,
        os.fsencode(collection.directory),
        collection.recursive,
        collection.image_count,
        collection.loaded_at,
        collection.expires_at,
        collection.timeout_minutes,
        collection.all_files,
    )


def from_row(row: tuple[Any, ...]) -> StoredCollection:
    """The inverse; ValueError says what makes no sense."""
    name, directory, recursive, image_count, loaded_at, expires_at, minutes, all_files = row
    if not isinstance(name, str) or not COLLECTION_NAME.fullmatch(name):
        raise ValueError("its name is none")
    _must(_is_flag(recursive), "recursive", recursive)
    _must(_is_flag(all_files), "all_files", all_files)
    _must(isinstance(image_count, int) and image_count >= 0, "image_count", image_count)
    _must(_is_time(loaded_at), "loaded_at", loaded_at)
    _must(expires_at is None or _is_time(expires_at), "expires_at", expires_at)
    _must(_is_minutes(minutes), "timeout_minutes", minutes)
    return StoredCollection(
        name=name,
        directory=_directory(directory),
        recursive=bool(recursive),
        image_count=image_count,
        loaded_at=float(loaded_at),
        expires_at=None if expires_at is None else float(expires_at),
        timeout_minutes=minutes,
        all_files=bool(all_files),
    )


def _must(holds: bool, column: str, value: object) -> None:
    if not holds:
        raise ValueError(f"its {column} is {value!r:.40}")


def _is_flag(value: object) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _is_minutes(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_MINUTES


def _is_time(value: object) -> bool:
    """Whether it is a time that can be shown; no comparison with NaN holds."""
    return isinstance(value, int | float) and 0 <= value < _LAST_SECOND


def _directory(value: object) -> str:
    path = os.fsdecode(value) if isinstance(value, str | bytes) else ""
    _must(os.path.isabs(path) and "\0" not in path, "directory", value)
    return path
