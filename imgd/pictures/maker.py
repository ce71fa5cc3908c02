"""Pictures of files: from the cache if they are there, else made by the pool, once for all who ask.

The one door of this room for the web.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from imgd.errors import ImgdError, NotFound, Unavailable, UnsupportedMediaType
from imgd.files import versions
from imgd.files.disk import OpenFile, Root
from imgd.host.blocking import RunBlocking
from imgd.pictures.cache import MAX_IN_MEMORY, PictureCache, PictureFile, in_memory
from imgd.pictures.failures import Failures
from imgd.pictures.picture_source import (
    Companions,
    LocatedFile,
    PictureSource,
    half_missing,
    picture_key,
)
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiters import Waiters
from imgd.pictures.waiting import Picture

MAX_RECENT: Final = 256  # files whose other pictures are kept if the pool makes them unasked
MAX_EXTRAS: Final = 64  # of those, how many may wait for the disk
_COMPANION: Final = View(ViewKind.COMPANION)
# Suffixes of files that may be half of a volume.
_HALVES: Final = (".hdr", ".img", ".mhd", ".raw", ".zraw", ".nhdr")
_MODULES: Final = {"PIL": "pillow", "numpy": "numpy", "isal": "isal", "pydicom": "pydicom"}
PIP_LINE: Final = 'pip install "imgd[pictures]"'
NO_EXTRA: Final = f"Pictures are not made here: {PIP_LINE}"
NO_WORKERS: Final = "Pictures are switched off here (--picture-workers 0)."


class Maker(Protocol):
    """The pool: ``imgd.pictures.pool``. Its Deferreds fail with ImgdError, and may be cancelled."""

    on_extra: Callable[[bytes, Picture], object]

    def make(
        self, source_key: bytes, files: Sequence[OpenFile], view: View, client: str
    ) -> Deferred[Picture]: ...

    def prepare(self) -> None: ...


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
        self._waiters = Waiters()
        self._extras: dict[str, Picture] = {}  # on their way to the disk
        if pool is not None:
            pool.on_extra = self._keep_extra

    @property
    def are_offered(self) -> bool:
        """Whether pictures are made here at all."""
        return self._pool is not None

    async def find(self, root: Root, names: tuple[str, ...], client: str = "") -> PictureSource:
        """The file of these names, and those that hold its other half; the caller closes them.

        NotFound and Unavailable as for any file; 501 if no pictures are made here.
        """
        if self._pool is None:
            raise ImgdError.of(501, self.why_off)
        file = await self._open_located(root, names)
        source = PictureSource.of(self._version, root.path, (file,))
        if not file.name.lower().removesuffix(".gz").endswith(_HALVES):
            return source
        try:
            halves, missing = await self._companions(source, root, names, client)
        except BaseException:
            source.close()
            raise
        return PictureSource.of(self._version, root.path, (file, *halves), missing)

    def _open_located(self, root: Root, names: tuple[str, ...]) -> Deferred[LocatedFile]:
        return self._ask(root.path, LocatedFile.open, root, names, key=(root.path, names))

    async def _companions(
        self, source: PictureSource, root: Root, names: tuple[str, ...], client: str
    ) -> tuple[list[LocatedFile], str | None]:
        """The other files of a volume, and the name of one that is not there."""
        answer = await self.picture(source, _COMPANION, client)
        try:
            companions = Companions.parse(answer.read(0, MAX_IN_MEMORY))
        finally:
            answer.close()
        files: list[LocatedFile] = []
        for alternatives in companions.alternatives():
            file = await self._open_first(root, names[:-1], alternatives)
            if file is None:
                return files, " or ".join(alternatives)
            files.append(file)
        return files, None

    async def _open_first(
        self, root: Root, folder: tuple[str, ...], names: Sequence[str]
    ) -> LocatedFile | None:
        """The first of these that is in the folder."""
        for name in names:
            with contextlib.suppress(NotFound):
                return await self._open_located(root, (*folder, name))
        return None

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
        try:
            self._failures.check(key)
            found = await self._cache.get(key)
            if found is not None:
                return found
            before_work()
            return await self._make(source, view, key, client)
        except ImgdError as error:
            if error.status == UnsupportedMediaType.status and source.missing is not None:
                raise half_missing(source.missing) from error
            raise

    def prepare(self) -> None:
        """A page is sent whose pictures will be asked for: what makes them starts meanwhile."""
        if self._pool is not None:
            self._pool.prepare()

    async def _make(self, source: PictureSource, view: View, key: str, client: str) -> PictureFile:
        assert self._pool is not None
        self._note_recent(source)
        error: ImgdError | None = None
        try:
            made = self._extras.get(key) or await self._waiters.wait(
                key, self._pool.make(source.key, source.files, view, client)
            )
        except ImgdError as reason:
            error = reason
        if not await self._ask(source.directory, source.is_unchanged, key=source):
            raise Unavailable("The file changed while it was read. Try again in a moment.")
        if error is not None:
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
        key = picture_key(source_key, made.view)
        self._waiters.answer(key, made)
        recent = self._recent.get(source_key)
        if recent is None or key in self._extras or len(self._extras) >= MAX_EXTRAS:
            return
        self._extras[key] = made
        directory, places = recent

        def keep(is_same: bool) -> Deferred[None] | None:
            return self._cache.put(key, made.media_type, made.body) if is_same else None

        work = self._ask(directory, _are_in_place, places, key=key)
        work.addCallbacks(keep, lambda _: None)  # a disk that does not answer
        work.addBoth(lambda _: self._extras.pop(key))


def _are_in_place(places: tuple[tuple[str, versions.FileVersion], ...]) -> bool:
    """Whether each of these files is still the one that it was."""
    try:
        return all(versions.version_at(real) == version for real, version in places)
    except OSError:
        return False


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
