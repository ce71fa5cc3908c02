"""The manifest: what a load made available, for whoever feeds it to a model. Contract section 5."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from imgd.core import messages
from imgd.core.messages import CollectionInfo

_TAB: Final = "\t"  # between URL and reason in a line; it stands in no URL, and sorts before all
# What no file system takes; and C1 controls and marks that turn text, for paths are printed.
_UNFIT: Final = re.compile(
    r'[/\\\0-\x1f\x7f-\x9f:*?"<>|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+'
)


def moment(utc: str) -> float:
    """A time of a collection, RFC 3339 in UTC, in seconds since the epoch."""
    return datetime.strptime(utc, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Timer:
    """When a collection unloads itself, as server B told it; all None where it never does."""

    timeout_minutes: int | None = None
    auto_unload_at: str | None = None
    time_remaining: str | None = None

    @classmethod
    def of(cls, collection: CollectionInfo, minutes: int | None, now: float) -> Timer:
        """The timer of a collection; ``now`` in seconds since the epoch."""
        if collection.expires_at is None:
            return cls()
        at = moment(collection.expires_at)
        return cls(minutes or None, messages.local(at), messages.remaining(at - now))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest but for its two lists, which may be longer than memory.

    ``links_expire_at`` is RFC 3339, UTC, where the URLs are signed.
    """

    success: bool
    directory: str
    timestamp: str
    message: str
    collection: str
    server: str
    timer: Timer = field(default_factory=Timer)
    links_expire_at: str | None = None

    def chunks(self, count: int, urls: Iterable[str], failed: Iterable[str]) -> Iterator[bytes]:
        """The manifest as JSON, one URL a line.

        ``urls`` are sorted; ``failed`` are lines made by :func:`failure`.
        """
        timer = self.timer
        told = {
            "timeout_minutes": timer.timeout_minutes,
            "auto_unload_at": timer.auto_unload_at,
            "time_remaining": timer.time_remaining,
            "links_expire_at": self.links_expire_at,
        }
        yield b"{\n"
        yield _field("success", self.success)
        yield _field("directory", self.directory)
        yield _field("timestamp", self.timestamp)
        yield _field("message", self.message)
        yield _field("count", count)
        yield from _list("image_urls", map(json.dumps, urls))
        yield b",\n"
        for name, value in told.items():
            if value is not None:
                yield _field(name, value)
        yield _field("collection", self.collection)
        yield _field("server", self.server)
        yield from _list("failed", map(_failed, failed))
        yield b"\n}\n"


def failure(url: str, reason: str) -> str:
    """A URL and why it failed, as one line."""
    return f"{url}{_TAB}{' '.join(reason.split())}"


def file_name(stem: str, now: float | None = None) -> str:
    """``STEM.json``, or ``STEM_YYYYmmdd_HHMMSS.json``; what no file system takes is replaced."""
    stamp = "" if now is None else datetime.fromtimestamp(now).strftime("_%Y%m%d_%H%M%S")
    return f"{_UNFIT.sub('_', stem) or 'images'}{stamp}.json"


def _field(name: str, value: object) -> bytes:
    return f"  {json.dumps(name)}: {json.dumps(value)},\n".encode()


def _list(name: str, items: Iterable[str]) -> Iterator[bytes]:
    yield f"  {json.dumps(name)}: [".encode()
    between = "\n    "
    for item in items:
        yield f"{between}{item}".encode()
        between = ",\n    "
    yield b"]" if between == "\n    " else b"\n  ]"


def _failed(line: str) -> str:
    url, _, reason = line.partition(_TAB)
    return json.dumps({"url": url, "reason": reason})
