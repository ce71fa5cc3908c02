"""Whether a file is still the one that was read, asked of the file system for each request.

What was read once may be answered again while two things hold. The file of this path is the same
inode with the same size and times; its change time moves with every write, whatever is done to the
modification time afterwards. And no folder on the way has become a link, so that the place that was
judged (``imgd.files.disk``) is the place that the path means.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from imgd.core.conditional import NANOSECONDS, FileFacts
from imgd.files import disk
from imgd.files.disk import OpenFile

# How long a file must have rested when it is read, in seconds. The kernel stamps times by its tick
# (10 ms at most), FAT by two seconds: within one step, a second write leaves no trace.
SETTLED: Final = 2.5
MAX_OPEN: Final = 16  # files that stay open for a turn of the reactor


class Stamp(NamedTuple):
    """A version of a file: another one has another stamp. Times are in nanoseconds."""

    ctime_ns: int
    mtime_ns: int
    size: int
    inode: int
    device: int

    @property
    def facts(self) -> FileFacts:
        """The same as what an answer is made from."""
        return FileFacts(self.size, self.mtime_ns, self.ctime_ns, self.inode)


def _stamp(st: os.stat_result) -> Stamp:
    return Stamp(st.st_ctime_ns, st.st_mtime_ns, st.st_size, st.st_ino, st.st_dev)


def stamp_of(fd: int) -> Stamp:
    """The version that is open."""
    return _stamp(os.fstat(fd))


def reopen(path: str, stamp: Stamp) -> OpenFile | None:
    """Open a file that is the same (``PathValidator.is_same``) once more; None if it is not.

    What was judged was this inode, not this path, so that a path that leads elsewhere in the moment
    of opening gives another stamp.
    """
    try:
        fd = os.open(path, disk.OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    file = OpenFile(fd, os.path.basename(path), stamp.facts)
    try:
        if stamp_of(fd) == stamp:
            return file
    except OSError:  # as the tree will say, which asks again
        pass
    file.close()
    return None


def is_settled(stamp: Stamp, now: float) -> bool:
    """Whether a write after ``now`` (seconds since the epoch) must show in the stamp.

    Windows has the time of creation for a change time, so that the later of both is asked.
    """
    return max(stamp.ctime_ns, stamp.mtime_ns) < (now - SETTLED) * NANOSECONDS


class PathValidator:
    """Says whether paths still lead where they led when they were judged.

    The folders of a path are looked at once in a turn of the reactor: ``call_soon`` calls back in
    the next one. What a turn answers was asked before it began.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._call_soon = call_soon
        self._standing: set[str] = set()
        self._open: dict[tuple[str, Stamp], OpenFile] = {}

    def is_same(self, path: str, folder: str, stamp: Stamp) -> bool:
        """Whether ``path``, a name in the real ``folder``, is this version of a regular file."""
        try:
            st = os.lstat(path)
        except OSError:
            return False
        # Compared field by field, the likeliest to differ first: no tuple is made.
        return (
            st.st_ctime_ns == stamp.ctime_ns
            and st.st_mtime_ns == stamp.mtime_ns
            and st.st_size == stamp.size
            and st.st_ino == stamp.inode
            and st.st_dev == stamp.device
            and (folder in self._standing or self._stands(folder))
        )

    def reopen(self, path: str, stamp: Stamp) -> OpenFile | None:
        """Open a file that ``is_same``, for this turn and all who ask for it in it: it is closed in
        the next, and by nobody else. None where it is not the same now.
        """
        found = self._open.get((path, stamp))
        if found is None and (found := reopen(path, stamp)) is not None:
            self._forget_soon()
            if len(self._open) >= MAX_OPEN:
                self._close_all()
            self._open[path, stamp] = found
        return found

    def _stands(self, folder: str) -> bool:
        if not is_real(folder):
            return False
        self._forget_soon()
        self._standing.add(folder)
        return True

    def _forget_soon(self) -> None:
        if not (self._standing or self._open):
            self._call_soon(self._forget)

    def _forget(self) -> None:
        self._standing.clear()
        self._close_all()

    def _close_all(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()


def is_real(folder: str) -> bool:
    """Whether an absolute path leads to its folder through no link."""
    try:
        if os.name == "nt":  # links have more than one kind there
            return os.path.realpath(folder, strict=True) == folder
        while not stat.S_ISLNK(os.lstat(folder).st_mode):
            above = os.path.dirname(folder)
            if above == folder:
                return True
            folder = above
    except OSError:
        pass
    return False
