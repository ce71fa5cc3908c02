"""Indexes of folders that were listed, kept while the folders do not change."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock
from typing import Final

from imgd.core import shown_kinds
from imgd.core.folder_index import FolderIndex, Look
from imgd.core.listing import Page, Query, Sort
from imgd.errors import NotFound
from imgd.files import disk, versions
from imgd.files.disk import Root
from imgd.files.versions import FolderVersion
from imgd.host import os_errors
from imgd.host.workers import JobProgress

MAX_BYTES: Final = 128_000_000  # of all indexes together: two folders of 1,000,000 files
DISUSED: Final = 60.0  # seconds without a question, after which an index is dropped
# Seconds for which sizes and times are good enough to sort by and to be added up: a file that is
# written to does not change its folder. Longer if reading them took long, so that it takes no
# more than a fifth of the time.
FACTS_AGE: Final = 5.0
FACTS_SHARE: Final = 4.0

Folder = tuple[Root, tuple[str, ...]]


@dataclass(slots=True)
class _Kept:
    index: FolderIndex
    version: FolderVersion
    had_settled: bool  # any later change gives another version
    is_unsure: bool  # has what may be served or not without a change of the folder
    skipped: int  # files that a collection does not serve
    skipped_folders: int
    number: int  # read after all who asked before this number
    facts_at: float  # when sizes and times were read, in seconds
    facts_took: float  # how many seconds that took
    used_at: float

    def is_recent(self, now: float) -> bool:
        """Whether sizes and times are good enough to sort by."""
        return now - self.facts_at <= max(FACTS_AGE, FACTS_SHARE * self.facts_took)


class FolderIndexes:
    """The indexes of folders. ``seconds`` is monotonic; ``max_bytes`` bounds all of them.

    ``page`` blocks, and runs on threads: for one folder on one at a time.
    """

    def __init__(self, seconds: Callable[[], float], max_bytes: int = MAX_BYTES) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
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

    def next_number(self) -> int:
        """The number of a request for a page: what was read before it was given may be older."""
        return next(self._numbers)

    def page(
        self,
        root: Root,
        names: tuple[str, ...],
        query: Query,
        number: int,
        progress: JobProgress,
        *,
        with_size: bool,
        may_choose: bool = False,
    ) -> Page:
        """A page of a folder, its entries as they are now. NotFound, or Unavailable if the
        machine is at fault.

        ``may_choose``: a query without a layout gets the one that suits the folder.

        The order of sizes and times may be some seconds old (``FACTS_AGE``), as may their sum.
        """
        if not disk.is_folder(root, names):
            raise NotFound
        path = os.path.realpath(root.join(names))
        kept = self._up_to_date((root, names), path, number, progress)
        if may_choose and query.layout is None:
            query = replace(query, layout=shown_kinds.layout_of(kept.index.sample()))
        with disk.reading(root, path) as look:
            if with_size or query.sort in (Sort.SIZE, Sort.MODIFIED):
                self._refresh(kept, number, look, progress)
            # What was read after the request came is what it would read now.
            look_again = None if kept.number > number else look
            page = kept.index.page(query, look_again, progress.step, with_size=with_size)
        self._drop_excess()
        return page._replace(skipped=kept.skipped, skipped_folders=kept.skipped_folders)

    def drop_unused(self) -> None:
        """Drop what nobody asked for in a while. Called every second or so."""
        now = self._seconds()
        with self._lock:
            for folder in [f for f, kept in self._kept.items() if now - kept.used_at >= DISUSED]:
                del self._kept[folder]

    def _up_to_date(self, folder: Folder, path: str, number: int, progress: JobProgress) -> _Kept:
        now = self._seconds()
        with self._lock:
            kept = self._kept.pop(folder, None)
        if kept is None or not self._is_current(kept, path, number):
            kept = self._read(folder, path, progress)
        kept.used_at = now
        with self._lock:
            self._kept[folder] = kept
        return kept

    def _is_current(self, kept: _Kept, path: str, number: int) -> bool:
        if kept.number > number:
            return True
        if not kept.had_settled or kept.version != _version(path):
            return False
        return not kept.is_unsure or kept.is_recent(self._seconds())

    def _read(self, folder: Folder, path: str, progress: JobProgress) -> _Kept:
        number, now, started_ns = next(self._numbers), self._seconds(), time.time_ns()
        links: list[str] = []
        skipped: Counter[str] = Counter()
        version = _version(path)

        def on_skip(entry: os.DirEntry[str]) -> None:
            skipped["folders" if _is_folder(entry) else "files"] += 1
            if folder[0].looks_into(entry.name):  # it may become DICOM
                skipped["unsure"] += 1

        index = FolderIndex(disk.scan(*folder, links.append, on_skip), progress.step)
        return _Kept(
            index=index,
            version=version,
            had_settled=version.had_settled(started_ns),
            is_unsure=bool(links) or skipped["unsure"] > 0,
            skipped=skipped["files"],
            skipped_folders=skipped["folders"],
            number=number,
            facts_at=now,
            facts_took=self._seconds() - now,
            used_at=now,
        )

    def _refresh(self, kept: _Kept, number: int, look: Look, progress: JobProgress) -> None:
        now = self._seconds()
        if kept.number > number or kept.is_recent(now):
            return
        kept.index.refresh(look, progress.step)
        kept.facts_at, kept.facts_took = now, self._seconds() - now

    def _drop_excess(self) -> None:
        """Drop what was not used for longest, and what is too large on its own."""
        with self._lock:
            size = sum(kept.index.bytes_kept for kept in self._kept.values())
            while size > self._max_bytes and self._kept:
                oldest = next(iter(self._kept))
                size -= self._kept.pop(oldest).index.bytes_kept


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _version(path: str) -> FolderVersion:
    try:
        return versions.folder_version(path)
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
