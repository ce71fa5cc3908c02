"""What a client still sends after it was refused."""

from __future__ import annotations

from typing import Any, Final

# Bytes: more than two sockets hold on their way, so that a client that stops at the answer can.
MAX_DISCARDED: Final = 16 * 1024 * 1024


class DiscardingReader:
    """Drops what comes; who goes on regardless is cut off."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._left = MAX_DISCARDED

    def hear(self, data: bytes) -> None:
        """Bytes came."""
        self._left -= len(data)
        if self._left < 0:
            self._transport.abortConnection()
