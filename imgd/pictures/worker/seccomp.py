"""The system calls that a worker may make: seccomp(2) with a list of those that are allowed."""

from __future__ import annotations

import ctypes
import errno
import mmap
import platform
import struct
import sys
from collections.abc import Iterator
from typing import Final

# The numbers of each call on x86-64 and aarch64 (asm/unistd.h), None if there is no such call.
_ALLOWED: Final[dict[str, tuple[int | None, int | None]]] = {
    # The files of a job and the socket to the daemon, all of them open already
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "dup": (32, 23),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "ppoll": (271, 73),
    "preadv": (295, 69),
    # Memory
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    # Time, signals of its own and locks
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "sigaltstack": (131, 132),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "membarrier": (324, 283),
    "rseq": (334, 293),
    # What it is, and where it runs
    "getpid": (39, 172),
    "uname": (63, 160),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    # Its end
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# Calls that are allowed if none of these bits is set in an argument, counted from 0.
_WITHOUT_BITS: Final[dict[str, tuple[int, int, int, int]]] = {
    "mmap": (9, 222, 2, mmap.PROT_EXEC),
    "mprotect": (10, 226, 2, mmap.PROT_EXEC),
}
# Machine: which of the two numbers, and what the kernel calls it (linux/audit.h).
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT: Final = 0x40000000  # of x86-64 calls with 32-bit pointers: above every number allowed

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2


def install() -> str:
    """Refuse every other call from now on, with EPERM. Returns what the platform does not have."""
    code = b"".join(program(platform.machine()))
    if sys.platform != "linux" or not code or ctypes.sizeof(ctypes.c_void_p) != 8:
        return "seccomp"
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = _Filter(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return "no_new_privs"
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0):
        return "seccomp"
    return ""


class _Filter(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def program(machine: str) -> Iterator[bytes]:
    """The filter's instructions, in classic BPF, for a machine as ``uname`` calls it; none if its
    numbers are not known. A call whose number is that of no allowed one falls through to the end.
    """
    if machine not in _MACHINES:
        return
    column, architecture = _MACHINES[machine]
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_JUMP_IF_EQUAL, architecture, if_true=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER)
    for numbers in _ALLOWED.values():
        if (number := numbers[column]) is not None:
            yield _step(_JUMP_IF_EQUAL, number, if_false=1)
            yield _step(_RETURN, _ALLOW)
    for *both, argument, bits in _WITHOUT_BITS.values():
        yield _step(_JUMP_IF_EQUAL, both[column], if_false=4)
        yield _step(_LOAD, _ARGUMENTS + 8 * argument)
        yield _step(_JUMP_IF_ANY_BIT, bits, if_true=1)
        yield _step(_RETURN, _ALLOW)
        yield _step(_RETURN, _REFUSE)
    yield _step(_RETURN, _REFUSE)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; it jumps over so many that follow it."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
