"""The entries of a folder in little memory, numbered in the order in which they came."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import pairwise
from typing import Final

from imgd.core import natural_order
from imgd.core.listing import Entry
from imgd.core.natural_order import CHUNK
from imgd.errors import Unavailable

MAX_BLOCK: Final = 2**32 - 1  # bytes of names: what four bytes can count
REFRESH_CHUNK: Final = 256  # entries between two pauses: each may wait for the disk

_FOLDERS_FIRST: Final = (b"1", b"0")

# Reads an entry's size and time from the disk; None if there is no such entry any more.
Look = Callable[[str], Entry | None]


def sort_key(entry: Entry) -> bytes:
    """Sorts folders before files, and each by name."""
    name = natural_order.key(entry.name.encode("utf-8", "surrogateescape"))
    return _FOLDERS_FIRST[entry.is_folder] + name


class FolderEntries:
    """Entries in arrays: each takes 26 bytes beside its name and a slash."""

    def __init__(self, most: int = MAX_BLOCK) -> None:
        self._most = most
        self._block = bytearray()  # every name, with a slash after it: no name contains one
        self._ends = array("I", [0])
        self.are_folders = bytearray()
        self._are_dicom = bytearray()
        self.sizes: MutableSequence[int] = array("q")
        self.mtimes: MutableSequence[int] = array("q")

    def __len__(self) -> int:
        return len(self.are_folders)

    @property
    def bytes_kept(self) -> int:
        """The memory that they take, in bytes."""
        return len(self._block) + 4 * len(self._ends) + 18 * len(self)

    def add(self, entry: Entry) -> None:
        """Add an entry; Unavailable if the names together are too long."""
        self._block += entry.name.encode("utf-8", "surrogateescape") + b"/"
        if len(self._block) > self._most:
            raise Unavailable("This folder holds too much to be listed.")
        self._ends.append(len(self._block))
        self.are_folders.append(entry.is_folder)
        self._are_dicom.append(entry.is_dicom)
        self.sizes = _append(self.sizes, entry.size)
        self.mtimes = _append(self.mtimes, entry.mtime_ns)

    def name(self, number: int) -> str:
        raw = self._block[self._ends[number] : self._ends[number + 1] - 1]
        return raw.decode("utf-8", "surrogateescape")

    def sort_keys(self, numbers: Sequence[int]) -> list[bytes]:
        """What entries are sorted by as :func:`sort_key` has it, faster than one by one."""
        block, ends = self._block, self._ends
        keys = natural_order.keys([block[ends[n] : ends[n + 1] - 1] for n in numbers])
        folders = map(self.are_folders.__getitem__, numbers)
        return list(map(bytes.__add__, map(_FOLDERS_FIRST.__getitem__, folders), keys))

    def name_chunks(self) -> Iterator[list[str]]:
        """All names, in chunks."""
        numbers = (*range(0, len(self), CHUNK), len(self))
        for start, stop in pairwise(numbers):
            raw = self._block[self._ends[start] : self._ends[stop] - 1]
            yield raw.decode("utf-8", "surrogateescape").split("/")

    def names(self, numbers: Sequence[int]) -> list[str]:
        """Their names, faster than one by one."""
        block, ends = self._block, self._ends
        return [
            block[ends[n] : ends[n + 1] - 1].decode("utf-8", "surrogateescape") for n in numbers
        ]

    def entries(self, numbers: Sequence[int]) -> list[Entry]:
        folders, sizes, mtimes = self.are_folders, self.sizes, self.mtimes
        are_dicom = self._are_dicom
        return [
            Entry(name, folders[n] != 0, sizes[n], mtimes[n], are_dicom[n] != 0)
            for n, name in zip(numbers, self.names(numbers), strict=True)
        ]

    def entry(self, number: int) -> Entry:
        return self.entries((number,))[0]

    def refresh(self, look: Look, pause: Callable[[], None]) -> None:
        """Read every entry's size and time again. A name that is gone stays, with zeros."""
        sizes: MutableSequence[int] = array("q")
        mtimes: MutableSequence[int] = array("q")
        for number in range(len(self)):
            if not number % REFRESH_CHUNK:
                pause()
            name = self.name(number)
            entry = look(name) or Entry(name, False, 0, 0)
            sizes, mtimes = _append(sizes, entry.size), _append(mtimes, entry.mtime_ns)
        self.sizes, self.mtimes = sizes, mtimes


def _append(numbers: MutableSequence[int], number: int) -> MutableSequence[int]:
    """A list instead of an array if 64 bits do not hold a number: years after 2262 in ns."""
    try:
        numbers.append(number)
    except OverflowError:
        return [*numbers, number]
    return numbers
