"""Whether a file or folder is still the one that was read, asked of the file system each time.

What was read once may be answered again while two things hold. The file of this path is the same
inode with the same size and times; its change time moves with every write, whatever is done to the
modification time afterwards. And no folder on the way has become a link, so that the path that was
judged (``imgd.files.disk``) is still the path that is meant.
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
# The same of a folder, in nanoseconds.
FOLDER_SETTLED_NS: Final = 2_000_000_000
MAX_OPEN: Final = 16  # files that stay open for a turn of the reactor


class FileVersion(NamedTuple):
    """A version of a file; every other version differs from it. Times are in nanoseconds."""

    ctime_ns: int
    mtime_ns: int
    size: int
    inode: int
    device: int

    @property
    def facts(self) -> FileFacts:
        """What an answer is made from."""
        return FileFacts(self.size, self.mtime_ns, self.ctime_ns, self.inode)


class FolderVersion(NamedTuple):
    """A version of what a folder's entries are called, and of its mode. Times in nanoseconds."""

    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    def had_settled(self, read_at_ns: int) -> bool:
        """Whether a change after ``read_at_ns`` (since the epoch) must give another version."""
        return self.mtime_ns < read_at_ns - FOLDER_SETTLED_NS


def folder_version(path: str) -> FolderVersion:
    """The version of a folder now; OSError."""
    st = os.stat(path)
    return FolderVersion(st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_dev)


def version_of(fd: int) -> FileVersion:
    """The version of an open file; OSError."""
    st = os.fstat(fd)
    return FileVersion(st.st_ctime_ns, st.st_mtime_ns, st.st_size, st.st_ino, st.st_dev)


def version_at(path: str) -> FileVersion:
    """The version of what is at a path now; OSError."""
    st = os.stat(path)
    return FileVersion(st.st_ctime_ns, st.st_mtime_ns, st.st_size, st.st_ino, st.st_dev)


def reopen(path: str, version: FileVersion) -> OpenFile | None:
    """Open a file that is the same (``PathValidator.is_same``) once more; None if it is not.

    What was judged was this inode, not this path, so that a path that leads elsewhere in the moment
    of opening gives another version.
    """
    try:
        fd = os.open(path, disk.OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        if version_of(fd) == version:
            return OpenFile(fd, os.path.basename(path), version.facts)
    except OSError:  # EIO, or ESTALE of a network disk
        pass
    os.close(fd)
    return None


def is_settled(version: FileVersion, now: float) -> bool:
    """Whether a write after ``now`` (seconds since the epoch) must give another version.

    Windows has the time of creation for a change time, so that the later of both is asked.
    """
    return max(version.ctime_ns, version.mtime_ns) < (now - SETTLED) * NANOSECONDS


class PathValidator:
    """Says whether paths still lead where they led when they were judged.

    The folders of a path are looked at once in a turn of the reactor: ``call_soon`` calls back in
    the next one. What a turn answers was asked before it began.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._call_soon = call_soon
        self._real_folders: set[str] = set()
        self._open: dict[tuple[str, FileVersion], OpenFile] = {}

    def is_same(self, path: str, folder: str, version: FileVersion) -> bool:
        """Whether ``path``, a name in the real ``folder``, is this version of a regular file."""
        try:
            st = os.lstat(path)
        except OSError:
            return False
        # Compared field by field, the likeliest to differ first: no tuple is made.
        return (
            st.st_ctime_ns == version.ctime_ns
            and st.st_mtime_ns == version.mtime_ns
            and st.st_size == version.size
            and st.st_ino == version.inode
            and st.st_dev == version.device
            and (folder in self._real_folders or self._is_real(folder))
        )

    def reopen(self, path: str, version: FileVersion) -> OpenFile | None:
        """Open a file that ``is_same``, for this turn and all who ask for it in it: it is closed in
        the next, and by nobody else. None if it is not the same now.
        """
        file = self._open.get((path, version))
        if file is None and (file := reopen(path, version)) is not None:
            self._forget_soon()
            if len(self._open) >= MAX_OPEN:
                self._close_all()
            self._open[path, version] = file
        return file

    def _is_real(self, folder: str) -> bool:
        if not is_real(folder):
            return False
        self._forget_soon()
        self._real_folders.add(folder)
        return True

    def _forget_soon(self) -> None:
        if not (self._real_folders or self._open):
            self._call_soon(self._forget)

    def _forget(self) -> None:
        self._real_folders.clear()
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
            parent = os.path.dirname(folder)
            if parent == folder:
                return True
            folder = parent
    except OSError:
        pass
    return False
