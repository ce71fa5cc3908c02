"""Answers kept in memory, up to so many bytes; the one that was not asked for longest goes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

# What an entry costs besides its bytes: objects, headers, its place in the table. Measured, rounded
# up; in bytes.
OVERHEAD: Final = 2048


class Sized(Protocol):
    """Something that knows how many bytes it keeps."""

    @property
    def size(self) -> int:
        """In bytes."""


T = TypeVar("T", bound=Sized)


class LruCache(Generic[T]):
    """A table with a limit in bytes; 0 keeps nothing. ``entries`` is for looking, not changing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.entries: OrderedDict[bytes, T] = OrderedDict()
        self.size = 0
        self.touch = self.entries.move_to_end

    def put(self, key: bytes, entry: T) -> None:
        """Keep an entry in place of what had its key, and let others go where there is no room."""
        self.drop(key)
        cost = entry.size + len(key) + OVERHEAD
        if cost > self._limit:
            return
        self.entries[key] = entry
        self.size += cost
        while self.size > self._limit:
            self.drop(next(iter(self.entries)))

    def drop(self, key: bytes) -> None:
        """Let the entry of this key go, if there is one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size + len(key) + OVERHEAD
