"""The head of a request: the only parser of it, strict, before any other sees the request.

What is accepted here is read the same by every parser (RFC 9110 and 9112). One expression decides
what is well-formed; why something else is not is found out afterwards, when time matters no more.

Browsers send the same header section with each request, so that sections are remembered: of a known
one, the request line alone is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from msgspec import Struct

from imgd.core.http_rules import (
    FIELD,
    MAX_LINE,
    TOKEN,
    HeadError,
    bad,
    check_characters,
    check_field_lines,
    check_fields,
    check_limits,
)
from imgd.core.urls import Url, parse_url

# RFC 9110 section 9.3, RFC 5789, and QUERY, a safe method with a body that comes into use (IETF
# HTTP working group). Which of them a resource takes is its own decision.
METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"QUERY")
)
# Sections that are remembered, and how large they are at most: 6 MB of memory at worst.
MAX_REMEMBERED: Final = 512
MAX_REMEMBERED_OCTETS: Final = 2 * 1024
MAX_REMEMBERED_FIELDS: Final = 32

_HTTP_1_1: Final = b"HTTP/1.1"
# A target is what is visible in ASCII, but # (RFC 9112 section 3.2).
_REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb") ([!\"$-~]++) (HTTP/[0-9]\.[0-9])")
# A path, or a picture of the file there: what other queries ask is nothing that can be kept.
_PLAIN_LINE: Final = re.compile(
    rb"(GET|HEAD) (/[!\"$->@-~]*+(?:\?(?:thumb|slice|mosaic|info)[!\"$-~]*+)?) HTTP/1\.1"
)
_SECTION: Final = re.compile(rb"(?:" + FIELD + rb"\r\n)*+\r\n")
_FRAMING: Final = (b"content-length", b"transfer-encoding", b"expect")
_FRAMING_LINES: Final = re.compile(
    rb"\r\n(?:Content-Length|Transfer-Encoding|Expect):[^\r]*+", re.IGNORECASE
)
_HOST_LINE: Final = re.compile(rb"\r\nHost:[^\r]*+", re.IGNORECASE)
_RANGE_LINE: Final = re.compile(rb"^Range:([\t -~\x80-\xff]*+)\r\n", re.IGNORECASE | re.MULTILINE)
_END: Final = b"\r\n\r\n"


class AnnouncedBody(NamedTuple):
    """The body that a head announces.

    ``length`` is in octets, None for a chunked body. ``types`` are the values of ``Content-Type``.
    ``waits``: the client waits for ``100 Continue`` before it sends the body.
    """

    length: int | None
    types: tuple[bytes, ...]
    waits: bool


@dataclass(slots=True, eq=False)
class HeaderFields:
    """A well-formed header section: values by lower-case name, in order, without whitespace around.

    ``is_remembered``: the next request with the same section has this very object. ``base`` are
    the fields without ``Range``, if these are remembered. ``closes``: no other request of HTTP/1.1
    follows.
    """

    values: Mapping[bytes, Sequence[bytes]]
    is_remembered: bool
    base: HeaderFields | None = None
    closes: bool = False


# Made for each request: a Struct takes a third of the time of a dataclass or NamedTuple.
class RequestHead(Struct, frozen=True, gc=False):
    """A head that was accepted.

    ``target`` is in origin-form, or ``*``. ``raw`` is the head as it came, with its empty line.
    ``is_plain``: a GET or HEAD in HTTP/1.1 of a path or a picture. ``url`` is an absolute target as
    it came, whose authority counts and not Host (RFC 9112 section 3.2.2). ``version`` is
    ``HTTP/1.1`` or ``HTTP/1.0``.
    """

    method: bytes
    target: bytes
    fields: HeaderFields
    raw: bytes
    is_plain: bool = False
    url: Url | None = None
    version: bytes = _HTTP_1_1

    @property
    def body(self) -> AnnouncedBody | None:
        """The body that follows, None if there is none (RFC 9112 section 6.3)."""
        values = self.fields.values
        length: int | None = int(values.get(b"content-length", (b"0",))[0])
        if b"transfer-encoding" in values:
            length = None
        elif length == 0:
            return None
        expectations = [value.lower() for value in values.get(b"expect", ())]
        # A 1.0 client knows no interim answers (RFC 9110 section 10.1.1).
        waits = self.version == _HTTP_1_1 and b"100-continue" in expectations
        return AnnouncedBody(length, tuple(values.get(b"content-type", ())), waits)

    def without_framing(self) -> bytes:
        """The head for a parser that is to see no body: in origin-form with the Host that counts,
        and without what frames a body, which ``imgd.core.request_body`` reads.
        """
        line, _, section = self.raw.partition(b"\r\n")
        plain_line = b"%b %b %b" % (self.method, self.target, self.version)
        if line == plain_line and self.fields.values.keys().isdisjoint(_FRAMING):
            return self.raw  # most are
        lines = _FRAMING_LINES.sub(b"", b"\r\n" + section)
        if self.url is not None:
            host = self.url.origin.authority.encode("ascii")
            lines = b"\r\nHost: " + host + _HOST_LINE.sub(b"", lines)
        return plain_line + lines


class HeadReader:
    """Takes the bytes of a connection until a head is whole, or can no longer become one.

    ``rest`` is what came after the last whole head.
    """

    __slots__ = ("_begun", "_held", "rest")

    def __init__(self) -> None:
        self._held: bytes | bytearray = b""
        self._begun = False  # an empty line came, and no other may
        self.rest = b""

    def feed(self, data: bytes) -> RequestHead | HeadError | None:
        """A head or why it is refused, and the reader is as new; None: more is needed."""
        if not (self._held or self._begun):
            # A plain head with a known section, and nothing after it: most are.
            line, _, section = data.partition(b"\r\n")
            fields = _remembered.get(section) or _with_range(section)
            if (
                fields is not None
                and len(line) <= MAX_LINE
                and (match := _PLAIN_LINE.fullmatch(line))
            ):
                self.rest = b""
                method, target = match.groups()
                return RequestHead(method, target, fields, data, True)
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
            return self._parse(bytes(buffer), end + len(_END))
        if error := _check_unfinished(buffer, searched):
            self._reset()
            return error
        self._held = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
        return None

    def _parse(self, data: bytes, end: int) -> RequestHead | HeadError:
        self._reset()
        self.rest = data[end:]
        return parse_head(data[:end])

    def _reset(self) -> None:
        self._held = b""
        self._begun = False


_remembered: dict[bytes, HeaderFields] = {}


def parse_head(head: bytes) -> RequestHead | HeadError:
    """Parse a request line and a header section, up to and including the empty line."""
    line, _, section = head.partition(b"\r\n")
    known = _remembered.get(section) or _with_range(section)
    if known is None or len(line) > MAX_LINE:
        error = check_limits(len(line), len(section), head.count(b"\r\n") - 2)
        if error is not None:
            return error
    match, fields = _REQUEST_LINE.fullmatch(line), known or _parse_fields(section)
    if match is None or fields is None:
        return _why_malformed(head)
    method, target, version = match.groups()
    url = None if target[:1] == b"/" else parse_url(target.decode("ascii"))
    error = _check_line(method, target, version, url)
    is_1_0 = version == b"HTTP/1.0"
    if error is None and (known is None or is_1_0):
        error = check_fields(fields.values, is_1_0=is_1_0)
    if error is not None:
        return error
    if known is None:
        _remember(section, fields)
    # A minor version above 1 is read as 1.1 (RFC 9110 sections 2.5 and 6.2).
    return RequestHead(
        method,
        target if url is None else url.target.encode("ascii"),
        fields,
        head,
        _PLAIN_LINE.fullmatch(line) is not None,
        url,
        version if is_1_0 else _HTTP_1_1,
    )


def _connection_options(values: Iterable[bytes]) -> set[bytes]:
    """What the values of ``Connection`` list, in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip(b" \t").lower() for value in values for option in value.split(b",")}


