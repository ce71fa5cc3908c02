"""Twisted's TCP transports, written to at once instead of on the reactor's next turn.

One of the two modules that use private names of other libraries (``tests/test_upstream.py``). If
the installed Twisted lacks one of them, ``MISSING`` names it, and every transport is used by its
public methods alone, as those always are that are not of Twisted's socket reactors (IOCP, memory).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

# Private or undocumented: Twisted reports a full buffer (``pauseProducing``), never an empty one.
_NAMES: Final = (
    *("_tempDataLen", "dataBuffer", "offset", "writeSomeData", "startWriting"),
    *("connected", "fileno", "producer", "producerPaused"),
    *("connectionLost", "disconnecting", "unregisterProducer"),
)


def absent(names: Iterable[str], owner: object) -> Iterator[str]:
    """Which of these names an object does not have: ``Class.name``, or ``module.name``."""
    label = getattr(owner, "__name__", type(owner).__name__)
    return (f"{label}.{name}" for name in names if not hasattr(owner, name))


def _missing_names() -> list[str]:
    with socket.socket() as unconnected:
        try:
            connection = tcp.Connection(unconnected, Protocol(), cast(Any, object()))
        except Exception as error:  # a release that makes them in another way
            return [f"Connection ({error})"]
        return list(absent(_NAMES, connection))


MISSING: Final = tuple(_missing_names())
_DONE: Final = Failure(ConnectionDone())
_KNOWN: Final[Any] = () if MISSING else tcp.Connection

SendFile = Callable[[int, int, int, int], int]
_send_file: Final[SendFile | None] = getattr(os, "sendfile", None)


def is_tcp(transport: Any) -> bool:
    """Whether the other functions of this module can be used with a transport."""
    return isinstance(transport, _KNOWN)


def is_empty(transport: Any) -> bool:
    """Whether a TCP transport's socket has taken all that was written to it."""
    return not (transport._tempDataLen or transport.dataBuffer)


def waiting(transport: Any) -> int:
    """How many bytes were written to a TCP transport that its socket has not taken yet."""
    size: int = transport._tempDataLen + len(transport.dataBuffer) - transport.offset
    return size


def write_now(transport: Any, data: bytes | memoryview) -> None:
    """Write to a TCP transport; its socket takes what it can within this call.

    A stock write is two changes of the reactor's epoll set and one more turn: a third of the time
    that a small file takes (docs/performance.md). What the socket does not take is left to the
    transport, with its order, its limits and its errors.
    """
    sent = 0
    if not (transport._tempDataLen or transport.dataBuffer) and transport.connected:
        result = transport.writeSomeData(data)
        if isinstance(result, int):  # else the transport's own write meets the error again
            sent = result
    if sent < len(data):
        transport.write(bytes(data[sent:]) if sent or not isinstance(data, bytes) else data)


def close(transport: Any) -> None:
    """Close a TCP transport: within this call if its socket has taken all that was written.

    A stock close is two changes of the reactor's epoll set and one more turn.
    """
    transport.unregisterProducer()
    if transport.connected and not transport.disconnecting and is_empty(transport):
        transport.connectionLost(_DONE)
    else:
        transport.loseConnection()


def has_send_file() -> bool:
    """Whether this platform's kernel can move files to sockets."""
    return _send_file is not None


def can_send_files(transport: Any) -> bool:
    """Whether ``send_file`` works with this transport: its bytes are sent as they are."""
    return _send_file is not None and is_tcp(transport)


def send_file(transport: Any, fd: int, offset: int, length: int) -> int | None:
    """Hand a part of a file to an empty TCP transport's socket: how many bytes it took.

    0 is the end of the file, None a socket that is full. OSError if the file or the socket fails.
    """
    assert _send_file is not None  # can_send_files was asked
    try:
        return _send_file(transport.fileno(), fd, offset, length)
    except (BlockingIOError, InterruptedError):
        return None


def give_way(transport: Any) -> None:
    """Pause a TCP transport's producer until its socket takes bytes, at the earliest next turn.

    ``producerPaused`` tells an empty transport that there is a producer to resume; Twisted sets it
    only if bytes of its own are left.
    """
    if transport.producer is not None and transport.connected:
        if not transport.producerPaused:
            transport.producerPaused = True
            transport.producer.pauseProducing()
        transport.startWriting()
