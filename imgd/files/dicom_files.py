"""Which files are DICOM by their bytes, whatever they are called: asked once for each version.

Scanners and archives write files without a suffix (``IM0000``, a UID), or with one of their own
(``.IMA``). A DICOM file has ``DICM`` after a preamble of 128 bytes (DICOM PS3.10 section 7.1).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from threading import Lock
from typing import Final

PREAMBLE: Final = 128  # bytes
MAGIC: Final = b"DICM"
HEAD_SIZE: Final = PREAMBLE + len(MAGIC)
# Files of which it is remembered: some 80 bytes each.
MAX_REMEMBERED: Final = 500_000
# How long a file must have rested when it is read, in nanoseconds: within one step of a file
# system's clock (two seconds on FAT), a second write leaves no trace.
SETTLED_NS: Final = 2_500_000_000

ReadHead = Callable[[int], bytes]


def _read_head(fd: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, HEAD_SIZE, 0)
    start = os.read(fd, HEAD_SIZE)
    os.lseek(fd, 0, os.SEEK_SET)
    return start


class DicomFiles:
    """Looks into files, and remembers what it saw by path, inode, size and times.

    ``read_head`` gives the first ``HEAD_SIZE`` bytes of an open file. Any thread may call this.
    """

    def __init__(
        self,
        read_head: ReadHead = _read_head,
        now_ns: Callable[[], int] = time.time_ns,
        most: int = MAX_REMEMBERED,
    ) -> None:
        self._read_head = read_head
        self._now_ns = now_ns
        self._most = most
        # By the hash of path and version: with 64 bits, and a path's part of them unknown outside,
        # two files share one with no probability worth a name.
        self._known: dict[int, bool] = {}
        self._lock = Lock()

    def recall(self, path: str, st: os.stat_result) -> bool | None:
        """Whether the file of this real path is DICOM, None if it is not known; asks no disk."""
        return self._known.get(_key(path, st))

    def look(self, path: str, fd: int) -> bool:
        """Whether the open file of this real path is a regular one, and DICOM. Blocks; OSError."""
        st, now_ns = os.fstat(fd), self._now_ns()
        may_be = stat.S_ISREG(st.st_mode) and st.st_size >= HEAD_SIZE
        is_dicom = may_be and self._read_head(fd)[PREAMBLE:] == MAGIC
        if max(st.st_ctime_ns, st.st_mtime_ns) < now_ns - SETTLED_NS:
            self._remember(_key(path, st), is_dicom)
        return is_dicom

    def _remember(self, key: int, is_dicom: bool) -> None:
        with self._lock:
            self._known[key] = is_dicom
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]  # the oldest


def _key(path: str, st: os.stat_result) -> int:
    return hash((path, st.st_ctime_ns, st.st_mtime_ns, st.st_size, st.st_ino, st.st_dev))
