"""Pictures of files: from the cache if they are there, else made by the pool, once for all who ask.

The one door of this room for the web.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred

from imgd.core import conditional, paths
from imgd.errors import ImgdError, NotFound, Unavailable, UnsupportedMediaType
from imgd.files import disk, real_path, versions
from imgd.files.disk import OpenFile, Root
from imgd.host import os_errors
from imgd.host.blocking import RunBlocking
from imgd.pictures.cache import MAX_IN_MEMORY, PictureCache, PictureFile, in_memory
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture

FAILURE_LIFE: Final = 600.0  # seconds for which no second attempt is made
MAX_FAILURES: Final = 4096
# What another attempt would end in, too.
_LASTING: Final = frozenset((400, 413, 415, 422))
MAX_RECENT: Final = 256  # files whose other pictures are kept if the pool makes them unasked
MAX_EXTRAS: Final = 64  # of those, how many may wait for the disk
_FEW: Final = msgspec.Meta(max_length=4)
_COMPANION: Final = View(ViewKind.COMPANION)
# Suffixes of files that may be half of a volume.
_HALVES: Final = (".hdr", ".img", ".mhd", ".raw", ".zraw", ".nhdr")
_MODULES: Final = {"PIL": "pillow", "numpy": "numpy", "isal": "isal", "pydicom": "pydicom"}
PIP_LINE: Final = 'pip install "imgd[pictures]"'
NO_EXTRA: Final = f"Pictures are not made here: {PIP_LINE}"
NO_WORKERS: Final = "Pictures are switched off here (--picture-workers 0)."

_real_path_of: Final = real_path.choose()


class Maker(Protocol):
    """The pool: ``imgd.pictures.pool``. Its Deferreds fail with ImgdError, and may be cancelled."""

    on_extra: Callable[[bytes, Picture], object]

    def make(
        self, source_key: bytes, files: Sequence[OpenFile], view: View, client: str
    ) -> Deferred[Picture]: ...


class Companions(msgspec.Struct):
    """The worker's answer to ``ViewKind.COMPANION``: names in the same folder."""

    names: Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], _FEW]

    @classmethod
    def parse(cls, body: bytes) -> Companions:
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UnsupportedMediaType(
                "Not a picture that can be shown: its header is broken."
            ) from None


class LocatedFile(OpenFile):
    """A file to make pictures of, where it really is, and its version."""

    __slots__ = ("real", "version")
    real: str
    version: versions.FileVersion

    @classmethod
    def open(cls, root: Root, names: tuple[str, ...]) -> LocatedFile:
        """The file of these names as ``disk.open_file`` gives it, or its errors. May block."""
        opened = disk.open_file(root, names)
        try:
            version = versions.version_of(opened.fd)
            real = _real_path_of(opened.fd, os.path.join(root.path, *names))
        except OSError as error:
            opened.close()
            raise os_errors.to_error(error, NotFound()) from error
        fd, opened.fd = opened.fd, -1
        file = cls(fd, opened.name, opened.facts, opened.is_dicom)
        file.real, file.version = real, version
        return file

    def identity(self) -> bytes:
        """The same for two files if they are the same version of one file."""
        return b"%b\0%b\0" % (os.fsencode(self.real), conditional.etag(self.facts))


@dataclass(frozen=True)
class PictureSource:
    """An open file, and those that hold the other half of its volume. ``key`` is of this version
    of them all, and of the code that makes pictures.
    """

    key: bytes
    directory: str
    files: tuple[LocatedFile, ...]

    @classmethod
    def of(cls, version: bytes, directory: str, files: tuple[LocatedFile, ...]) -> PictureSource:
        identity = b"".join(file.identity() for file in files)
        return cls(hashlib.sha256(version + identity).digest(), directory, files)

    @property
    def file(self) -> LocatedFile:
        """The file that was asked for."""
        return self.files[0]

    def picture_key(self, view: View) -> str:
        """64 hexadecimal digits."""
        return _picture_key(self.key, view)

    def etag(self, view: View) -> bytes:
        """The picture's entity tag, which needs no picture."""
        return b'"%b"' % self.picture_key(view)[:32].encode("ascii")

    def is_unchanged(self) -> bool:
        """Whether nothing was written to the files since they were opened. May block."""
        try:
            return all(file.is_unchanged() for file in self.files)
        except OSError:
            return False

    def close(self) -> None:
        for file in self.files:
            file.close()


def _picture_key(source_key: bytes, view: View) -> str:
    return hashlib.sha256(source_key + view.key()).hexdigest()


