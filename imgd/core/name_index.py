"""The sorted names of a collection's images, in little more memory than their bytes."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

# Names that are sorted at once. A sort lets no other thread run until it is done: one of 1,000,000
# names held up every request for a third of a second, one of this many for some 3 ms.
CHUNK: Final = 8_192


class NameIndex:
    """An immutable sequence of names, sorted by their bytes.

    A name takes its bytes and eight more: 1,000,000 names of 16 characters take 24 MB, and would
    take 73 MB in a list of ``str``.
    """

    __slots__ = ("_block", "_ends")

    def __init__(self, names: Iterable[str] = (), pause: Callable[[], None] = lambda: None) -> None:
        """``pause`` is called every few milliseconds of work."""
        chunks = list(_sorted_chunks(names, pause))
        block, self._ends = bytearray(), array("Q", [0])
        for number, name in enumerate(heapq.merge(*chunks)):
            if not number % CHUNK:
                pause()
            block += name
            self._ends.append(len(block))
        self._block = bytes(block)
        while chunks:
            chunks.pop()  # one at a time: freeing all of them lets no other thread run either

    def __len__(self) -> int:
        return len(self._ends) - 1

    def _raw(self, index: int) -> bytes:
        return self._block[self._ends[index] : self._ends[index + 1]]

    def page(self, start: int, limit: int) -> list[str]:
        """At most ``limit`` names, from the index ``start`` on."""
        stop = min(len(self), start + limit)
        return [self._raw(i).decode("utf-8", "surrogateescape") for i in range(start, stop)]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 1_000):
            yield from self.page(start, 1_000)

    def index_after(self, name: str) -> int:
        """The index of the first name that sorts after ``name``, which need not be in it."""
        return bisect_right(
            range(len(self)), name.encode("utf-8", "surrogateescape"), key=self._raw
        )


def _sorted_chunks(names: Iterable[str], pause: Callable[[], None]) -> Iterator[list[bytes]]:
    encoded = (name.encode("utf-8", "surrogateescape") for name in names)
    while chunk := sorted(islice(encoded, CHUNK)):
        pause()
        yield chunk
