"""Validators and preconditions: RFC 9110 sections 8.8 and 13."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final, NamedTuple

_ENTITY_TAG: Final = re.compile(rb'(W/)?("[^"]*")')
NANOSECONDS: Final = 1_000_000_000
# IMF-fixdate, RFC 850 and asctime. The zone is GMT by definition in all three.
_DATE_FORMATS: Final = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)
_YEAR_1: Final = -62_135_596_800  # in seconds; some file systems keep times before it


class FileFacts(NamedTuple):
    """What ``fstat`` says of an opened file: ``size`` in bytes, times in ns since the epoch."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def etag(facts: FileFacts) -> bytes:
    """A strong validator: it changes with the size, the modification time (in ns) and the inode."""
    return b'"%x-%x-%x"' % (facts.inode, facts.size, facts.mtime_ns)


def http_date(seconds: float) -> bytes:
    """Seconds since the epoch as IMF-fixdate, RFC 9110 section 5.6.7."""
    return formatdate(seconds, usegmt=True).encode("ascii")


def last_modified(facts: FileFacts, now: float) -> int:
    """``Last-Modified`` in seconds since the epoch: never after ``now`` (RFC 9110 section 8.8.2.1),
    nor before year 1, as no date can say such a time.
    """
    return max(_YEAR_1, min(facts.mtime_ns // NANOSECONDS, int(now)))


def parse_date(value: bytes) -> int | None:
    """Any of the three date formats of section 5.6.7 as seconds since the epoch, else None.

    Impossible days and lists of dates are no dates (section 13.1.3).
    """
    text = value.strip().decode("latin-1")
    for date_format in _DATE_FORMATS:
        try:
            return int(datetime.strptime(text, date_format).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None


def evaluate(headers: Mapping[bytes, bytes], tag: bytes, modified: int) -> int:
    """The status that the preconditions of a GET or HEAD lead to: 200, 304 or 412.

    They are judged in the order of section 13.2.2. ``headers`` has lower-case names, repeated
    fields joined by commas; ``modified`` is in seconds. A date that cannot be read is ignored.
    """
    if (if_match := headers.get(b"if-match")) is not None:
        if not _matches(if_match, tag, weak=False):
            return 412
    elif _is_modified_since(modified, headers.get(b"if-unmodified-since")):
        return 412
    if (if_none_match := headers.get(b"if-none-match")) is not None:
        return 304 if _matches(if_none_match, tag, weak=True) else 200
    if (if_modified_since := headers.get(b"if-modified-since")) is None:
        return 200
    since = parse_date(if_modified_since)
    return 304 if since is not None and modified <= since else 200


def range_holds(headers: Mapping[bytes, bytes], tag: bytes, modified: int, now: float) -> bool:
    """Whether ``If-Range`` allows the ``Range`` header to apply (section 13.1.5).

    A tag must be strong and equal. A date must equal ``Last-Modified``, which must be old enough to
    be a strong validator (section 8.8.2.2).
    """
    value = headers.get(b"if-range")
    if value is None:
        return True
    value = value.strip()
    if value.startswith((b'"', b"W/")):
        return value == tag
    return parse_date(value) == modified and now - modified >= 1


def _matches(header: bytes, tag: bytes, *, weak: bool) -> bool:
    if header.strip() == b"*":
        return True
    return any(t == tag and (weak or not w) for w, t in _ENTITY_TAG.findall(header))


def _is_modified_since(modified: int, date: bytes | None) -> bool:
    since = None if date is None else parse_date(date)
    return since is not None and modified > since


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds from ``now`` (since the epoch), RFC 9110 section 10.2.3; None if it is unreadable."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    date = parse_date(text.encode("utf-8"))
    return None if date is None else max(0.0, date - now)
