"""One strict check of a request's head, before any parser sees it: RFC 9110 and 9112.

Parsers forgive, each in its own way, and whatever two of them read differently can smuggle a
request past one of them. What passes here is read the same by all. One expression decides what is
well formed; why something else is not is found out afterwards, when time no longer matters.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import Final, NamedTuple

MAX_LINE: Final = 8000  # octets of a request line: what RFC 9112 section 3 recommends to support
MAX_SECTION: Final = 16 * 1024  # octets of a header section, its line ends too
MAX_FIELDS: Final = 100
# Of a Content-Length: more digits are a body that no limit allows, and no integer should hold.
MAX_DIGITS: Final = 18

# RFC 9110 section 9.3, RFC 5789, and QUERY, a safe method with a body that comes into use (IETF
# HTTP working group). Which of them a resource takes is its own decision.
METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"QUERY")
)

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # RFC 9110 section 5.6.2
_TARGET: Final = rb"[!\"$-~]++"  # what is visible in ASCII, but # (RFC 9112 section 3.2)
_LINE: Final = rb"(" + TOKEN + rb") (" + _TARGET + rb") HTTP/([0-9]\.[0-9])"
# A value is visible characters, obs-text, spaces and tabs (RFC 9110 section 5.5).
_FIELD: Final = TOKEN + rb":[\t -~\x80-\xff]*+"
_HEAD: Final = re.compile(_LINE + rb"\r\n(?:" + _FIELD + rb"\r\n)*+\r\n")
_REQUEST_LINE: Final = re.compile(_LINE)
_HEADER_FIELD: Final = re.compile(_FIELD)
_JUDGED: Final = re.compile(
    rb"\r\n(Host|Content-Length|Transfer-Encoding|Content-Type|Expect):[\t ]*+([^\r]*)",
    re.IGNORECASE,
)
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?]*+)([^?]*+)(.*+)", re.IGNORECASE)
# RFC 3986 section 3.2, without the user information that RFC 9110 section 4.2.4 warns of.
_AUTHORITY: Final = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++)(?::([0-9]{0,5}))?"
)
# What stands in no head: a control character, a line feed without its carriage return, a carriage
# return without its line feed (at the very end, that may still come).
_NEVER: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")
_END: Final = b"\r\n\r\n"


class HeadError(NamedTuple):
    """An answer instead of a request: its status, and one sentence. The connection is closed."""

    status: int
    reason: str


class Head(NamedTuple):
    """A head that may be handed on, up to and with its empty line, and what came after it."""

    head: bytes
    rest: bytes


def check(head: bytes) -> HeadError | None:
    """Why a request must be refused, None where nothing speaks against it.

    ``head`` is the request line and the header section, up to and including the empty line.
    """
    line_end = head.find(b"\r\n")
    if too_long := _over_limit(line_end, len(head) - line_end - 2, head.count(b"\r\n") - 2):
        return too_long
    found = _HEAD.fullmatch(head)
    if found is None:
        return _why_malformed(head)
    method, target, version = found.groups()
    return (
        _check_version(version)
        or _check_method(method)
        or _check_target(method, target)
        or _check_fields(fields_of(head), is_1_0=version == b"1.0")
    )


def fields_of(head: bytes) -> dict[bytes, list[bytes]]:
    """The values of the fields that decide how a request is read, by their names in lower case.

    Of a well-formed head: Host, what frames the body, its type, and what is expected.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in _JUDGED.findall(head):
        values.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    return values


def check_trailers(section: bytes) -> HeadError | None:
    """Why a trailer section must be refused: its fields are as strict as a head's.

    ``section`` is at least one line, each with its line end, without the empty line.
    """
    if refusal := never(section):
        return refusal
    return _why_malformed_field(section.removesuffix(b"\r\n").split(b"\r\n"))


