"""One pass over the DICOM files of a collection: what is not known of them is asked of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from imgd.core.name_index import NameIndex
from imgd.dicom import grouping
from imgd.dicom.index_store import IndexStore
from imgd.dicom.model import DicomIndex, IndexEntry, NotIndexed
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.files import dicom_survey
from imgd.files.dicom_survey import SurveyedFile
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking, RunOwn
from imgd.host.single_flight import gather
from imgd.host.workers import JobProgress
from imgd.pictures import instances
from imgd.pictures.instances import Indexed
from imgd.pictures.maker import Maker
from imgd.pictures.picture_source import LocatedFile
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker_slot import KILLED

CLIENT: Final = "the index of DICOM"  # of the pool: people who ask for pictures have their turns
MAX_RECORD: Final = 16 << 20  # bytes that a worker may tell of one file
TRIES: Final = 5  # of a batch, while the pool has no room
KILLED_TRIES: Final = 2  # of a batch whose worker was killed: perhaps as a file took all memory
PAUSE: Final = 1.0  # seconds between two of them
_NOT_READ: Final = "It cannot be opened: check its permissions."
_TOO_MUCH: Final = "It cannot be indexed: its header is too large or broken."
# Statuses of the pool that depend on the machine at that moment: too late, too little memory.
_PASSING: Final = frozenset({422, 503})
_numbers: Final = count()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexerParts:
    """``pool`` tells of files by ``view``; ``lanes`` batches are under way at once. ``run_store``
    runs what waits for ``store``, one call at a time. ``clock`` is Twisted's.
    """

    pool: Maker
    view: ViewKind
    lanes: int
    store: IndexStore
    run: RunBlocking
    run_store: RunOwn
    clock: Any


class Survey(NamedTuple):
    """DICOM files that are there, in the order of their names, and what is known of some."""

    files: Sequence[SurveyedFile]
    entries: dict[str, IndexEntry]


class IndexRun:
    """One pass. ``done`` of ``total`` files are indexed; ``index`` is the result of ``go``, None if
    nothing is new; ``entries`` has what is known of every file, by name.
    """

    def __init__(
        self, parts: IndexerParts, root: Root, names: NameIndex, known: Mapping[str, IndexEntry]
    ) -> None:
        self._parts, self._root = parts, root
        self._names, self._known = names, known
        self.entries: dict[str, IndexEntry] = {}
        self.done, self.total = 0, len(names)
        self.surveyed_at = self.survey_took = 0.0  # when facts were asked for, in seconds

    async def go(self) -> DicomIndex | None:
        """NotFound if the directory is not there, Unavailable, StoreLost."""
        self.surveyed_at = self._parts.clock.seconds()
        files, self.entries = await self._run(
            survey, self._root, self._names, self._known, JobProgress()
        )
        self.survey_took = self._parts.clock.seconds() - self.surveyed_at
        self.total, self.done = len(files), len(self.entries)
        if self.done == self.total == len(self._known):
            return None
        if self.done < self.total:
            await self._find_stored(files)
            await self._ask(file for file in files if file.name not in self.entries)
        return await self._run(_group, files, self.entries, self._parts.store, JobProgress())

    def _run(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        path = self._root.path
        return self._parts.run(path, f, *args, key=(path, "dicom", next(_numbers)))

    async def _find_stored(self, files: Sequence[SurveyedFile]) -> None:
        store, root = self._parts.store, self._root.path
        stored = await self._parts.run_store(store.find, root, files, JobProgress())
        self.entries = {**stored, **self.entries}
        self.done = len(self.entries)

    async def _ask(self, files: Iterator[SurveyedFile]) -> None:
        """Ask workers of these files, several batches at once."""
        lanes = [Deferred.fromCoroutine(self._lane(files)) for _ in range(self._parts.lanes)]
        try:
            await gather(*lanes)
        finally:
            for lane in lanes:
                lane.cancel()

    async def _lane(self, files: Iterator[SurveyedFile]) -> None:
        while batch := list(islice(files, instances.MAX_BATCH)):
            self.entries.update(await self._batch(batch))
            self.done += len(batch)

    async def _batch(self, batch: Sequence[SurveyedFile]) -> Mapping[str, IndexEntry]:
        """What is known of these files now; of one that is gone, nothing."""
        opened, refused = await self._run(_open, self._root, batch)
        try:
            return {**refused, **await self._tell(opened)} if opened else refused
        finally:
            for _, file in opened:
                file.close()

    async def _tell(
        self, opened: Sequence[tuple[SurveyedFile, LocatedFile]]
    ) -> Mapping[str, IndexEntry]:
        """What a worker tells of open files. If it fails over several, each is asked for alone."""
        files = [file for file, _ in opened]
        try:
            body = await self._make([located for _, located in opened])
            return await self._parts.run_store(_store_told, self._parts.store, files, body)
        except (ImgdError, msgspec.MsgspecError, ValueError) as error:
            if isinstance(error, Unavailable) and error.detail != KILLED:
                raise
            failure = error
        if len(opened) > 1:
            told: dict[str, IndexEntry] = {}
            for each in opened:
                told.update(await self._tell([each]))
            return told
        why = failure.detail if isinstance(failure, ImgdError) else _TOO_MUCH
        return await self._keep_broken(files[0], why, failure)

    async def _keep_broken(
        self, file: SurveyedFile, why: str, failure: Exception
    ) -> Mapping[str, IndexEntry]:
        if getattr(failure, "status", 415) in _PASSING:
            return {file.name: NotIndexed(file.facts, why, is_kept=False)}
        broken = [(file, instances.Broken(why))]
        return await self._parts.run_store(self._parts.store.put, broken)

    async def _make(self, files: Sequence[LocatedFile]) -> bytes:
        """The worker's answer about these files."""
        view, pool = View(self._parts.view), self._parts.pool
        tries = 0
        while True:
            try:
                key = b"the index of DICOM %d" % next(_numbers)
                return (await pool.make(key, files, view, CLIENT)).body
            except Unavailable as error:
                tries += 1
                if tries == (KILLED_TRIES if error.detail == KILLED else TRIES):
                    raise
            await deferLater(self._parts.clock, PAUSE)


