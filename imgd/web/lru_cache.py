"""A table with a limit in bytes; the least recently used entry goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

# What an entry costs in bytes besides its own: objects, headers, the table's slot. Measured, and
# rounded up.
OVERHEAD: Final = 2048


class Sized(Protocol):
    """Something that knows how many bytes it takes."""

    @property
    def size(self) -> int:
        """Bytes."""


T = TypeVar("T", bound=Sized)


class LruCache(Generic[T]):
    """A table that 0 bytes keep empty. ``entries`` is for reading, not for changing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.entries: OrderedDict[bytes, T] = OrderedDict()
        self.size = 0
        self.touch = self.entries.move_to_end

    def put(self, key: bytes, entry: T) -> None:
        """Keep an entry in place of what had its key; others go if there is no room."""
        self.drop(key)
        cost = entry.size + len(key) + OVERHEAD
        if cost > self._limit:
            return
        self.entries[key] = entry
        self.size += cost
        while self.size > self._limit:
            self.drop(next(iter(self.entries)))

    def drop(self, key: bytes) -> None:
        """Remove the entry of this key, if there is one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size + len(key) + OVERHEAD
