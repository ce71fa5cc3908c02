"""The answer to a GET or HEAD of a file: status, headers, and what to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from imgd.core import conditional, media, ranges
from imgd.core.conditional import FileFacts
from imgd.core.ranges import Slice

Header = tuple[bytes, bytes]

# The request headers that an answer may depend on.
CONDITIONS: Final = (
    b"if-match",
    b"if-unmodified-since",
    b"if-none-match",
    b"if-modified-since",
    b"if-range",
    b"range",
)
_FIRST_CONDITIONS: Final = CONDITIONS[:2]  # RFC 9110 section 13.2.2
_NO_CACHE: Final[Header] = (b"Cache-Control", b"no-cache")
SANDBOX: Final = b"sandbox; default-src 'none'; style-src 'unsafe-inline'"


class Plan(NamedTuple):
    """An answer. ``parts`` are literal bytes and slices of the file, to be sent in order.

    Their lengths add up to ``Content-Length`` if there is one. HEAD gets the plan of GET: whoever
    sends it drops the parts.
    """

    status: int
    headers: tuple[Header, ...]
    parts: tuple[bytes | Slice, ...]


def serialize_headers(headers: Iterable[Header]) -> bytes:
    """Headers as they stand in a message, without the empty line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@dataclass(frozen=True, slots=True)
class Representation:
    """What of an answer depends on a file's name and facts alone.

    Made once for a file and kept while its facts stay the same; ``plan`` chooses for each request.
    """

    media_type: bytes
    size: int
    etag: bytes
    modified: int
    headers: tuple[Header, ...]

    @classmethod
    def of(
        cls,
        name: str,
        facts: FileFacts,
        now: float,
        max_age: int = 0,
        media_type: str = "",
        tag: bytes = b"",
    ) -> Representation:
        """The representation of a file.

        ``now`` in seconds since the epoch bounds Last-Modified. ``max_age`` is how many seconds a
        client may use it without asking again; 0 for a file that can be replaced at any time: it
        asks each time, and gets a 304. ``media_type`` is by default that of its name, ``tag`` its
        own.
        """
        tag, modified = tag or conditional.etag(facts), conditional.last_modified(facts, now)
        headers: list[Header] = [
            (b"ETag", tag),
            (b"Last-Modified", conditional.http_date(modified)),
            (b"Accept-Ranges", b"bytes"),
            (b"Cache-Control", b"max-age=%d" % max_age) if max_age else _NO_CACHE,
        ]
        if media.is_active(name):
            headers.append((b"Content-Security-Policy", SANDBOX))
        kind = (media_type or media.media_type(name)).encode("ascii")
        return cls(kind, facts.size, tag, modified, tuple(headers))


def plan(rep: Representation, conditions: Mapping[bytes, bytes], now: float) -> Plan:
    """Plan the answer. ``conditions`` holds those of ``CONDITIONS`` that the request has."""
    if not conditions:
        return _whole(rep)
    if conditions.get(b"if-none-match") == rep.etag and conditions.keys().isdisjoint(
        _FIRST_CONDITIONS
    ):
        return Plan(304, rep.headers, ())  # the most frequent condition, answered without parsing
    status = conditional.evaluate(conditions, rep.etag, rep.modified)
    if status == 304:
        return Plan(304, rep.headers, ())
    if status == 412:
        return _refusal(412, rep)
    range_header = conditions.get(b"range")
    if range_header is None or not conditional.range_holds(conditions, rep.etag, rep.modified, now):
        return _whole(rep)
    slices = ranges.parse(range_header, rep.size)
    if slices is None:
        return _whole(rep)
    if not slices:
        return _refusal(416, rep, (b"Content-Range", b"bytes */%d" % rep.size))
    return _single(rep, slices[0]) if len(slices) == 1 else _multiple(rep, slices)


def unchanged(rep: Representation) -> Plan:
    """304 without the name of the content, if it has one (RFC 9110 section 15.4.5)."""
    headers = tuple(header for header in rep.headers if header[0] != b"Content-Disposition")
    return Plan(304, headers, ())


def _refusal(status: int, rep: Representation, *more: Header) -> Plan:
    """No cache may keep this for a while: it would answer with it what another client asks."""
    kept = (_NO_CACHE if name == _NO_CACHE[0] else (name, value) for name, value in rep.headers)
    return Plan(status, (*kept, *more, (b"Content-Length", b"0")), ())


def _with_content(
    rep: Representation, media_type: bytes, length: int, *more: Header
) -> tuple[Header, ...]:
    return (
        (b"Content-Type", media_type),
        (b"Content-Length", b"%d" % length),
        *more,
        *rep.headers,
    )


def _whole(rep: Representation) -> Plan:
    headers = _with_content(rep, rep.media_type, rep.size)
    return Plan(200, headers, (Slice(0, rep.size),))


def _content_range(part: Slice, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (part.offset, part.offset + part.length - 1, size)


def _single(rep: Representation, part: Slice) -> Plan:
    content_range = (b"Content-Range", _content_range(part, rep.size))
    headers = _with_content(rep, rep.media_type, part.length, content_range)
    return Plan(206, headers, (part,))


def _multiple(rep: Representation, slices: tuple[Slice, ...]) -> Plan:
    """multipart/byteranges, section 14.6.

    The boundary is made of the ETag. Nobody knows its inode and nanoseconds before the file is
    written, so that no file can be made to contain its own boundary.
    """
    boundary = b"imgd-" + rep.etag.strip(b'"')
    parts: list[bytes | Slice] = []
    for part in slices:
        head = b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n" % (
            boundary,
            rep.media_type,
            _content_range(part, rep.size),
        )
        parts += [head, part]
    parts.append(b"\r\n--%b--\r\n" % boundary)
    length = sum(p.length if isinstance(p, Slice) else len(p) for p in parts)
    kind = b"multipart/byteranges; boundary=" + boundary
    return Plan(206, _with_content(rep, kind, length), tuple(parts))
