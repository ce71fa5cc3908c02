"""Pictures that were made, on disk: bounded in bytes, the least recently used goes first.

A file holds a picture and a trailer with its type, length and checksum, so that what a crash left
of it is never sent. Nothing is synced to the disk: what is lost is made again.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.core.conditional import FileFacts
from imgd.errors import Unavailable
from imgd.files.disk import OPEN_FLAGS, OpenFile
from imgd.host import atomic_files
from imgd.host.blocking import RunBlocking
from imgd.logs import Logger

MAX_IN_MEMORY: Final = 128 * 1024  # bytes: a larger picture is sent from an open file
MAX_ENTRIES: Final = 200_000  # some 50 MB of memory
_BLOCK: Final = 4096  # bytes that a disk gives a file at once
_CHUNK: Final = 1 << 20
_SUFFIX: Final = ".picture"
_SHARD: Final = re.compile("[0-9a-f]{2}")
_NAME: Final = re.compile(r"[0-9a-f]{62}\.picture")
_TRAILER: Final = struct.Struct(">32sQI4s")  # media type, bytes of the picture, checksum, mark
_MARK: Final = b"imgp"


class PictureFile(OpenFile):
    """A picture to be sent: ``body`` in memory, or an open file to which nobody writes any more."""

    __slots__ = ("_media_type", "body")

    def __init__(self, media_type: str, size: int, body: bytes = b"", fd: int = -1) -> None:
        super().__init__(fd, "", FileFacts(size, 0, 0, 0))
        self._media_type = media_type
        self.body = body

    @property
    def media_type(self) -> str:
        return self._media_type

    def read(self, offset: int, length: int) -> bytes:
        if self.fd < 0:
            return self.body[offset : offset + length]
        return super().read(offset, length)

    def is_unchanged(self) -> bool:
        """It is: it was written before it got its name."""
        return True


def in_memory(media_type: str, body: bytes) -> PictureFile:
    """A picture that is on no disk; Unavailable if there is no memory for it."""
    if len(body) <= MAX_IN_MEMORY:
        return PictureFile(media_type, len(body), body)
    try:
        fd = _memory_file()
        with open(fd, "wb", closefd=False) as file:
            file.write(body)
    except OSError as error:
        raise Unavailable("There is no memory for this picture. Try again.") from error
    return PictureFile(media_type, len(body), fd=fd)


def _memory_file() -> int:
    """Linux has files without a disk; elsewhere one without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("picture")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class PictureCache:
    """Pictures by key (64 hexadecimal digits) in ``folder``; ``limit`` in bytes, 0 for none.

    To be called on the reactor's thread; ``run`` does what waits for the disk. What is there from
    before is read once, when the first picture is asked for. Other files in the folder are left
    alone.
    """

    log = Logger()

    def __init__(
        self, folder: str, limit: int, run: RunBlocking, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._run = run
        self._max_entries = max_entries
        self._costs: OrderedDict[str, int] = OrderedDict()  # by key, the least recently used first
        self.size = 0
        self._writing: set[str] = set()
        self._is_loaded = self._is_loading = False
        self._is_failing = False

    async def get(self, key: str) -> PictureFile | None:
        """The picture of this key if it is there."""
        self._load()
        if self._is_loaded and key not in self._costs:
            return None
        try:
            picture = await self._run(self._folder, read, self._folder, key, key=key)
        except Unavailable:
            self._note_failure(Failure())
            return None
        if picture is None:
            self._forget(key)
        elif key in self._costs:
            self._costs.move_to_end(key)
        return picture

    def put(self, key: str, media_type: str, body: bytes) -> Deferred[None]:
        """Keep a picture if that is possible; never fails. Cancelling it leaves the work alone."""
        done: Deferred[None] = Deferred()
        if key in self._costs or key in self._writing or _cost(len(body)) > self._limit:
            done.callback(None)
            return done
        self._load()
        self._writing.add(key)
        work = self._run(self._folder, write, self._folder, key, media_type, body, key=key)
        work.addCallbacks(self._written, self._not_written, callbackArgs=(key,))
        work.addBoth(self._end, key, done)
        return done

    def _written(self, cost: int, key: str) -> None:
        if self._is_failing:
            self._is_failing = False
            self.log.info("Pictures are kept in {path} again", path=self._folder)
        self._forget(key)
        self._costs[key] = cost
        self.size += cost
        self._evict()

    def _not_written(self, failure: Failure) -> None:
        failure.trap(OSError, Unavailable)
        self._note_failure(failure)

    def _end(self, result: object, key: str, done: Deferred[None]) -> None:
        self._writing.discard(key)
        if isinstance(result, Failure):
            self.log.failure("Could not keep a picture", result)
        done.callback(None)

    def _note_failure(self, failure: Failure) -> None:
        """Log the first of failures, and no other until it works again."""
        if not self._is_failing:
            self._is_failing = True
            reason = getattr(failure.value, "strerror", None) or failure.value
            self.log.warn(
                "Pictures cannot be kept in {path}, and are made each time: {reason}",
                path=self._folder,
                reason=reason,
            )

    def _forget(self, key: str) -> None:
        self.size -= self._costs.pop(key, 0)

    def _evict(self) -> None:
        keys = []
        while self.size > self._limit or len(self._costs) > self._max_entries:
            key, cost = self._costs.popitem(last=False)
            self.size -= cost
            keys.append(key)
        if keys:
            work = self._run(self._folder, delete, self._folder, keys, key=keys[0])
            work.addErrback(self._note_failure)

    def _load(self) -> None:
        if not (self._is_loaded or self._is_loading):
            self._is_loading = True
            work = self._run(self._folder, scan, self._folder, key=self._folder)
            work.addCallbacks(self._add_scanned, self._note_failure)
            work.addBoth(lambda _: setattr(self, "_is_loading", False))

    def _add_scanned(self, scanned: list[tuple[int, str, int]]) -> None:
        """Add what was there before, older than all that was used since."""
        self._is_loaded = True
        for _, key, cost in scanned:
            if key not in self._costs:
                self._costs[key] = cost
                self._costs.move_to_end(key, last=False)
                self.size += cost
        self._evict()


# What waits for the disk


def read(folder: str, key: str) -> PictureFile | None:
    """The picture of a key, which counts as used now; None if it is not there, or not whole."""
    path = _path(folder, key)
    try:
        file = OpenFile(os.open(path, OPEN_FLAGS), "", FileFacts(0, 0, 0, 0))
    except OSError:
        return None
    try:
        picture = _read_open(file, key)
    except OSError:
        picture = None
    finally:
        file.close()
    if picture is None:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return picture


def _read_open(file: OpenFile, key: str) -> PictureFile | None:
    size = os.fstat(file.fd).st_size - _TRAILER.size
    trailer = file.read(max(size, 0), _TRAILER.size)
    if len(trailer) != _TRAILER.size:
        return None
    media_type, length, checksum, mark = _TRAILER.unpack(trailer)
    if (length, mark) != (size, _MARK):
        return None
    is_small = size <= MAX_IN_MEMORY
    pieces, found = [], zlib.crc32(key.encode("ascii"))
    for piece in _pieces(file, size):
        found = zlib.crc32(piece, found)
        pieces += [piece] * is_small
    if found != checksum:
        return None
    _mark_as_used(file)
    kind = media_type.rstrip(b"\0").decode("ascii")
    if is_small:
        return PictureFile(kind, size, b"".join(pieces))
    fd, file.fd = file.fd, -1
    return PictureFile(kind, size, fd=fd)


def _pieces(file: OpenFile, size: int) -> Iterator[bytes]:
    offset = 0
    while offset < size and (piece := file.read(offset, min(_CHUNK, size - offset))):
        offset += len(piece)
        yield piece


def _mark_as_used(file: OpenFile) -> None:
    if os.utime in os.supports_fd:
        with contextlib.suppress(OSError):  # a folder that became read-only
            os.utime(file.fd)


def write(folder: str, key: str, media_type: str, body: bytes) -> int:
    """Put a picture into the folder, which is made if it is not there. Returns the bytes that it
    takes on the disk; OSError.
    """
    checksum = zlib.crc32(body, zlib.crc32(key.encode("ascii")))
    trailer = _TRAILER.pack(media_type.encode("ascii"), len(body), checksum, _MARK)
    path = _path(folder, key)

    def attempt() -> None:
        atomic_files.write_chunks(path, (body, trailer), lasts=False)

    try:
        attempt()
    except FileNotFoundError:
        atomic_files.make_private_folder(folder)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        attempt()
    return _cost(len(body))


def delete(folder: str, keys: list[str]) -> None:
    """Delete pictures that are there."""
    for key in keys:
        with contextlib.suppress(OSError):
            os.unlink(_path(folder, key))


def scan(folder: str) -> list[tuple[int, str, int]]:
    """Time of last use, key, and bytes on the disk of each picture, the last used first. Deletes
    what a killed process left half written.
    """
    pictures = []
    for shard in _names(folder, _SHARD):
        path = os.path.join(folder, shard)
        with contextlib.suppress(OSError):
            atomic_files.remove_leftovers(path)
        for name in _names(path, _NAME):
            with contextlib.suppress(OSError):
                st = os.lstat(os.path.join(path, name))
                cost = _cost(st.st_size - _TRAILER.size)
                pictures.append((st.st_mtime_ns, shard + name.removesuffix(_SUFFIX), cost))
    pictures.sort(reverse=True)
    return pictures


def _names(folder: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if pattern.fullmatch(name)]
    except OSError:
        return []


def _cost(size: int) -> int:
    """Bytes on the disk of a picture of this many."""
    return -(-(size + _TRAILER.size) // _BLOCK) * _BLOCK


def _path(folder: str, key: str) -> str:
    return os.path.join(folder, key[:2], key[2:] + _SUFFIX)