def is_last(values: Iterable[bytes], *, is_1_0: bool) -> bool:
    """Whether a request with these values of ``Connection`` is the last of its connection (RFC
    9112 section 9.3).

    A client of HTTP/1.0 must ask for more requests; its answers then need a length.
    """
    options = _connection_options(values)
    return b"close" in options or (is_1_0 and b"keep-alive" not in options)


def _parse_fields(section: bytes) -> HeaderFields | None:
    """The fields of a section with its empty line, None if one is malformed."""
    if not _SECTION.fullmatch(section):
        return None
    values: dict[bytes, list[bytes]] = {}
    for line in section.split(b"\r\n")[:-2]:
        name, _, value = line.partition(b":")
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    closes = is_last(values.get(b"connection", ()), is_1_0=False)
    return HeaderFields(values, is_remembered=_may_remember(section, values), closes=closes)


def _may_remember(section: bytes, values: Mapping[bytes, Sequence[bytes]]) -> bool:
    return (
        len(section) <= MAX_REMEMBERED_OCTETS
        and len(values) <= MAX_REMEMBERED_FIELDS
        and b"range" not in values
        and b"host" in values
    )


def _with_range(section: bytes) -> HeaderFields | None:
    """A section that is known but for its one ``Range``: readers of ranges send no two alike."""
    match = _RANGE_LINE.search(section) if len(section) <= MAX_REMEMBERED_OCTETS else None
    if match is None or match.end() == len(section):  # behind the empty line: of another message
        return None
    base = _remembered.get(section[: match.start()] + section[match.end() :])
    if base is None:
        return None
    values = {**base.values, b"range": (match[1].strip(b" \t"),)}
    return HeaderFields(values, is_remembered=False, base=base, closes=base.closes)


