"""Bodies of requests: judged at the head, then read strictly by RFC 9112 sections 6 and 7.1.

A reader takes bytes, does no I/O, and keeps at most MAX_BODY octets of the body and one unfinished
line or trailer section.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from imgd.core.http_rules import TOKEN, HeadError, bad, check_characters, check_trailers
from imgd.core.request_head import AnnouncedBody

JSON: Final = b"application/json"
FORM: Final = b"application/x-www-form-urlencoded"
MAX_BODY: Final = 64 * 1024  # octets: the largest honest body of the control API is a path
# Octets in all that chunks may spend on extensions and on zeros before their size.
MAX_PADDING: Final = 1024
MAX_TRAILERS: Final = 1024  # octets of a trailer section, its line ends too
TOO_LARGE: Final = HeadError(413, f"The body is over {MAX_BODY // 1024} KiB.")
NOT_JSON: Final = HeadError(415, "Send the body as JSON, with Content-Type: application/json.")
_NOT_FORM: Final = HeadError(415, f"Send the form as {FORM.decode()}.")
_BAD_SIZE: Final = bad("A chunk's size is malformed: SIZE in hexadecimal, and CRLF, is expected.")
_BAD_END: Final = bad("A chunk is not followed by CRLF.")
_PADDED: Final = bad(f"The chunk extensions are over {MAX_PADDING} octets in all.")
_LONG_TRAILERS: Final = bad(f"The trailers are over {MAX_TRAILERS // 1024} KiB.")

_MAX_LINE: Final = MAX_PADDING + 16  # octets of a size line: no good size has more digits
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION: Final = (
    rb";[\t ]*+" + TOKEN + rb"(?:[\t ]*+=[\t ]*+(?:" + TOKEN + rb"|" + _QUOTED + rb"))?+[\t ]*+"
)
# No whitespace between a size and its first extension, nor after a size without one: what the
# grammar calls bad whitespace (RFC 9112 section 7.1.1) is read differently by different parsers.
_SIZE: Final = re.compile(rb"(0*+)([0-9A-Fa-f]*+)((?:" + _EXTENSION + rb")*+)")
_UNFINISHED: Final = re.compile(rb"[0-9A-Fa-f]++(?:;[\t -~\x80-\xff]*+)?\r?")


class Body(NamedTuple):
    """A whole body, b"" if it is not kept, and what came after it."""

    content: bytes
    rest: bytes


def is_json(types: tuple[bytes, ...]) -> bool:
    """Whether there is one Content-Type, and it is JSON, whatever its parameters."""
    return _is_one(types, JSON)


def _is_one(types: tuple[bytes, ...], media_type: bytes) -> bool:
    return len(types) == 1 and types[0].partition(b";")[0].rstrip(b" \t").lower() == media_type


def check_announced(
    body: AnnouncedBody, *, is_read: bool, is_form: bool = False
) -> HeadError | None:
    """Why a body is refused before any of it is read.

    ``is_read``: a resource expects JSON; ``is_form``: it expects what a form on a page sends.
    """
    if is_form and not _is_one(body.types, FORM):
        return _NOT_FORM
    if is_read and not is_form and not is_json(body.types):
        return NOT_JSON
    return TOO_LARGE if body.length is not None and body.length > MAX_BODY else None


def body_reader(body: AnnouncedBody, *, is_read: bool) -> BodyReader:
    """A reader of a body that passed ``check_announced``; its content is kept if ``is_read``."""
    if body.length is None:
        return ChunkedReader(is_kept=is_read)
    return LengthReader(body.length, is_kept=is_read)


class LengthReader:
    """Reads as many octets as Content-Length says."""

    __slots__ = ("_content", "_is_kept", "_remaining")

    def __init__(self, length: int, *, is_kept: bool) -> None:
        self._remaining = length
        self._is_kept = is_kept
        self._content = bytearray()

    def feed(self, data: bytes) -> Body | HeadError | None:
        """The body when it is whole, why it is refused, or None: more is needed."""
        part = data[: self._remaining]
        self._remaining -= len(part)
        if self._is_kept:
            self._content += part
        return None if self._remaining else Body(bytes(self._content), data[len(part) :])


class _Part(Enum):
    """What comes next in a chunked body."""

    SIZE = 0
    DATA = 1
    END = 2  # of a chunk
    TRAILERS = 3
    NOTHING = 4


class ChunkedReader:
    """Reads chunks; extensions and trailers are judged, and dropped."""

    __slots__ = ("_allowance", "_content", "_held", "_is_kept", "_padding", "_part", "_remaining")

    def __init__(self, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        self._content = bytearray()
        self._held = b""  # of a line, a line end or the trailers, of which more is to come
        self._part = _Part.SIZE
        self._allowance = MAX_BODY  # octets that further chunks may have
        self._remaining = 0  # octets of this chunk
        self._padding = 0

    def feed(self, data: bytes) -> Body | HeadError | None:
        """The body when it is whole, why it is refused, or None: more is needed."""
        data, start = self._held + data, 0
        while self._part is not _Part.NOTHING:
            outcome = self._take(data, start)
            if isinstance(outcome, HeadError):
                return outcome
            if outcome is None:
                self._held = data[start:]
                return None
            start = outcome
        return Body(bytes(self._content), data[start:])

    def _take(self, data: bytes, start: int) -> int | HeadError | None:
        """Take the next part: where it ends, why it is refused, or None: more is needed."""
        match self._part:
            case _Part.SIZE:
                return self._take_size(data, start)
            case _Part.DATA:
                return self._take_data(data, start)
            case _Part.END:
                return self._take_end(data, start)
            case _:
                return self._take_trailers(data, start)

    def _take_size(self, data: bytes, start: int) -> int | HeadError | None:
        end = data.find(b"\r\n", start, start + _MAX_LINE + 2)
        if end < 0:
            return self._unfinished_size(data[start:])
        match = _SIZE.fullmatch(data, start, end)
        if match is None or match.start(3) == start:
            return check_characters(data[start : end + 2]) or _BAD_SIZE
        zeros, size, extensions = match.groups()
        self._padding += len(extensions) + len(zeros) - (not size)  # a lone zero is a size
        if self._padding > MAX_PADDING:
            return _PADDED
        self._remaining = int(size or b"0", 16)
        if self._remaining > self._allowance:
            return TOO_LARGE
        self._allowance -= self._remaining
        self._part = _Part.DATA if self._remaining else _Part.TRAILERS
        return end + 2

    def _unfinished_size(self, line: bytes) -> HeadError | None:
        if len(line) > _MAX_LINE + len(b"\r"):
            return _PADDED if b";" in line else _BAD_SIZE
        return None if not line or _UNFINISHED.fullmatch(line) else _BAD_SIZE

    def _take_data(self, data: bytes, start: int) -> int | None:
        if start == len(data):
            return None
        end = min(start + self._remaining, len(data))
        if self._is_kept:
            self._content += data[start:end]
        self._remaining -= end - start
        if not self._remaining:
            self._part = _Part.END
        return end

    def _take_end(self, data: bytes, start: int) -> int | HeadError | None:
        end = data[start : start + 2]
        if end == b"\r\n":
            self._part = _Part.SIZE
            return start + 2
        return None if b"\r\n".startswith(end) else _BAD_END

    def _take_trailers(self, data: bytes, start: int) -> int | HeadError | None:
        if data.startswith(b"\r\n", start):
            self._part = _Part.NOTHING
            return start + 2
        end = data.find(b"\r\n\r\n", start, start + MAX_TRAILERS + 2)
        if end < 0:
            return (
                _LONG_TRAILERS
                if len(data) - start >= MAX_TRAILERS + 2
                else check_characters(data[start:])
            )
        self._part = _Part.NOTHING
        return check_trailers(data[start : end + 2]) or end + 4


BodyReader = LengthReader | ChunkedReader
