"""The manifest of a load: the URLs that are good, for whoever feeds them to a model."""

from __future__ import annotations

import heapq
import json
import mmap
import os
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Final, Literal

import msgspec

from imgd.client.errors import ClientError
from imgd.core import messages
from imgd.core.messages import CollectionInfo
from imgd.errors import BadRequest
from imgd.host.atomic_files import write_chunks

# What no file system takes; and C1 controls and marks that turn text, for paths are printed.
_UNFIT: Final = re.compile(
    r'[/\\\0-\x1f\x7f-\x9f:*?"<>|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+'
)
IN_MEMORY: Final = 50_000  # lines of a UrlTable, of some 150 bytes each
Verify = Literal["head", "get", "none"]
_encode: Final = json.JSONEncoder().encode
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class UrlTable:
    """URLs, each with a reason if it failed, given back sorted. Most are on the disk: OSError."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._files: list[IO[str]] = []

    def __len__(self) -> int:
        return len(self._files) * IN_MEMORY + len(self._lines)

    def add(self, url: str, reason: str = "") -> None:
        """Neither holds a line break."""
        self._lines.append(f"{url}\t{reason}\n")
        if len(self._lines) == IN_MEMORY:
            file = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
            self._files.append(file)
            file.writelines(sorted(self._lines))
            self._lines.clear()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for file in self._files:
            file.seek(0)
        for line in heapq.merge(*self._files, sorted(self._lines)):
            url, _, reason = line[:-1].partition("\t")
            yield url, reason

    def close(self) -> None:
        for file in self._files:
            file.close()


class UrlHashes:
    """Which URLs a manifest holds; of a million, one is mistaken in 10^13."""

    def __init__(self, hashes: array[int]) -> None:
        self._hashes = array("q", sorted(hashes))

    def __contains__(self, url: object) -> bool:
        place = bisect_left(self._hashes, hash(url))
        return place < len(self._hashes) and self._hashes[place] == hash(url)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest but for its two lists, which may be longer than memory. ``minutes`` is the timer
    that the collection was given, ``now`` Unix time, ``links_expire_at`` RFC 3339, UTC, and
    ``base_url`` what the URLs begin with, if that was chosen.
    """

    success: bool
    message: str
    collection: CollectionInfo
    server: str
    now: float
    minutes: int | None = None
    links_expire_at: str | None = None
    verify: str = "head"
    base_url: str | None = None

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
            "verify": self.verify,
            "recursive": self.collection.recursive,
            "base_url": self.base_url,
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
    """What a resumed load goes on with; manifests that were written before have not all of it."""

    directory: str
    collection: str
    server: str
    verify: Verify = "head"
    recursive: bool = False
    base_url: str | None = None
    image_urls: msgspec.Raw


def read_manifest(path: str) -> tuple[UnfinishedManifest, UrlHashes]:
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        manifest = msgspec.json.decode(content, type=UnfinishedManifest)
        strings = _STRING.finditer(memoryview(manifest.image_urls))
        hashes = array("q", (hash(str(match[1], "utf-8")) for match in strings))
    except OSError as error:
        raise BadRequest(f"Manifest {path} cannot be read: {error.strerror or error}.") from None
    except ValueError:  # msgspec's errors, and mmap's for an empty file
        raise BadRequest(f"{path} is no manifest of imgd load.") from None
    manifest.image_urls = msgspec.Raw()
    del content, strings  # the mapped file, before the sort takes memory
    return manifest, UrlHashes(hashes)


def write_manifest(path: str, chunks: Iterable[bytes], mode: int) -> None:
    """In one step, in a folder that is made if it is missing; ClientError names the path."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_chunks(path, chunks, mode)
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None


def refuse_unwritable(path: str) -> None:
    """ClientError if the manifest cannot be written, before anything is loaded and checked."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise unwritable(path, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unwritable(path, f"this user may not write in {folder}")


def unwritable(path: str, reason: str) -> ClientError:
    return ClientError(f"the manifest {path} cannot be written: {reason}; --output names another")


def file_name(stem: str, now: float | None = None) -> str:
    """``STEM.json``, or ``STEM_YYYYmmdd_HHMMSS.json``; what no file system takes is replaced."""
    stamp = "" if now is None else datetime.fromtimestamp(now).strftime("_%Y%m%d_%H%M%S")
    return f"{_UNFIT.sub('_', stem) or 'images'}{stamp}.json"


def _json(value: object) -> Iterator[bytes]:
    if not isinstance(value, Iterator):
        yield _encode(value).encode()
        return
    separator = "["
    for item in value:
        yield f"{separator}\n    {_encode(item)}".encode()
        separator = ","
    yield b"[]" if separator == "[" else b"\n  ]"
