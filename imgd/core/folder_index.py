"""What a folder holds, in little memory, and the pages of it in any order."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from itertools import compress, pairwise
from typing import Any, Final

from imgd.core import listing
from imgd.core.listing import Entry, Page, Query, Sort
from imgd.core.name_index import CHUNK
from imgd.errors import Unavailable

# Orders of entries that fit a filter, kept for each folder: so many, and so many numbers of them
# together for each entry of the folder.
MAX_FILTERED: Final = 64
MAX_NUMBERS: Final = 4
MAX_BLOCK: Final = 2**32 - 1  # bytes of names: what an end in four bytes can say

Look = Callable[[str], Entry | None]


def _go_on() -> None:
    """Nobody wants to be asked between two pieces of work."""


class FolderIndex:
    """The entries of a folder: 25 bytes each beside their names and slashes, four for each order
    that was asked for.

    ``pause`` is called every few milliseconds of work, for a sort lets no other thread run. An
    index has no lock: one thread at a time may use it.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        pause: Callable[[], None] = _go_on,
        most: int = MAX_BLOCK,
    ) -> None:
        self._most = most
        self._block = bytearray()
        self._ends = array("I", [0])
        self._are_folders = bytearray()
        self._sizes: MutableSequence[int] = array("q")
        self._mtimes: MutableSequence[int] = array("q")
        self._orders: dict[tuple[Sort, str], array[int]] = {}
        self._sums: dict[str, int] = {}
        for number, entry in enumerate(entries):
            if not number % CHUNK:
                pause()
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._block += entry.name.encode("utf-8", "surrogateescape") + b"/"
        if len(self._block) > self._most:
            raise Unavailable("This folder holds too much to be listed.")
        self._ends.append(len(self._block))
        self._are_folders.append(entry.is_folder)
        self._sizes = _with(self._sizes, entry.size)
        self._mtimes = _with(self._mtimes, entry.mtime_ns)

    def __len__(self) -> int:
        return len(self._are_folders)

    @property
    def bytes_kept(self) -> int:
        """The memory that it takes, in bytes."""
        numbers = 4 * len(self._ends) + 17 * len(self)
        return len(self._block) + numbers + sum(4 * len(order) for order in self._orders.values())

    def refresh(self, look: Look, pause: Callable[[], None] = _go_on) -> None:
        """Ask for every entry's size and time again. The names stay; one that has gone is nothing
        of 1970, until the folder is read again.
        """
        sizes: MutableSequence[int] = array("q")
        mtimes: MutableSequence[int] = array("q")
        for number in range(len(self)):
            if not number % 256:  # each waits for the disk
                pause()
            name = self._name(number)
            entry = look(name) or Entry(name, False, 0, 0)
            sizes, mtimes = _with(sizes, entry.size), _with(mtimes, entry.mtime_ns)
        self._sizes, self._mtimes = sizes, mtimes
        self._sums.clear()
        for key in [key for key in self._orders if key[0] in (Sort.SIZE, Sort.MODIFIED)]:
            del self._orders[key]

    def page(
        self,
        query: Query,
        look: Look | None = None,
        pause: Callable[[], None] = _go_on,
        *,
        with_size: bool = True,
    ) -> Page:
        """The page that is asked for, folders first. With ``look`` its entries are told as they
        are now, and left out where they are gone; places in the order stay those of the index.
        """
        order = self._order(query, pause)
        folders = self._count_folders(order)
        start, stop = self._span(query, order, folders)
        shown = [order[_place(n, folders, len(order), query)] for n in range(start, stop)]
        entries = map(look, map(self._name, shown)) if look else map(self._entry, shown)
        more = bool(shown) and stop < len(order)
        return Page(
            entries=[entry for entry in entries if entry is not None],
            matching=len(order),
            total=len(self),
            size=self._sum(query, order) if with_size else 0,
            start=start,
            next=listing.cursor(self._entry(shown[-1]), query.sort) if more else "",
            previous=listing.cursor(self._entry(shown[0]), query.sort) if shown and start else "",
        )

    def _span(self, query: Query, order: array[int], folders: int) -> tuple[int, int]:
        """Where the page begins and ends, in the order as it is shown."""
        cursor = listing.place(query.before or query.after)
        if cursor is None:
            return 0, min(query.limit, len(order))
        low, high = (0, folders) if cursor.is_folder else (folders, len(order))
        value = _column(query.sort)
        wanted = (value(cursor), cursor.name.casefold(), cursor.name)

        def key(number: int) -> tuple[int | str, str, str]:
            entry = self._entry(number)
            return value(entry), entry.name.casefold(), entry.name

        is_low = query.descending != bool(query.before)
        bisect = bisect_left if is_low else bisect_right
        found = bisect(order, wanted, low, high, key=key)
        place = low + high - found if query.descending else found
        if query.before:
            return max(0, place - query.limit), place
        return place, min(place + query.limit, len(order))

    def _name(self, number: int) -> str:
        raw = self._block[self._ends[number] : self._ends[number + 1] - 1]
        return raw.decode("utf-8", "surrogateescape")

    def _names(self) -> Iterator[list[str]]:
        """All of them, in the order in which they came. No name has a slash."""
        places = (*range(0, len(self), CHUNK), len(self))
        for start, stop in pairwise(places):
            raw = self._block[self._ends[start] : self._ends[stop] - 1]
            yield raw.decode("utf-8", "surrogateescape").split("/")

    def _entry(self, number: int) -> Entry:
        is_folder = bool(self._are_folders[number])
        return Entry(self._name(number), is_folder, self._sizes[number], self._mtimes[number])

    def _order(self, query: Query, pause: Callable[[], None]) -> array[int]:
        """The entries that match, ascending, made once. The one asked for last is the last kept."""
        key = (query.sort, query.contains)
        order = self._orders.pop(key, None)
        if order is None:
            order = self._filtered(query, pause) if query.contains else self._sorted(query, pause)
        self._orders[key] = order
        self._forget_oldest()
        return order

    def _forget_oldest(self) -> None:
        filtered = [key for key in self._orders if key[1]]
        numbers = sum(len(self._orders[key]) for key in filtered)
        for number, oldest in enumerate(filtered[:-1]):
            if len(filtered) - number <= MAX_FILTERED and numbers <= MAX_NUMBERS * len(self):
                return
            numbers -= len(self._orders.pop(oldest))
            self._sums.pop(oldest[1], None)

    def _sorted(self, query: Query, pause: Callable[[], None]) -> array[int]:
        if query.sort is Sort.NAME:
            return self._in_order(array("I", range(len(self))), self._name_key, pause)
        by_name = self._order(Query(), pause)  # sorts are stable: ties go by the name
        value = self._values(query.sort, pause).__getitem__
        folders = self._count_folders(by_name)
        first = self._in_order(by_name[:folders], value, pause)
        return first + self._in_order(by_name[folders:], value, pause)

    def _name_key(self, number: int) -> str:
        """Sorts as (is a file, name without case, name): no name has a NUL, and one string is
        compared in half the time of three.
        """
        name = self._name(number)
        return f"{1 - self._are_folders[number]}{name.casefold()}\0{name}"

    def _count_folders(self, order: array[int]) -> int:
        """How many folders stand at the head of an order."""
        return bisect_left(order, 1, key=lambda i: not self._are_folders[i])

    def _values(self, sort: Sort, pause: Callable[[], None]) -> MutableSequence[int]:
        """What entries are sorted by, as numbers: of a kind, which one of all in their order."""
        if sort is not Sort.KIND:
            return self._sizes if sort is Sort.SIZE else self._mtimes
        seen: dict[str, int] = {}
        found = array("I")
        for number in range(len(self)):
            if not number % CHUNK:
                pause()
            found.append(seen.setdefault(listing.kind(self._entry(number)), len(seen)))
        ranks = {seen[kind]: rank for rank, kind in enumerate(sorted(seen))}
        return array("I", map(ranks.__getitem__, found))

    @staticmethod
    def _in_order(
        numbers: array[int], key: Callable[[int], Any], pause: Callable[[], None]
    ) -> array[int]:
        chunks = []
        for start in range(0, len(numbers), CHUNK):
            pause()
            chunks.append(array("I", sorted(numbers[start : start + CHUNK], key=key)))
        found = array("I")
        for count, number in enumerate(heapq.merge(*chunks, key=key)):
            if not count % CHUNK:
                pause()
            found.append(number)
        return found

    def _filtered(self, query: Query, pause: Callable[[], None]) -> array[int]:
        matching = self._matching(query.contains, pause)
        order = self._order(Query(sort=query.sort), pause)
        found = array("I")
        for start in range(0, len(order), CHUNK):
            piece = order[start : start + CHUNK]
            found.extend(compress(piece, map(matching.__getitem__, piece)))
        return found

    def _matching(self, contains: str, pause: Callable[[], None]) -> bytearray:
        """For each entry whether it fits: out of another order, or else by its name."""
        known = next((key for key in self._orders if key[1] == contains), None)
        if known is not None:
            found = bytearray(len(self))
            for number in self._orders[known]:
                found[number] = 1
            return found
        matches, found = listing.matcher(contains), bytearray()
        for names in self._names():
            pause()
            found += bytes(map(bool, map(matches, names)))
        return found

    def _sum(self, query: Query, order: array[int]) -> int:
        found = self._sums.get(query.contains)
        if found is None:
            pieces = (order[start : start + CHUNK] for start in range(0, len(order), CHUNK))
            found = sum(sum(map(self._sizes.__getitem__, piece)) for piece in pieces)
            self._sums[query.contains] = found
        return found


def _with(numbers: MutableSequence[int], number: int) -> MutableSequence[int]:
    """A number more. A list where it has no room in 64 bits: years beyond 2262, in nanoseconds."""
    try:
        numbers.append(number)
    except OverflowError:
        return [*numbers, number]
    return numbers


def _place(shown: int, folders: int, count: int, query: Query) -> int:
    """Where the entry that is shown as number ``shown`` stands in the ascending order."""
    if not query.descending:
        return shown
    return folders - 1 - shown if shown < folders else count - 1 - (shown - folders)


def _column(sort: Sort) -> Callable[[Entry], int | str]:
    columns: dict[Sort, Callable[[Entry], int | str]] = {
        Sort.NAME: lambda entry: 0,
        Sort.SIZE: lambda entry: entry.size,
        Sort.MODIFIED: lambda entry: entry.mtime_ns,
        Sort.KIND: listing.kind,
    }
    return columns[sort]


def select(entries: Iterable[Entry], query: Query) -> Page:
    """The page that is asked for, out of entries in any order."""
    return FolderIndex(entries).page(query)
