"""The manifest of a load: the URLs that are good, for whoever feeds them to a model."""

from __future__ import annotations

import json
import mmap
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from imgd.core import messages
from imgd.core.messages import CollectionInfo
from imgd.errors import BadRequest

# What no file system takes; and C1 controls and marks that turn text, for paths are printed.
_UNFIT: Final = re.compile(
    r'[/\\\0-\x1f\x7f-\x9f:*?"<>|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+'
)
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class UrlTable:
    """URLs, each with a reason if it failed; iteration gives both, sorted. SQLite puts temporary
    databases of more than 2 MB on the disk; OSError if there is no room.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE urls (url TEXT, reason TEXT)")
        self.close = self._database.close

    def __len__(self) -> int:
        return int(self._query("SELECT count(*) FROM urls").fetchone()[0])

    def add(self, url: str, reason: str = "") -> None:
        self._query("INSERT INTO urls VALUES (?, ?)", url, " ".join(reason.split()))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._query("SELECT url, reason FROM urls ORDER BY url, reason")

    def make_index(self) -> None:
        """Make ``in`` fast; once all URLs are in, as the index slows ``add`` down."""
        self._query("CREATE INDEX by_url ON urls (url)")

    def __contains__(self, url: object) -> bool:
        return self._query("SELECT 1 FROM urls WHERE url = ?", url).fetchone() is not None

    def _query(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise OSError(f"The temporary file of URLs cannot be used: {error}.") from None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest but for its two lists, which may be longer than memory. ``minutes`` is the timer
    that the collection was given, ``now`` Unix time, and ``links_expire_at`` RFC 3339, UTC.
    """

    success: bool
    message: str
    collection: CollectionInfo
    server: str
    now: float
    minutes: int | None = None
    links_expire_at: str | None = None

    def chunks(self, urls: UrlTable, failed: UrlTable) -> Iterator[bytes]:
        expires_at = self.collection.expires_at
        at = None if expires_at is None else datetime.fromisoformat(expires_at).timestamp()
        fields: dict[str, object] = {
            "success": self.success,
            "directory": self.collection.directory,
            "timestamp": messages.local(self.now),
            "message": self.message,
            "count": len(urls),
            "image_urls": (url for url, _ in urls),
            "timeout_minutes": None if at is None else self.minutes or None,
            "auto_unload_at": None if at is None else messages.local(at),
            "time_remaining": None if at is None else messages.remaining(at - self.now),
            "links_expire_at": self.links_expire_at,
            "collection": self.collection.name,
            "server": self.server,
            "failed": ({"url": url, "reason": reason} for url, reason in failed),
        }
        separator = "{\n"
        for name, value in fields.items():
            if value is not None:
                yield f'{separator}  "{name}": '.encode()
                yield from _json(value)
                separator = ",\n"
        yield b"\n}\n"


class UnfinishedManifest(msgspec.Struct, kw_only=True):
    directory: str
    collection: str
    server: str
    image_urls: msgspec.Raw


def read_manifest(path: str) -> tuple[UnfinishedManifest, UrlTable]:
    done = UrlTable()
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        manifest = msgspec.json.decode(content, type=UnfinishedManifest)
        for match in _STRING.finditer(memoryview(manifest.image_urls)):
            done.add(match[1].decode("utf-8"))
    except OSError as error:
        raise BadRequest(f"Manifest {path} cannot be read: {error.strerror or error}.") from None
    except ValueError:  # msgspec's errors, and mmap's for an empty file
        raise BadRequest(f"{path} is no manifest of imgd load.") from None
    manifest.image_urls = msgspec.Raw()  # and with it the mapped file
    done.make_index()
    return manifest, done


def file_name(stem: str, now: float | None = None) -> str:
    """``STEM.json``, or ``STEM_YYYYmmdd_HHMMSS.json``; what no file system takes is replaced."""
    stamp = "" if now is None else datetime.fromtimestamp(now).strftime("_%Y%m%d_%H%M%S")
    return f"{_UNFIT.sub('_', stem) or 'images'}{stamp}.json"


def _json(value: object) -> Iterator[bytes]:
    if not isinstance(value, Iterator):
        yield json.dumps(value).encode()
        return
    separator = "["
    for item in value:
        yield f"{separator}\n    {json.dumps(item)}".encode()
        separator = ","
    yield b"[]" if separator == "[" else b"\n  ]"
