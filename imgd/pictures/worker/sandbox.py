"""What a worker gives up before it reads a byte of a file: it may open, start and reach nothing.

Whoever takes a worker over by a file can still compute, read the files of its job, and answer.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

from imgd.pictures.worker import seccomp

MAX_MEMORY: Final = 1 << 30  # bytes of address space
MAX_DESCRIPTORS: Final = 32  # those of a job, and a few
NICENESS: Final = 5  # the daemon comes first
_OOM_SCORE: Final = "500"  # of a system that runs out of memory, a worker goes before the daemon
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


def enter() -> str:
    """Give up every right that decoding does not need. Returns what the platform does not have."""
    parent = os.getppid()
    os.chdir("/")
    with suppress(OSError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        _end_with_parent(parent)
        with suppress(OSError):
            _write("/proc/self/oom_score_adj", _OOM_SCORE)
    _limit()
    return seccomp.install()


def _end_with_parent(parent: int) -> None:
    """Whatever this process is doing when the daemon ends, it ends too."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nor may other processes of the user look into it
    if os.getppid() != parent:  # it ended just now
        raise SystemExit


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _limit() -> None:
    for name, most in (
        ("RLIMIT_AS", MAX_MEMORY),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NOFILE", MAX_DESCRIPTORS),
        ("RLIMIT_NPROC", 0),
    ):
        limit = getattr(resource, name, None)
        if limit is not None:
            with suppress(ValueError, OSError):  # a limit below it, or a system without it
                resource.setrlimit(limit, (most, most))
