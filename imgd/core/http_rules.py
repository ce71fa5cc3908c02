"""What heads and trailers of requests have in common: grammar, limits, and what is wrong with them.

RFC 9110 and 9112, read strictly: parsers forgive, each in its own way, and whatever two of them
read differently can smuggle a request past one of them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_LINE: Final = 8000  # octets of a request line: what RFC 9112 section 3 recommends to support
MAX_SECTION: Final = 16 * 1024  # octets of a header section, its line ends too
MAX_FIELDS: Final = 100

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # RFC 9110 section 5.6.2
# A value is visible characters, obs-text, spaces and tabs (RFC 9110 section 5.5).
FIELD: Final = TOKEN + rb":[\t -~\x80-\xff]*+"
_FIELD: Final = re.compile(FIELD)
# What stands in no head: a control character, a line feed without its carriage return, a carriage
# return without its line feed (at the very end, that may still come).
_NEVER: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")


class HeadError(NamedTuple):
    """An answer instead of a request: its status, and one sentence. The connection is closed."""

    status: int
    reason: str


def bad(reason: str) -> HeadError:
    """400, for this reason."""
    return HeadError(HTTPStatus.BAD_REQUEST.value, reason)


def check_limits(line: int, section: int, fields: int) -> HeadError | None:
    """Why a head is too large: octets of its request line, of its header section, its fields."""
    if line > MAX_LINE:
        return HeadError(414, f"The request line is over {MAX_LINE} octets.")
    if section > MAX_SECTION:
        return HeadError(431, f"The header section is over {MAX_SECTION // 1024} KiB.")
    if fields > MAX_FIELDS:
        return HeadError(431, f"The request has more than {MAX_FIELDS} header fields.")
    return None


def check_characters(data: bytes | bytearray, start: int = 0) -> HeadError | None:
    """Why these bytes are part of no head and no trailers, from ``start`` on."""
    match = _NEVER.search(data, start)
    if match is None:
        return None
    if match[0] == b"\n":
        return bad("A line ends in a line feed alone.")
    if match[0] == b"\r":
        return bad("A carriage return stands without its line feed.")
    return bad("The request holds a control character where none may stand.")


def check_field_lines(lines: list[bytes]) -> HeadError | None:
    """Why one of these lines is no header field."""
    for line in lines:
        name, colon, _ = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            return bad("A header field is folded over several lines.")
        if colon and name.rstrip(b" \t") != name:
            return bad("There is whitespace between a header field's name and its colon.")
        if not _FIELD.fullmatch(line):
            return bad("A header field is malformed: NAME: VALUE is expected.")
    return None


def check_trailers(section: bytes) -> HeadError | None:
    """Why a trailer section must be refused: its fields are as strict as a head's.

    ``section`` is at least one line, each with its line end, without the empty line.
    """
    if error := check_characters(section):
        return error
    return check_field_lines(section.removesuffix(b"\r\n").split(b"\r\n"))
