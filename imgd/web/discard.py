"""Drops what a client still sends after its request was refused."""

from __future__ import annotations

from typing import Any, Final

# Bytes: more than the buffers of two sockets hold, so that a client that stops when it reads the
# answer is not cut off.
MAX_DISCARDED: Final = 16 * 1024 * 1024


class DiscardingReader:
    """Drops bytes, and aborts the connection of a client that does not stop sending."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._remaining = MAX_DISCARDED

    def feed(self, data: bytes) -> None:
        self._remaining -= len(data)
        if self._remaining < 0:
            self._transport.abortConnection()
