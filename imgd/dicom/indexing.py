"""The index of one loaded collection, and the passes that make it new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from imgd.collections.registry import LoadedCollection
from imgd.collections.scan import CollectionIndex
from imgd.core.conditional import FileFacts
from imgd.core.name_index import NameIndex
from imgd.core.sizes import counted
from imgd.dicom.index_file import StoreLost
from imgd.dicom.indexer import IndexerParts, IndexRun
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexEntry, NotIndexed
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.logs import Logger

WAIT: Final = 3.0  # seconds that who asks first waits for an index
# Seconds for which the facts of files are good enough: a file that is written to does not change
# its folder. Longer if asking for them took long, so that it takes a fifth of the time at most.
FACTS_AGE: Final = 5.0
FACTS_SHARE: Final = 4.0
RECENT: Final = 1.0  # seconds
MAX_LOST: Final = 2  # stores that one pass may lose
# Of a file that is not the one that was indexed; as long as this is known, so is its name.
_OTHER_VERSION: Final = NotIndexed(FileFacts(-1, -1, -1, -1), "", is_kept=False)
_LOST: Final = "The index of DICOM was lost while it was made. Try again."


class StillIndexing(Exception):
    """The index is being made: ``done`` of ``total`` files are."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(done, total)
        self.done, self.total = done, total


class Indexing:
    """The index of one load. ``number`` is of a question: who asked before or with it gets
    ``index``. ``on_lost`` is called if the store lost what it had.
    """

    log = Logger()

    def __init__(
        self, loaded: LoadedCollection, parts: IndexerParts, on_lost: Callable[[], object]
    ) -> None:
        self.loaded = loaded
        self.index = DicomIndex(tag="0")  # as long as it has no files
        self.number = -1
        self.confirmed_at = -RECENT  # seconds, when it was last known to be as the directory is
        self._parts = parts
        self._on_lost = on_lost
        self._entries: dict[str, IndexEntry] = {}
        self._names: NameIndex | None = None  # those that it was made of
        self._facts_at = self._facts_took = 0.0  # when facts of files were asked for, in seconds
        self._is_outdated = False  # a file is known to be another
        self._outdated: set[str] = set()  # files of which nothing is known any more
        self._work: Deferred[None] | None = None
        self._run: IndexRun | None = None
        self._waiters: list[Deferred[None]] = []
        self._is_late = False  # somebody waited in vain
        self._unheard: ImgdError | None = None  # why a pass failed that nobody waited for

    @property
    def _name(self) -> str:
        return self.loaded.collection.name

    def is_current(self, listing: CollectionIndex | None) -> bool:
        """Whether nothing is known to have changed, these being the files that are there."""
        if self._names is None or self._is_outdated:
            return False
        if listing is not None and not listing.names.has_names_of(self._names):
            return False
        age = self._parts.clock.seconds() - self._facts_at
        return bool(age <= max(FACTS_AGE, FACTS_SHARE * self._facts_took))

    @property
    def is_recent(self) -> bool:
        """Whether it was as the directory is within the last second."""
        age: float = self._parts.clock.seconds() - self.confirmed_at
        return age < RECENT and not self._is_outdated

    def has_changed(self, instance: IndexedInstance) -> None:
        """The file of an instance is another, or nothing is stored of it."""
        name = "/".join(instance.names)
        self._is_outdated = True
        if self._entries.get(name) is instance:
            self._outdated.add(name)

    def forget(self) -> None:
        """Nothing is stored of any file."""
        self._entries, self._is_outdated = {}, True

    def make_new(self, listing: CollectionIndex | None, number: int) -> Deferred[None]:
        """The end of a pass over these files, or of the one that is under way. StillIndexing after
        ``WAIT`` seconds, and at once while somebody has waited that long; why the pass failed.
        """
        unheard, self._unheard = self._unheard, None
        if unheard is not None:
            raise unheard
        if self._is_late:
            raise self._progress()
        waiter = self._waiter(self._parts.clock)
        if self._work is None:
            names = NameIndex() if listing is None else listing.names
            self._work = Deferred.fromCoroutine(self._pass(names, number))
            self._work.addBoth(self._ended)
        return waiter

    def end(self) -> None:
        """It was unloaded: who waits gets NotFound, and the pass ends."""
        self._answer(Failure(NotFound()))
        if self._work is not None:
            self._work.cancel()

    # Those who wait

    def _waiter(self, clock: IReactorTime) -> Deferred[None]:
        waiter: Deferred[None] = Deferred(self._leave)
        self._waiters.append(waiter)
        call = clock.callLater(WAIT, self._give_up, waiter)

        def stop_clock(result: object) -> object:
            if call.active():
                call.cancel()
            return result

        waiter.addBoth(stop_clock)
        return waiter

    def _leave(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _give_up(self, waiter: Deferred[None]) -> None:
        self._is_late = True
        self._leave(waiter)
        waiter.errback(self._progress())

    def _progress(self) -> StillIndexing:
        run = self._run
        return StillIndexing(run.done, run.total) if run else StillIndexing(0, 0)

    def _answer(self, result: object) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(result)  # type: ignore[arg-type]  # a Failure becomes an errback

    # The pass

    def _ended(self, result: object) -> None:
        self._work = self._run = None
        self._is_late = False
        if isinstance(result, Failure):
            self._is_outdated = True
            self._log_failure(result)
            if isinstance(result.value, ImgdError) and not self._waiters:
                self._unheard = result.value
        self._answer(result)

    async def _pass(self, names: NameIndex, number: int) -> None:
        started = self._parts.clock.seconds()
        try:
            run, index = await self._go(names)
        except NotFound:  # the directory is away: what was there is known
            self._facts_at = started
        else:
            self._facts_at, self._facts_took = run.surveyed_at, run.survey_took
            if index is not None:
                self.index, self._entries = index, run.entries
                self._log_index(self._parts.clock.seconds() - started)
        self._names, self.number = names, number

    async def _go(self, names: NameIndex) -> tuple[IndexRun, DicomIndex | None]:
        for _ in range(MAX_LOST):
            outdated, self._outdated, self._is_outdated = self._outdated, set(), False
            known = self._entries
            if outdated:
                known = {**known, **dict.fromkeys(outdated, _OTHER_VERSION)}
            run = self._run = IndexRun(self._parts, self.loaded.root, names, known)
            try:
                return run, await run.go()
            except StoreLost:
                self._on_lost()
            except BaseException:
                self._outdated |= outdated
                raise
        raise Unavailable(_LOST)

    def _log_index(self, seconds: float) -> None:
        index = self.index
        left = len(index.unindexed)
        self.log.info(
            "Indexed the DICOM of {name}: {studies}, {series}, {instances} ({seconds:.1f} s){rest}",
            name=self._name,
            studies=counted(len(index.studies), "study", "studies"),
            series=counted(sum(map(len, index.studies.values())), "series", "series"),
            instances=counted(index.count, "instance", "instances"),
            seconds=seconds,
            rest=f"; {counted(left, 'file is', 'files are')} not in it" if left else "",
        )

    def _log_failure(self, failure: Failure) -> None:
        if failure.check(ImgdError):
            message = "The DICOM of {name} is not indexed: {why}"
            self.log.warn(message, name=self._name, why=failure.value)
        elif not failure.check(CancelledError):
            self.log.failure("The DICOM of {name} is not indexed", failure, name=self._name)
