"""The lines of manifests on disk: sorted in little memory, and read back to be resumed."""

from __future__ import annotations

import heapq
import mmap
import re
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from typing import IO, Final

import msgspec

from imgd.errors import BadRequest

IN_MEMORY: Final = 50_000  # lines, of some 130 bytes each with Python's own
MAX_SMALL: Final = 1 << 20  # bytes
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class SortedLines:
    """Lines, kept in little memory however many they are, and given back sorted.

    Past ``in_memory`` they are sorted and put into an unnamed temporary file, and the files merged
    when they are read. A line holds no newline.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._lines: list[str] = []
        self._files: list[IO[str]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, line: str) -> None:
        self._lines.append(line)
        self._count += 1
        if len(self._lines) >= self._in_memory:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        for file in self._files:
            file.seek(0)
        self._lines.sort()
        stripped = ((line[:-1] for line in file) for file in self._files)
        return heapq.merge(*stripped, self._lines)

    def close(self) -> None:
        """Give the disk's space back; every line is forgotten."""
        for file in self._files:
            file.close()
        self._files, self._lines, self._count = [], [], 0

    def _spill(self) -> None:
        self._lines.sort()
        file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        file.writelines(f"{line}\n" for line in self._lines)
        self._files.append(file)
        self._lines = []


class UrlSet:
    """URLs in eight bytes each, of which can be asked whether they hold one.

    They are known by hash: of a million URLs, the chance that one more is taken for one of them is
    one in 10^13.
    """

    def __init__(self, urls: Iterable[bytes]) -> None:
        self._hashes = array("Q", map(_hash, urls))
        self._is_sorted = False

    def __contains__(self, url: object) -> bool:
        if not self._is_sorted:  # not before: it takes five times the memory for a moment
            self._hashes = array("Q", sorted(self._hashes))
            self._is_sorted = True
        value = _hash(str(url).encode("utf-8"))
        index = bisect_left(self._hashes, value)
        return index < len(self._hashes) and self._hashes[index] == value


class UnfinishedManifest(msgspec.Struct, kw_only=True):
    """Of a manifest, what is needed to go on with it."""

    directory: str
    collection: str
    server: str
    image_urls: msgspec.Raw


def read_manifest(path: str) -> tuple[UnfinishedManifest, UrlSet]:
    """A manifest and its URLs; BadRequest if it cannot be read or is none."""
    try:
        with ExitStack() as opened:
            file = opened.enter_context(open(path, "rb"))
            content = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return _parse(opened.enter_context(memoryview(content)))
    except OSError as error:
        raise BadRequest(f"The manifest {path} cannot be read: {error.strerror}.") from None
    except ValueError:  # msgspec's errors, and mmap's for an empty file
        raise BadRequest(f"{path} is no manifest of imgd load.") from None


def _parse(view: memoryview) -> tuple[UnfinishedManifest, UrlSet]:
    manifest = msgspec.json.decode(view, type=UnfinishedManifest)
    with memoryview(manifest.image_urls) as urls:
        done = UrlSet(match[1] for match in _STRING.finditer(urls))
    manifest.image_urls = msgspec.Raw()
    return manifest, done


def read_small(path: str) -> bytes:
    """A small file, such as a CA certificate; BadRequest if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_SMALL)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None


def _hash(url: bytes) -> int:
    return int.from_bytes(blake2b(url, digest_size=8).digest(), "big")
