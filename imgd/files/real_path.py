"""Where an opened file really lies, whatever name it was opened by.

Linux says it by ``/proc/self/fd``, macOS by ``F_GETPATH``. Elsewhere the name is resolved and must
still lead to the very file that is open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RealPath = Callable[[int, str], str]
_MAX_PATH: Final = 1024  # bytes, what F_GETPATH wants of its buffer (macOS fcntl(2))
# What Linux adds to the name that an open file had before it was replaced or deleted (proc(5)).
_DELETED: Final = " (deleted)"


def by_proc(fd: int, path: str) -> str:
    """The real path of ``fd`` by Linux's /proc; the one it had if it has none now.

    A name is judged without what Linux adds to it: ``frame.png``, replaced by its writer in the
    moment after it was opened, is an image still, and ``server.key`` a key.
    """
    real = os.readlink(f"/proc/self/fd/{fd}")
    return real.removesuffix(_DELETED) if _has_gone(real, fd) else real


def _has_gone(real: str, fd: int) -> bool:
    """Whether ``(deleted)`` was added to a path, and is not part of the file's own name."""
    if not real.endswith(_DELETED):
        return False
    try:
        return not os.path.samestat(os.stat(real), os.fstat(fd))
    except OSError:
        return True


def by_fcntl(fd: int, path: str) -> str:
    """The real path of ``fd`` by macOS's F_GETPATH."""
    raw = fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(_MAX_PATH))  # type: ignore[attr-defined,unused-ignore]
    return os.fsdecode(raw.rstrip(b"\0"))


def by_name(fd: int, path: str) -> str:
    """The real path of ``path``, which must still be the file open as ``fd``; OSError if not.

    By ``lstat``: a file that was a link when it was opened, a file when it was resolved, and is a
    link again, is not the one that is open. Of a folder on the way that changes so nothing is
    noticed: this is for systems that cannot be asked about a descriptor.
    """
    real = os.path.realpath(path, strict=True)
    if not os.path.samestat(os.lstat(real), os.fstat(fd)):
        raise FileNotFoundError
    return real


def choose() -> RealPath:
    """The best way that this machine has."""
    if os.path.exists("/proc/self/fd"):
        return by_proc
    return by_fcntl if hasattr(fcntl, "F_GETPATH") else by_name