def origin_form(target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """An absolute-form target as scheme, authority and origin-form; None for any other form.

    A server uses this authority and ignores ``Host`` (RFC 9112 section 3.2.2).
    """
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return None
    scheme, authority, path, query = found.groups()
    return scheme.lower(), authority, (path or b"/") + query


class HeadReader:
    """Takes the bytes of a connection until a head is whole, or can no longer become one."""

    __slots__ = ("_begun", "_held")

    def __init__(self) -> None:
        self._held: bytes | bytearray = b""
        self._begun = False  # an empty line came, and no other may

    @property
    def is_new(self) -> bool:
        """Whether nothing of a head has come yet."""
        return not (self._held or self._begun)

    def feed(self, data: bytes) -> Head | HeadError | None:
        """A head that passed the check with what followed it, a refusal, or None: more is needed.

        After either the reader is as new.
        """
        buffer: bytes | bytearray = data
        searched = 0
        if self._held:
            searched = max(0, len(self._held) - len(_END) + 1)
            buffer = self._held
            buffer += data
        if not self._begun and buffer.startswith(b"\r\n"):
            # An empty line before a request is some client's habit (RFC 9112 section 2.2).
            buffer, searched, self._begun = buffer[2:], 0, True
        end = buffer.find(_END, searched)
        if end >= 0:
            return self._whole(bytes(buffer), end + len(_END))
        if refusal := _check_unfinished(buffer, searched):
            self._reset()
            return refusal
        self._held = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
        return None

    def _whole(self, data: bytes, end: int) -> Head | HeadError:
        self._reset()
        head = data[:end]
        return check(head) or Head(head, data[end:])

    def _reset(self) -> None:
        self._held = b""
        self._begun = False


def _check_unfinished(data: bytes | bytearray, searched: int) -> HeadError | None:
    """Whether bytes of which no empty line is known yet can no longer become a head."""
    line_end = data.find(b"\r\n")
    if line_end < 0:
        long = _over_limit(len(data) - data.endswith(b"\r"), 0, 0)
    else:
        long = _over_limit(line_end, len(data) - line_end - 2, 0)
    return long or never(data, searched)


def _over_limit(line: int, section: int, fields: int) -> HeadError | None:
    if line > MAX_LINE:
        return HeadError(414, f"The request line is over {MAX_LINE} octets.")
    if section > MAX_SECTION:
        return HeadError(431, f"The header section is over {MAX_SECTION // 1024} KiB.")
    if fields > MAX_FIELDS:
        return HeadError(431, f"The request has more than {MAX_FIELDS} header fields.")
    return None


def bad(reason: str) -> HeadError:
    """400, for this reason."""
    return HeadError(HTTPStatus.BAD_REQUEST.value, reason)


def never(data: bytes | bytearray, start: int = 0) -> HeadError | None:
    """What stands in no head and no trailers, from ``start`` on."""
    found = _NEVER.search(data, start)
    if found is None:
        return None
    if found[0] == b"\n":
        return bad("A line ends in a line feed alone.")
    if found[0] == b"\r":
        return bad("A carriage return stands without its line feed.")
    return bad("The request holds a control character where none may stand.")


def _why_malformed(head: bytes) -> HeadError:
    if found := never(head):
        return found
    line, *fields = head.removesuffix(_END).split(b"\r\n")
    if not _REQUEST_LINE.fullmatch(line):
        if not line.isascii():
            return bad("The URL holds bytes that are not ASCII: they must be percent-encoded.")
        return bad("The request line is malformed: METHOD SP TARGET SP HTTP/1.1 is expected.")
    return _why_malformed_field(fields) or bad("The head of the request is malformed.")


def _why_malformed_field(fields: list[bytes]) -> HeadError | None:
    for field in fields:
        name, colon, _ = field.partition(b":")
        if field[:1] in (b" ", b"\t"):
            return bad("A header field is folded over several lines.")
        if colon and name.rstrip(b" \t") != name:
            return bad("There is whitespace between a header field's name and its colon.")
        if not _HEADER_FIELD.fullmatch(field):
            return bad("A header field is malformed: NAME: VALUE is expected.")
    return None


def _check_version(version: bytes) -> HeadError | None:
    # A minor version above 1 is read as 1.1 (RFC 9110 sections 2.5 and 6.2).
    if version.startswith(b"1."):
        return None
    return HeadError(505, "HTTP/1.1 and HTTP/1.0 are spoken here.")


def _check_method(method: bytes) -> HeadError | None:
    return None if method in METHODS else HeadError(501, "This method is not implemented.")


def _check_target(method: bytes, target: bytes) -> HeadError | None:
    if target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        return None
    absolute = origin_form(target)
    if absolute is None:
        return bad("The request target must begin with a slash, or be an http or https URL.")
    return None if is_authority(absolute[1]) else bad("The URL's host or port is malformed.")


def _check_fields(values: dict[bytes, list[bytes]], *, is_1_0: bool) -> HeadError | None:
    return (
        _check_host(values.get(b"host", []), is_1_0=is_1_0)
        or _check_coding(values.get(b"transfer-encoding"), is_1_0=is_1_0)
        or _check_length(values)
    )


def _check_host(hosts: list[bytes], *, is_1_0: bool) -> HeadError | None:
    if not hosts:
        return None if is_1_0 else bad("The Host header field is missing.")
    if len(hosts) > 1:
        return bad("There is more than one Host header field.")
    return None if is_authority(hosts[0]) else bad("The Host header field is malformed.")


def is_authority(text: bytes) -> bool:
    """``HOST[:PORT]``, RFC 3986 section 3.2; an http URL has a host (RFC 9110 section 4.2.1)."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found[2] or 0) > 65535:
        return False
    return found[1] is None or _is_ipv6(found[1].decode("ascii"))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _check_coding(values: list[bytes] | None, *, is_1_0: bool) -> HeadError | None:
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


def _check_length(values: dict[bytes, list[bytes]]) -> HeadError | None:
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
