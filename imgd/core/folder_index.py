"""A folder's entries in any order, filtered, and cut into pages."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from itertools import compress
from typing import Any, Final

from imgd.core import listing, natural_order
from imgd.core.folder_entries import MAX_BLOCK, FolderEntries, sort_key
from imgd.core.folder_entries import Look as Look
from imgd.core.listing import Entry, Layout, Page, Query, Sort
from imgd.core.natural_order import CHUNK

# Orders of filtered entries that are kept for each folder: at most so many, and of them all
# together at most so many numbers for each entry of the folder.
MAX_FILTERED: Final = 64
MAX_NUMBERS: Final = 4
SAMPLE: Final = 200  # entries: half a millisecond, however many there are
# The golden ratio: its multiples fall into no step with names that alternate.
_STEP: Final = (5**0.5 - 1) / 2

Pause = Callable[[], None]


def _no_pause() -> None:
    pass


class FolderIndex:
    """The entries of a folder, and four bytes for each entry of each order that was asked for.

    ``pause`` is called every few milliseconds of work, because a sort lets no other thread run. An
    index has no lock: only one thread at a time may use it.
    """

    def __init__(
        self, entries: Iterable[Entry], pause: Pause = _no_pause, most: int = MAX_BLOCK
    ) -> None:
        self._entries = FolderEntries(most)
        self._orders: dict[tuple[Sort, str], array[int]] = {}  # the last asked for is the last
        self._sums: dict[str, int] = {}
        for number, entry in enumerate(entries):
            if not number % CHUNK:
                pause()
            self._entries.add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes_kept(self) -> int:
        """The memory that it takes, in bytes."""
        return self._entries.bytes_kept + sum(4 * len(order) for order in self._orders.values())

    def refresh(self, look: Look, pause: Pause = _no_pause) -> None:
        """Read every entry's size and time again.

        An entry that is gone stays, as an empty file of 1970, until the folder is read again.
        """
        self._entries.refresh(look, pause)
        self._sums.clear()
        for key in [key for key in self._orders if key[0] in (Sort.SIZE, Sort.MODIFIED)]:
            del self._orders[key]

    def page(
        self,
        query: Query,
        look: Look | None = None,
        pause: Pause = _no_pause,
        *,
        with_size: bool = True,
    ) -> Page:
        """The page for a query, folders first.

        If ``look`` is given, the entries of the page are read from the disk again, and left out if
        they are gone; their order stays that of the index.
        """
        order = self._order(query, pause)
        folders = self._count_folders(order)
        start, stop = self._span(query, order, folders)
        numbers = _shown(order, start, stop, folders, query)
        entry_of = self._entries.entry
        names = self._entries.names(numbers) if look else ()
        entries = map(look, names) if look else self._entries.entries(numbers)
        has_next = bool(numbers) and stop < len(order)
        has_previous = bool(numbers) and start > 0
        return Page(
            entries=[entry for entry in entries if entry is not None],
            matching=len(order),
            total=len(self),
            size=self._sum(query, order) if with_size else 0,
            start=start,
            next=listing.cursor(entry_of(numbers[-1]), query.sort) if has_next else "",
            previous=listing.cursor(entry_of(numbers[0]), query.sort) if has_previous else "",
            layout=query.layout or Layout.LIST,
        )

    def sample(self) -> list[Entry]:
        """All entries of a small folder; of a larger one, some from everywhere in it."""
        count = len(self)
        if count <= SAMPLE:
            return self._entries.entries(range(count))
        return self._entries.entries([int(count * (n * _STEP % 1)) for n in range(SAMPLE)])

    def _span(self, query: Query, order: array[int], folders: int) -> tuple[int, int]:
        """The positions at which the page starts and stops, in the order as it is shown."""
        cursor = listing.entry_at(query.before or query.after)
        if cursor is None:
            return 0, min(query.page_size, len(order))
        position = self._find(cursor, query, order, folders)
        if query.before:
            return max(0, position - query.page_size), position
        return position, min(position + query.page_size, len(order))

    def _find(self, cursor: Entry, query: Query, order: array[int], folders: int) -> int:
        """The position between the entries before the cursor and those after it."""
        value = _sort_value(query.sort)

        def key(entry: Entry) -> tuple[int | str, bytes]:
            return value(entry), sort_key(entry)

        low, high = (0, folders) if cursor.is_folder else (folders, len(order))
        bisect = bisect_left if query.descending != bool(query.before) else bisect_right
        ascending = bisect(
            order, key(cursor), low, high, key=lambda number: key(self._entries.entry(number))
        )
        return low + high - ascending if query.descending else ascending

    def _order(self, query: Query, pause: Pause) -> array[int]:
        """The numbers of the entries that match, ascending; kept for the next query."""
        key = (query.sort, query.contains)
        order = self._orders.pop(key, None)
        if order is None:
            order = self._filtered(query, pause) if query.contains else self._sorted(query, pause)
        self._orders[key] = order
        self._drop_oldest()
        return order

    def _drop_oldest(self) -> None:
        filtered = [key for key in self._orders if key[1]]
        numbers = sum(len(self._orders[key]) for key in filtered)
        for dropped, oldest in enumerate(filtered[:-1]):
            if len(filtered) - dropped <= MAX_FILTERED and numbers <= MAX_NUMBERS * len(self):
                return
            numbers -= len(self._orders.pop(oldest))
            self._sums.pop(oldest[1], None)

    def _sorted(self, query: Query, pause: Pause) -> array[int]:
        if query.sort is Sort.NAME:
            return natural_order.sort(len(self), self._entries.sort_keys, pause)
        by_name = self._order(Query(), pause)  # sorts are stable: equal values stay sorted by name
        value = self._values(query.sort, pause).__getitem__
        folders = self._count_folders(by_name)
        return _sort(by_name[:folders], value, pause) + _sort(by_name[folders:], value, pause)

    def _count_folders(self, order: array[int]) -> int:
        """How many folders stand at the head of an order."""
        return bisect_left(order, 1, key=lambda number: not self._entries.are_folders[number])

    def _values(self, sort: Sort, pause: Pause) -> MutableSequence[int]:
        """A number for each entry, to sort by; for a kind it is its rank among all kinds."""
        if sort is not Sort.KIND:
            return self._entries.sizes if sort is Sort.SIZE else self._entries.mtimes
        kinds: dict[str, int] = {}
        kind_numbers = array("I")
        for number in range(len(self)):
            if not number % CHUNK:
                pause()
            kind = listing.kind(self._entries.entry(number))
            kind_numbers.append(kinds.setdefault(kind, len(kinds)))
        ranks = {kinds[kind]: rank for rank, kind in enumerate(sorted(kinds))}
        return array("I", map(ranks.__getitem__, kind_numbers))

    def _filtered(self, query: Query, pause: Pause) -> array[int]:
        matching = self._matching(query.contains, pause)
        order = self._order(Query(sort=query.sort), pause)
        filtered = array("I")
        for start in range(0, len(order), CHUNK):
            chunk = order[start : start + CHUNK]
            filtered.extend(compress(chunk, map(matching.__getitem__, chunk)))
        return filtered

    def _matching(self, contains: str, pause: Pause) -> bytearray:
        """For each entry 1 if it matches: taken from another order if there is one."""
        known = next((key for key in self._orders if key[1] == contains), None)
        if known is not None:
            matching = bytearray(len(self))
            for number in self._orders[known]:
                matching[number] = 1
            return matching
        matches, matching = listing.matcher(contains), bytearray()
        for names in self._entries.name_chunks():
            pause()
            matching += bytes(map(bool, map(matches, names)))
        return matching

    def _sum(self, query: Query, order: array[int]) -> int:
        size = self._sums.get(query.contains)
        if size is None:
            sizes = self._entries.sizes.__getitem__
            chunks = (order[start : start + CHUNK] for start in range(0, len(order), CHUNK))
            size = self._sums[query.contains] = sum(sum(map(sizes, chunk)) for chunk in chunks)
        return size


def _sort(numbers: array[int], key: Callable[[int], Any], pause: Pause) -> array[int]:
    chunks = []
    for start in range(0, len(numbers), CHUNK):
        pause()
        chunks.append(array("I", sorted(numbers[start : start + CHUNK], key=key)))
    merged = array("I")
    for count, number in enumerate(heapq.merge(*chunks, key=key)):
        if not count % CHUNK:
            pause()
        merged.append(number)
    return merged


def _shown(order: array[int], start: int, stop: int, folders: int, query: Query) -> Sequence[int]:
    """The numbers of the entries that are shown from position ``start`` on, before ``stop``."""
    if not query.descending:
        return order[start:stop]
    last = len(order) - 1
    positions = (
        folders - 1 - n if n < folders else last - (n - folders) for n in range(start, stop)
    )
    return [order[position] for position in positions]


def _sort_value(sort: Sort) -> Callable[[Entry], int | str]:
    values: dict[Sort, Callable[[Entry], int | str]] = {
        Sort.NAME: lambda entry: 0,
        Sort.SIZE: lambda entry: entry.size,
        Sort.MODIFIED: lambda entry: entry.mtime_ns,
        Sort.KIND: listing.kind,
    }
    return values[sort]


def select(entries: Iterable[Entry], query: Query) -> Page:
    """The page for a query, out of entries in any order."""
    return FolderIndex(entries).page(query)
