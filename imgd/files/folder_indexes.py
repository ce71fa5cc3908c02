"""Folders that were listed: what they hold is kept while they stand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Lock
from typing import Final, NamedTuple

from imgd.collections.scan import SETTLED_NS
from imgd.core.folder_index import FolderIndex, Look
from imgd.core.listing import Page, Query, Sort
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host import os_errors
from imgd.host.workers import JobProgress

MAX_BYTES: Final = 128_000_000  # of all indexes together: two folders of 1,000,000 files
DISUSED: Final = 60.0  # seconds without a question, after which an index is dropped
# Seconds for which sizes and times are good enough to sort by and to be added up: a file that is
# written to does not change its folder. Longer where asking for them took long, so that it takes
# no more than a fifth of the time.
FACTS_AGE: Final = 5.0
FACTS_SHARE: Final = 4.0

Folder = tuple[Root, tuple[str, ...]]


class FolderStamp(NamedTuple):
    """A version of a folder: another has other times (ns), or is another folder."""

    mtime: int
    ctime: int
    inode: int
    device: int


@dataclass(slots=True)
class _Kept:
    index: FolderIndex
    stamp: FolderStamp
    is_settled: bool  # any later change shows in the stamp
    has_links: bool  # which may lead elsewhere without a change of the folder
    begun: int  # read after all who asked before this number
    asked_at: float  # when sizes and times were asked for, in seconds
    took: float  # how long that was
    used: float

    def is_recent(self, now: float) -> bool:
        """Whether sizes and times are good enough to sort by."""
        return now - self.asked_at <= max(FACTS_AGE, FACTS_SHARE * self.took)


class FolderIndexes:
    """The indexes of folders. ``seconds`` is monotonic; ``most`` bounds their bytes.

    ``page`` blocks, and runs on threads: for one folder on one at a time (``Workers.run``'s key).
    """

    def __init__(self, seconds: Callable[[], float], most: int = MAX_BYTES) -> None:
        self._seconds = seconds
        self._most = most
        self._numbers = count()
        self._kept: dict[Folder, _Kept] = {}  # the one used last is the last
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes_kept(self) -> int:
        """The memory of all of them."""
        with self._lock:
            return sum(kept.index.bytes_kept for kept in self._kept.values())

    def ask(self) -> int:
        """A number that says when a page was asked for: what was read before may be older."""
        return next(self._numbers)

    def page(
        self,
        root: Root,
        names: tuple[str, ...],
        query: Query,
        asked: int,
        progress: JobProgress,
        *,
        with_size: bool,
    ) -> Page:
        """A page of a folder, its entries as they are now. NotFound, or Unavailable where the
        machine is at fault.

        The order of sizes and times may be some seconds old (``FACTS_AGE``), as may their sum.
        """
        if not disk.is_folder(root, names):
            raise NotFound
        path = os.path.realpath(root.join(names))
        look = partial(disk.entry, root, path)
        index = self._index((root, names), path, asked, progress)
        if with_size or query.sort in (Sort.SIZE, Sort.MODIFIED):
            self._refresh((root, names), asked, look, progress)
        page = index.page(query, look, progress.step, with_size=with_size)
        self._make_room()
        return page

    def drop_unused(self) -> None:
        """Drop what nobody asked for in a while. Called every second or so."""
        now = self._seconds()
        with self._lock:
            for folder in [f for f, kept in self._kept.items() if now - kept.used >= DISUSED]:
                del self._kept[folder]

    def _index(self, folder: Folder, path: str, asked: int, progress: JobProgress) -> FolderIndex:
        now = self._seconds()
        with self._lock:
            kept = self._kept.pop(folder, None)
        if kept is None or not self._stands(kept, path, asked):
            kept = self._read(folder, path, progress)
        kept.used = now
        with self._lock:
            self._kept[folder] = kept
        return kept.index

    def _stands(self, kept: _Kept, path: str, asked: int) -> bool:
        if kept.begun > asked:
            return True
        if not kept.is_settled or kept.stamp != _stamp(path):
            return False
        return not kept.has_links or kept.is_recent(self._seconds())

    def _read(self, folder: Folder, path: str, progress: JobProgress) -> _Kept:
        begun, now, started = next(self._numbers), self._seconds(), time.time_ns()
        links: list[str] = []
        stamp = _stamp(path)
        index = FolderIndex(disk.scan(*folder, links.append), progress.step)
        return _Kept(
            index=index,
            stamp=stamp,
            is_settled=stamp.mtime < started - SETTLED_NS,
            has_links=bool(links),
            begun=begun,
            asked_at=now,
            took=self._seconds() - now,
            used=now,
        )

    def _refresh(self, folder: Folder, asked: int, look: Look, progress: JobProgress) -> None:
        kept, now = self._kept.get(folder), self._seconds()
        if kept is None or kept.begun > asked or kept.is_recent(now):
            return
        kept.index.refresh(look, progress.step)
        kept.asked_at, kept.took = now, self._seconds() - now

    def _make_room(self) -> None:
        """Drop what was not used for longest, and what is too large on its own."""
        with self._lock:
            size = sum(kept.index.bytes_kept for kept in self._kept.values())
            while size > self._most and self._kept:
                oldest = next(iter(self._kept))
                size -= self._kept.pop(oldest).index.bytes_kept


def _stamp(path: str) -> FolderStamp:
    try:
        st = os.stat(path)
    except OSError as error:
        raise os_errors.told(error, NotFound()) from error
    return FolderStamp(st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_dev)
