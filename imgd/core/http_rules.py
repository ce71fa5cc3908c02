"""The rules for header fields and trailers of requests: grammar, limits, and what is wrong.

RFC 9110 and 9112, read strictly: parsers forgive, each in its own way, and whatever two of them
read differently can smuggle a request past one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from imgd.core.urls import parse_authority

MAX_LINE: Final = 8000  # octets of a request line: what RFC 9112 section 3 recommends to support
MAX_SECTION: Final = 16 * 1024  # octets of a header section, its line ends too
MAX_FIELDS: Final = 100
# Digits of a Content-Length: more are a body that no limit allows, and no integer should hold.
MAX_DIGITS: Final = 18

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


def check_fields(values: Mapping[bytes, Sequence[bytes]], *, is_1_0: bool) -> HeadError | None:
    """Why a head with these fields, by lower-case name, is refused; ``is_1_0``: of HTTP/1.0."""
    return (
        _check_host(values.get(b"host", ()), is_1_0=is_1_0)
        or _check_coding(values.get(b"transfer-encoding"), is_1_0=is_1_0)
        or _check_length(values)
    )


def _check_host(hosts: Sequence[bytes], *, is_1_0: bool) -> HeadError | None:
    if not hosts:
        return None if is_1_0 else bad("The Host header field is missing.")
    if len(hosts) > 1:
        return bad("There is more than one Host header field.")
    if parse_authority(hosts[0].decode("latin-1")) is None:
        return bad("The Host header field is malformed.")
    return None


def _check_coding(values: Sequence[bytes] | None, *, is_1_0: bool) -> HeadError | None:
    """RFC 9112 sections 6.1, 6.3 and 7."""
    if values is None or (not is_1_0 and values == [b"chunked"]):
        return None
    if is_1_0:
        return bad("Transfer-Encoding has no meaning in HTTP/1.0.")
    codings = [coding.strip(b" \t").lower() for v in values for coding in v.split(b",")]
    names = [coding.partition(b";")[0].rstrip(b" \t") for coding in codings]
    if b"" in names or b"chunked" in names[:-1] or (b"chunked" in names and names != codings):
        return bad("Transfer-Encoding must end in 'chunked', once and without parameters.")
    if codings != [b"chunked"]:
        return HeadError(501, "The only transfer coding understood here is 'chunked'.")
    return None


def _check_length(values: Mapping[bytes, Sequence[bytes]]) -> HeadError | None:
    """RFC 9110 section 8.6, and RFC 9112 section 6.3."""
    lengths = values.get(b"content-length")
    if lengths is None:
        return None
    if b"transfer-encoding" in values:
        return bad("Content-Length and Transfer-Encoding are there together.")
    if len(lengths) > 1:
        return bad("There is more than one Content-Length header field.")
    if not lengths[0].isdigit():
        return bad("Content-Length is not a decimal number.")
    if len(lengths[0]) > MAX_DIGITS:
        return HeadError(413, "The body is too large.")
    return None