def _remember(section: bytes, fields: HeaderFields) -> None:
    if len(fields.values.get(b"range", ())) == 1:
        values = {name: lines for name, lines in fields.values.items() if name != b"range"}
        section = _RANGE_LINE.sub(b"", section)
        fields = HeaderFields(
            values, is_remembered=_may_remember(section, values), closes=fields.closes
        )
    if fields.is_remembered:
        if len(_remembered) >= MAX_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[section] = fields


def _check_unfinished(data: bytes | bytearray, searched: int) -> HeadError | None:
    """Whether bytes of which no empty line is known yet can no longer become a head."""
    line_end = data.find(b"\r\n")
    if line_end < 0:
        error = check_limits(len(data) - data.endswith(b"\r"), 0, 0)
    else:
        error = check_limits(line_end, len(data) - line_end - 2, 0)
    return error or check_characters(data, searched)


def _why_malformed(head: bytes) -> HeadError:
    if error := check_characters(head):
        return error
    line, *fields = head.removesuffix(_END).split(b"\r\n")
    if not _REQUEST_LINE.fullmatch(line):
        if not line.isascii():
            return bad("The URL holds bytes that are not ASCII: they must be percent-encoded.")
        return bad("The request line is malformed: METHOD SP TARGET SP HTTP/1.1 is expected.")
    return check_field_lines(fields) or bad("The head of the request is malformed.")


def _check_line(method: bytes, target: bytes, version: bytes, url: Url | None) -> HeadError | None:
    if not version.startswith(b"HTTP/1."):
        return HeadError(505, "HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method not in METHODS:
        return HeadError(501, "This method is not implemented.")
    return _check_target(method, target, url)


def _check_target(method: bytes, target: bytes, url: Url | None) -> HeadError | None:
    if target[:1] == b"/" or url is not None or (target == b"*" and method == b"OPTIONS"):
        return None
    if target.lower().startswith((b"http://", b"https://")):
        return bad("The URL's host or port is malformed.")
    return bad("The request target must begin with a slash, or be an http or https URL.")