class Pictures:
    """Makes pictures by ``pool``, and keeps them in ``cache``.

    Without a pool none are made, and ``why_off`` says why. ``ask`` runs what waits for a disk;
    ``seconds`` is a monotonic clock; ``version`` is of the code that makes pictures.
    """

    def __init__(
        self,
        pool: Maker | None,
        cache: PictureCache,
        ask: RunBlocking,
        seconds: Callable[[], float],
        version: bytes = b"",
        why_off: str = "",
    ) -> None:
        self._pool = pool
        self._cache = cache
        self._ask = ask
        self._version = version
        self.why_off = why_off
        self._failures = Failures(seconds)
        self._recent: OrderedDict[bytes, tuple[str, tuple[tuple[str, Any], ...]]] = OrderedDict()
        self._extras = 0
        if pool is not None:
            pool.on_extra = self._keep_extra

    @property
    def are_offered(self) -> bool:
        """Whether pictures are made here at all."""
        return self._pool is not None

    async def find(self, root: Root, names: tuple[str, ...], client: str = "") -> PictureSource:
        """The file of these names, and those that hold its other half; the caller closes them.

        NotFound and Unavailable as for any file; UnsupportedMediaType if the other half is missing.
        501 if no pictures are made here.
        """
        if self._pool is None:
            raise ImgdError.of(501, self.why_off)
        file = await self._open_located(root, names)
        source = PictureSource.of(self._version, root.path, (file,))
        if not file.name.lower().removesuffix(".gz").endswith(_HALVES):
            return source
        try:
            halves = await self._companions(source, root, names, client)
        except BaseException:
            source.close()
            raise
        return PictureSource.of(self._version, root.path, (file, *halves)) if halves else source

    def _open_located(self, root: Root, names: tuple[str, ...]) -> Deferred[LocatedFile]:
        return self._ask(root.path, LocatedFile.open, root, names, key=(root.path, names))

    async def _companions(
        self, source: PictureSource, root: Root, names: tuple[str, ...], client: str
    ) -> list[LocatedFile]:
        answer = await self.picture(source, _COMPANION, client)
        try:
            companions = Companions.parse(answer.read(0, MAX_IN_MEMORY))
        finally:
            answer.close()
        files: list[LocatedFile] = []
        for name in companions.names:
            try:
                files.append(await self._open_located(root, (*names[:-1], name)))
            except NotFound:
                raise UnsupportedMediaType(
                    "Not a picture that can be shown: its data, "
                    f"{paths.display(name)}, is not here."
                ) from None
        return files

    async def picture(
        self,
        source: PictureSource,
        view: View,
        client: str = "",
        before_work: Callable[[], object] = lambda: None,
    ) -> PictureFile:
        """A picture, which the caller closes; ImgdError with the status of HTTP if there is none.

        ``client`` is who asks, for fairness. ``before_work`` is called if it must be made.
        """
        key = source.picture_key(view)
        self._failures.check(key)
        found = await self._cache.get(key)
        if found is not None:
            return found
        before_work()
        return await self._make(source, view, key, client)

    async def _make(self, source: PictureSource, view: View, key: str, client: str) -> PictureFile:
        assert self._pool is not None
        self._note_recent(source)
        error: ImgdError | None = None
        try:
            made = await self._pool.make(source.key, source.files, view, client)
        except ImgdError as reason:
            error = reason
        if not await self._ask(source.directory, source.is_unchanged, key=source):
            raise Unavailable("The file changed while it was read. Try again in a moment.")
        if error is not None:
            if error.status in _LASTING:
                self._failures.add(key, error)
            raise error
        media_type, body = made.media_type, made.body
        stored = self._cache.put(key, media_type, body)
        if len(body) <= MAX_IN_MEMORY:
            return in_memory(media_type, body)
        await stored
        return await self._cache.get(key) or in_memory(media_type, body)

    # Pictures that nobody asked for

    def _note_recent(self, source: PictureSource) -> None:
        places = tuple((file.real, file.version) for file in source.files)
        self._recent[source.key] = source.directory, places
        self._recent.move_to_end(source.key)
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)

    def _keep_extra(self, source_key: bytes, made: Picture) -> None:
        """Keep a picture that the pool made unasked, if its file is the same until now."""
        recent = self._recent.get(source_key)
        if recent is None or self._extras >= MAX_EXTRAS:
            return
        self._extras += 1
        directory, places = recent
        key = _picture_key(source_key, made.view)

        def keep(is_same: bool) -> Deferred[None] | None:
            return self._cache.put(key, made.media_type, made.body) if is_same else None

        work = self._ask(directory, _are_in_place, places, key=key)
        work.addCallbacks(keep, lambda _: None)  # a disk that does not answer
        work.addBoth(self._end_extra)

    def _end_extra(self, _result: object) -> None:
        self._extras -= 1


def _are_in_place(places: tuple[tuple[str, versions.FileVersion], ...]) -> bool:
    """Whether each of these files is still the one that it was."""
    try:
        return all(versions.version_at(real) == version for real, version in places)
    except OSError:
        return False


class Failures:
    """Why pictures could not be made, for a while: nobody pays for the same failure again."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[str, tuple[float, int, str]] = OrderedDict()

    def check(self, key: str) -> None:
        """Raise the error of this key, if one is remembered."""
        until, status, detail = self._entries.get(key, (0.0, 0, ""))
        if self._seconds() < until:
            raise ImgdError.of(status, detail)
        self._entries.pop(key, None)

    def add(self, key: str, error: ImgdError) -> None:
        """Remember an error, in place of the oldest if there are too many."""
        self._entries[key] = self._seconds() + FAILURE_LIFE, error.status, error.detail
        if len(self._entries) > MAX_FAILURES:
            self._entries.popitem(last=False)


def make(
    pool: Maker | None,
    state_dir: str,
    cache_size: int,
    ask: RunBlocking,
    seconds: Callable[[], float],
) -> Pictures:
    """Pictures as a daemon makes them; ``cache_size`` is in bytes. Without a pool, none."""
    if pool is None:
        return off(NO_WORKERS if is_installed() else NO_EXTRA, ask)
    cache = PictureCache(os.path.join(state_dir, "pictures"), cache_size, ask)
    return Pictures(pool, cache, ask, seconds, code_version())


@cache
def is_installed() -> bool:
    """Whether the packages of the extra are there."""
    return all(map(importlib.util.find_spec, _MODULES))


@cache
def code_version() -> bytes:
    """Another one whenever the same file might give another picture. Reads the worker's code."""
    digest = hashlib.sha256()
    for package in _MODULES.values():
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for path in sorted(Path(__file__).parent.glob("worker/*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def off(why: str, ask: RunBlocking) -> Pictures:
    """No pictures; every request for one is answered with why."""
    return Pictures(None, PictureCache("", 0, ask), ask, lambda: 0.0, why_off=why)
