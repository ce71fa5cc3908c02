"""Where an opened file really lies, whatever name it was opened by.

Linux tells by ``/proc/self/fd``, macOS by ``F_GETPATH``. Elsewhere the name is resolved and must
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


def by_proc(fd: int, path: str) -> str:
    """The real path of ``fd`` as Linux's /proc tells it."""
    return os.readlink(f"/proc/self/fd/{fd}")


def by_fcntl(fd: int, path: str) -> str:
    """The real path of ``fd`` as macOS tells it."""
    raw = fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(_MAX_PATH))  # type: ignore[attr-defined,unused-ignore]
    return os.fsdecode(raw.rstrip(b"\0"))


def by_name(fd: int, path: str) -> str:
    """The real path of ``path``, which must still be the file open as ``fd``; OSError if not."""
    real = os.path.realpath(path, strict=True)
    if not os.path.samestat(os.stat(real), os.fstat(fd)):
        raise FileNotFoundError
    return real


def choose() -> RealPath:
    """The best way that this machine has."""
    if os.path.exists("/proc/self/fd"):
        return by_proc
    return by_fcntl if hasattr(fcntl, "F_GETPATH") else by_name
