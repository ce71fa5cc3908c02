"""What a worker sends, read piece by piece and believed in nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from imgd.pictures.messages import MAX_BODY, MAX_HEADER, Answer, FromWorker

_LENGTH: Final = 4  # bytes before each message


class BadFrame(Exception):
    """No worker of imgd sends this."""


class FrameReader:
    """Messages and the bodies behind them, out of bytes as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: Answer | None = None  # whose body is arriving

    def feed(self, data: bytes) -> Iterator[tuple[FromWorker, bytes]]:
        """The messages that are complete now. BadFrame if there is one that cannot be."""
        self._buffer += data
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> tuple[FromWorker, bytes] | None:
        if self._answer is not None:
            return self._body(self._answer)
        length = int.from_bytes(self._buffer[:_LENGTH], "big")
        if length > MAX_HEADER:
            raise BadFrame("a message that is too long")
        if len(self._buffer) < _LENGTH + length:
            return None
        text = self._take(_LENGTH + length)[_LENGTH:]
        try:
            message = msgspec.json.decode(text, type=FromWorker)
        except msgspec.MsgspecError:
            raise BadFrame("a message that is none") from None
        if isinstance(message, Answer) and message.size:
            if not 0 < message.size <= MAX_BODY:
                raise BadFrame("a picture that is too long")
            self._answer = message
            return self._body(message)
        return message, b""

    def _body(self, answer: Answer) -> tuple[FromWorker, bytes] | None:
        if len(self._buffer) < answer.size:
            return None
        self._answer = None
        return answer, self._take(answer.size)

    def _take(self, length: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return taken
