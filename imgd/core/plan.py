"""From a request and the facts of a file to the answer: status, headers, and what to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from imgd.core import conditional, media, ranges
from imgd.core.conditional import FileFacts
from imgd.core.ranges import Slice

Header = tuple[bytes, bytes]

# The headers of a request that an answer may depend on.
CONDITIONS: Final = (
    b"if-match",
    b"if-unmodified-since",
    b"if-none-match",
    b"if-modified-since",
    b"if-range",
    b"range",
)
_FIRST: Final = CONDITIONS[:2]  # evaluated before If-None-Match (section 13.2.2)
SANDBOX: Final = b"sandbox; default-src 'none'; style-src 'unsafe-inline'"


class Plan(NamedTuple):
    """An answer decided upon.

    ``parts`` are literal bytes and slices of the file, to be sent in order; their lengths add up to
    ``Content-Length`` where there is one. HEAD has the headers of GET, and its sender drops the
    parts.
    """

    status: int
    headers: tuple[Header, ...]
    parts: tuple[bytes | Slice, ...]


def serialize_headers(headers: Iterable[Header]) -> bytes:
    """Headers as they stand in a message, without the empty line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@dataclass(frozen=True, slots=True)
class Representation:
    """A file as it can be answered with: everything that depends on its name and facts alone.

    Made once for a file and kept while its facts hold; ``plan`` then chooses for each request.
    """

    media_type: bytes
    size: int
    etag: bytes
    modified: int
    headers: tuple[Header, ...]

    @classmethod
    def of(cls, name: str, facts: FileFacts, now: float) -> Representation:
        """The representation of a file; ``now`` in seconds since the epoch bounds Last-Modified."""
        tag, modified = conditional.etag(facts), conditional.last_modified(facts, now)
        headers: list[Header] = [
            (b"ETag", tag),
            (b"Last-Modified", conditional.http_date(modified)),
            (b"Accept-Ranges", b"bytes"),
            # What stands behind a URL can be replaced at any time: ask again, and get a 304.
            (b"Cache-Control", b"no-cache"),
        ]
        if media.is_active(name):
            headers.append((b"Content-Security-Policy", SANDBOX))
        kind = media.media_type(name).encode("ascii")
        return cls(kind, facts.size, tag, modified, tuple(headers))


def plan(rep: Representation, conditions: Mapping[bytes, bytes], now: float) -> Plan:
    """Answer a GET or HEAD. ``conditions`` holds those of ``CONDITIONS`` that the request has."""
    if not conditions:
        return _whole(rep)
    if conditions.get(b"if-none-match") == rep.etag and conditions.keys().isdisjoint(_FIRST):
        return Plan(304, rep.headers, ())  # what most clients ask, and nothing is parsed
    status = conditional.evaluate(conditions, rep.etag, rep.modified)
    if status == 304:
        return Plan(304, rep.headers, ())
    if status == 412:
        return Plan(412, (*rep.headers, (b"Content-Length", b"0")), ())
    wanted = conditions.get(b"range")
    if wanted is None or not conditional.range_holds(conditions, rep.etag, rep.modified, now):
        return _whole(rep)
    slices = ranges.parse(wanted, rep.size)
    if slices is None:
        return _whole(rep)
    if not slices:
        unsatisfied = (b"Content-Range", b"bytes */%d" % rep.size)
        return Plan(416, (*rep.headers, unsatisfied, (b"Content-Length", b"0")), ())
    return _single(rep, slices[0]) if len(slices) == 1 else _multiple(rep, slices)


def _described(rep: Representation, media_type: bytes, length: int, *more: Header) -> list[Header]:
    return [
        (b"Content-Type", media_type),
        (b"Content-Length", b"%d" % length),
        *more,
        *rep.headers,
    ]


def _whole(rep: Representation) -> Plan:
    headers = _described(rep, rep.media_type, rep.size)
    return Plan(200, tuple(headers), (Slice(0, rep.size),))


def _content_range(part: Slice, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (part.offset, part.offset + part.length - 1, size)


def _single(rep: Representation, part: Slice) -> Plan:
    place = (b"Content-Range", _content_range(part, rep.size))
    return Plan(206, tuple(_described(rep, rep.media_type, part.length, place)), (part,))


def _multiple(rep: Representation, slices: tuple[Slice, ...]) -> Plan:
    """multipart/byteranges, section 14.6.

    The boundary comes from the ETag, whose inode and nanoseconds nobody knows before the file is
    written, so that no file can be made to hold its own.
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
    return Plan(206, tuple(_described(rep, kind, length)), tuple(parts))
