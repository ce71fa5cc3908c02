"""How many descriptors this process may have, and so how many connections."""

from __future__ import annotations

import sys
from typing import Final

# Kept for everything that is no connection: listeners, the state, logs, directories being read.
RESERVE: Final = 64
EACH: Final = 2  # a connection's socket, and the file that is sent over it
MOST: Final = 10_000  # connections, however many descriptors there are: each costs memory, too
LEAST: Final = 16
_UNKNOWN: Final = 1024


def raise_limit() -> int:
    """Raise the soft limit as far as it is of use and allowed, and tell it.

    The soft limit is 1024 on most systems for the sake of programs that use select(); on Linux,
    twisted's reactor uses epoll.
    """
    try:
        import resource
    except ImportError:  # Windows: sockets are no descriptors there
        return _UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST * EACH + RESERVE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if sys.platform.startswith("linux") and soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else MOST * EACH + RESERVE


def connections_for(limit: int) -> int:
    """How many connections this many descriptors are enough for."""
    return max(LEAST, min(MOST, (limit - RESERVE) // EACH))
