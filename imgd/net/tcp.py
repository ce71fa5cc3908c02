"""Twisted's TCP transports, written to at once instead of on the reactor's next turn.

One of the two modules that know private names of other libraries; ``tests/test_upstream.py`` fails
where an upstream release changes what they lean on. Whatever is no TCP transport of Twisted's
socket reactors (IOCP, a transport in memory) is used by its public methods alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import tcp

# What one send hands to the kernel at most, in bytes; Twisted's own 128 KiB cost two sends for
# what an image of 200 kB needs one for.
SEND_LIMIT: Final = 512 * 1024

SendFile = Callable[[int, int, int, int], int]
_send_file: Final[SendFile | None] = getattr(os, "sendfile", None)


def is_tcp(transport: Any) -> bool:
    """Whether a transport is one of those that this module knows from inside."""
    return isinstance(transport, tcp.Connection)


def is_empty(transport: Any) -> bool:
    """Whether a TCP transport has handed on all that was written to it.

    ``_tempDataLen`` is private: Twisted tells of a full buffer (``pauseProducing``), never of an
    empty one.
    """
    return not (transport._tempDataLen or transport.dataBuffer)


def waiting(transport: Any) -> int:
    """How many bytes were written to a TCP transport that its socket has not taken yet."""
    waiting: int = transport._tempDataLen + len(transport.dataBuffer) - transport.offset
    return waiting


def write_now(transport: Any, data: bytes | memoryview) -> None:
    """Write to a TCP transport, whose socket takes what it can within this call.

    A stock write is two changes of the reactor's epoll set and one more turn: a third of the time
    that a small file takes (docs/performance.md). What the socket does not take is the
    transport's, with its order, its limits and its errors.
    """
    sent = 0
    if not (transport._tempDataLen or transport.dataBuffer) and transport.connected:
        outcome = transport.writeSomeData(data)
        if isinstance(outcome, int):  # else the transport's own write meets the error again
            sent = outcome
    if sent < len(data):
        transport.write(bytes(data[sent:]) if sent or not isinstance(data, bytes) else data)


def has_send_file() -> bool:
    """Whether this platform's kernel moves files to sockets by itself."""
    return _send_file is not None


def can_send_files(transport: Any) -> bool:
    """Whether ``send_file`` works with this transport: its bytes go out as they are."""
    return _send_file is not None and is_tcp(transport)


def send_file(transport: Any, fd: int, offset: int, length: int) -> int | None:
    """Hand a part of a file to an empty TCP transport's socket: how many bytes it took.

    0 is the end of the file, None a socket that is full. OSError where either fails.
    """
    assert _send_file is not None  # can_send_files was asked
    try:
        return _send_file(transport.fileno(), fd, offset, length)
    except (BlockingIOError, InterruptedError):
        return None


def give_way(transport: Any) -> None:
    """Pause a TCP transport's producer until its socket takes bytes, at the earliest next turn.

    ``producerPaused`` tells an empty transport that there is a producer to resume; Twisted sets it
    itself only where bytes of its own are left.
    """
    if transport.producer is not None and transport.connected:
        if not transport.producerPaused:
            transport.producerPaused = True
            transport.producer.pauseProducing()
        transport.startWriting()
