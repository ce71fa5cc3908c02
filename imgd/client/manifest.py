"""The manifest: the URLs that a load made available, for whoever feeds them to a model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imgd.core import messages
from imgd.core.messages import CollectionInfo

_TAB: Final = "\t"  # between URL and reason in a line; it stands in no URL, and sorts before all
# What no file system takes; and C1 controls and marks that turn text, for paths are printed.
_UNFIT: Final = re.compile(
    r'[/\\\0-\x1f\x7f-\x9f:*?"<>|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+'
)


def parse_time(utc: str) -> float:
    """A time of a collection, RFC 3339 in UTC, in seconds since the epoch."""
    return datetime.strptime(utc, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest but for its two lists, which may be longer than memory.

    ``minutes`` are those that the collection was given, if they are known; ``now`` is in seconds
    since the epoch. ``links_expire_at`` is RFC 3339, UTC, if the URLs are signed.
    """

    success: bool
    message: str
    collection: CollectionInfo
    server: str
    now: float
    minutes: int | None = None
    links_expire_at: str | None = None

    def chunks(self, count: int, urls: Iterable[str], failed: Iterable[str]) -> Iterator[bytes]:
        """The manifest as JSON, one URL a line.

        ``urls`` are sorted; ``failed`` are lines made by :func:`failure_line`.
        """
        lists = {"image_urls": map(json.dumps, urls), "failed": map(_failed, failed)}
        before = "{\n"
        for name, value in self._fields(count).items():
            yield f"{before}  {json.dumps(name)}: ".encode()
            yield from _list(lists[name]) if name in lists else [json.dumps(value).encode()]
            before = ",\n"
        yield b"\n}\n"

    def _fields(self, count: int) -> dict[str, object]:
        """Every field in its order, with empty lists; those of times only if they are set."""
        expires_at = self.collection.expires_at
        at = None if expires_at is None else parse_time(expires_at)
        fields = {
            "success": self.success,
            "directory": self.collection.directory,
            "timestamp": messages.local(self.now),
            "message": self.message,
            "count": count,
            "image_urls": [],
            "timeout_minutes": (self.minutes or None) if at else None,
            "auto_unload_at": messages.local(at) if at else None,
            "time_remaining": messages.remaining(at - self.now) if at else None,
            "links_expire_at": self.links_expire_at,
            "collection": self.collection.name,
            "server": self.server,
            "failed": [],
        }
        return {name: value for name, value in fields.items() if value is not None}


def failure_line(url: str, reason: str) -> str:
    """A URL and why it failed, as one line."""
    return f"{url}{_TAB}{' '.join(reason.split())}"


def split_failure(line: str) -> tuple[str, str]:
    url, _, reason = line.partition(_TAB)
    return url, reason


def file_name(stem: str, now: float | None = None) -> str:
    """``STEM.json``, or ``STEM_YYYYmmdd_HHMMSS.json``; what no file system takes is replaced."""
    stamp = "" if now is None else datetime.fromtimestamp(now).strftime("_%Y%m%d_%H%M%S")
    return f"{_UNFIT.sub('_', stem) or 'images'}{stamp}.json"


def _list(items: Iterable[str]) -> Iterator[bytes]:
    before = "["
    for item in items:
        yield f"{before}\n    {item}".encode()
        before = ","
    yield b"[]" if before == "[" else b"\n  ]"


def _failed(line: str) -> str:
    url, reason = split_failure(line)
    return json.dumps({"url": url, "reason": reason})