def survey(
    root: Root, names: Iterable[str], known: Mapping[str, IndexEntry], progress: JobProgress
) -> Survey:
    """The DICOM files that are there now, and what is known of those that did not change."""
    files = dicom_survey.find(root, names, progress)
    entries = {}
    for file in files:
        progress.step()
        entry = known.get(file.name)
        if entry is not None and _is_of(entry, file):
            entries[file.name] = entry
    return Survey(files, entries)


def _is_of(entry: IndexEntry, file: SurveyedFile) -> bool:
    """Whether an entry is of this version of its file. What may pass is asked again if anything
    about the file changed, such as its permissions.
    """
    if isinstance(entry, NotIndexed) and not entry.is_kept:
        return entry.facts == file.facts
    before, now = entry.facts, file.facts
    return (before.size, before.mtime_ns, before.inode) == (now.size, now.mtime_ns, now.inode)


def _open(
    root: Root, batch: Sequence[SurveyedFile]
) -> tuple[list[tuple[SurveyedFile, LocatedFile]], dict[str, IndexEntry]]:
    """The files that can be opened, each as it is now, and what is known of the others."""
    opened, refused = [], {}
    for file in batch:
        try:
            located = LocatedFile.open(root, tuple(file.name.split("/")))
        except NotFound:
            refused[file.name] = NotIndexed(file.facts, _NOT_READ, is_kept=False)
        except ImgdError as error:
            refused[file.name] = NotIndexed(file.facts, error.detail, is_kept=False)
        else:
            opened.append((SurveyedFile(file.name, located.real, located.facts), located))
    return opened, dict[str, IndexEntry](refused)


def _store_told(
    store: IndexStore, files: Sequence[SurveyedFile], body: bytes
) -> Mapping[str, IndexEntry]:
    """Store what a worker told of files. MsgspecError or ValueError if it is not about them."""
    if len(body) > MAX_RECORD:
        raise ValueError("too large")
    told: list[Indexed] = instances.parse(body)
    return store.put(list(zip(files, told, strict=True)))


def _group(
    files: Sequence[SurveyedFile],
    entries: Mapping[str, IndexEntry],
    store: IndexStore,
    progress: JobProgress,
) -> DicomIndex:
    known = ((file.name, entries[file.name]) for file in files)
    return grouping.group(known, store.version, progress)
