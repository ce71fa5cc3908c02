"""How many descriptors this process may have, and so how many connections."""

from __future__ import annotations

import sys
from typing import Final

# Kept for everything that is no connection: listeners, the state, logs, directories being read.
RESERVE: Final = 64
PER_CONNECTION: Final = 2  # a connection's socket, and the file that is sent over it
MAX_CONNECTIONS: Final = 10_000  # however many descriptors there are: each costs memory, too
MIN_CONNECTIONS: Final = 16
_UNKNOWN: Final = 1024


def raise_limit() -> int:
    """Raise the soft limit as far as it is of use and allowed; the limit there is then.

    The soft limit is 1024 on most systems for the sake of programs that use select(); on Linux,
    twisted's reactor uses epoll.
    """
    try:
        import resource
    except ImportError:  # Windows: sockets are no descriptors there
        return _UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    useful = MAX_CONNECTIONS * PER_CONNECTION + RESERVE
    if hard != resource.RLIM_INFINITY:
        useful = min(useful, hard)
    if sys.platform.startswith("linux") and soft != resource.RLIM_INFINITY and soft < useful:
        resource.setrlimit(resource.RLIMIT_NOFILE, (useful, hard))
        return useful
    return soft if soft != resource.RLIM_INFINITY else MAX_CONNECTIONS * PER_CONNECTION + RESERVE


def connections_for(limit: int) -> int:
    """How many connections this many descriptors are enough for."""
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, (limit - RESERVE) // PER_CONNECTION))
