"""The index of every collection that was asked for its DICOM, made by workers and kept on disk.

The one door of this room for the web.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from imgd.collections.manager import CollectionManager
from imgd.collections.registry import LoadedCollection
from imgd.collections.scan import CollectionIndex
from imgd.core.name_index import NameIndex
from imgd.core.sizes import counted
from imgd.dicom.index_store import IndexStore, RecordsMissing, StoreLost
from imgd.dicom.indexer import IndexerParts, IndexRun
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexEntry
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.host.blocking import BlockingRunner
from imgd.logs import Logger
from imgd.pictures.instances import Instance
from imgd.pictures.maker import PIP_LINE, code_version, is_installed
from imgd.pictures.pool import PicturePool
from imgd.pictures.views import ViewKind

WAIT: Final = 3.0  # seconds that who asks first waits for an index
# Seconds for which the facts of files are good enough: a file that is written to does not change
# its folder. Longer if asking for them took long, so that it takes a fifth of the time at most.
FACTS_AGE: Final = 5.0
FACTS_SHARE: Final = 4.0
MAX_LOST: Final = 2  # stores that one pass may lose
NO_EXTRA: Final = f"DICOM is not indexed here: {PIP_LINE}"
NO_WORKERS: Final = "DICOM is not indexed here: pictures are switched off (--picture-workers 0)."
_STOPPING: Final = "The server is stopping."
_LOST: Final = "The index of DICOM was lost while it was made. Try again."


class StillIndexing(Exception):
    """The index is being made: ``done`` of ``total`` files are."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(done, total)
        self.done, self.total = done, total


class _Indexing:
    """The index of one load, and the pass that makes it new."""

    def __init__(self, loaded: LoadedCollection) -> None:
        self.loaded = loaded
        self.index = DicomIndex(tag="0")  # as long as it has no files
        self.entries: dict[str, IndexEntry] = {}
        self.names: NameIndex | None = None  # those that it was made of
        self.facts_at = self.facts_took = 0.0  # when facts of files were asked for, in seconds
        self.has_changed = False  # a file is known to be another
        self.number = -1  # it holds for all who asked before this number
        self.work: Deferred[None] | None = None
        self.run: IndexRun | None = None
        self.waiters: list[Deferred[None]] = []
        self.is_late = False  # somebody waited in vain
        self.unheard: ImgdError | None = None  # why a pass failed that nobody waited for

    def is_current(self, listing: CollectionIndex | None, now: float) -> bool:
        if self.names is None or self.has_changed:
            return False
        if listing is not None and not listing.names.has_names_of(self.names):
            return False
        return now - self.facts_at <= max(FACTS_AGE, FACTS_SHARE * self.facts_took)

    def progress(self) -> StillIndexing:
        run = self.run
        return StillIndexing(run.done, run.total) if run else StillIndexing(0, 0)

    def answer(self, result: object) -> None:
        """Tell all who wait how the pass ended."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.callback(result)  # type: ignore[arg-type]  # a Failure becomes an errback


class DicomIndexes:
    """Indexes of collections. Every method is called on the reactor's thread.

    Without ``parts`` there are none, and ``why_off`` says why. ``has_patient_data``: records tell
    of patients.
    """

    log = Logger()

    def __init__(
        self, manager: CollectionManager, parts: IndexerParts | None, why_off: str = ""
    ) -> None:
        self._manager = manager
        self._parts = parts
        self.why_off = why_off
        self.has_patient_data = parts is not None and parts.view is ViewKind.PATIENT_INDEX
        self._by_name: dict[str, _Indexing] = {}
        self._numbers = count()

    def require(self) -> IndexerParts:
        """What makes indexes; 501 as an exception if nothing can be indexed here."""
        if self._parts is None:
            raise ImgdError.of(501, self.why_off)
        return self._parts

    async def index(self, loaded: LoadedCollection) -> DicomIndex:
        """The index as the directory is now; StillIndexing if that takes longer than ``WAIT``
        seconds, 501 if nothing can be indexed here, NotFound if it is unloaded meanwhile.
        """
        parts = self.require()
        number = next(self._numbers)
        listing = await self._manager.index(loaded)
        indexing = self._indexing(loaded)
        while indexing.number < number and not indexing.is_current(listing, parts.clock.seconds()):
            unheard, indexing.unheard = indexing.unheard, None
            if unheard is not None:
                raise unheard
            waiter = self._wait(parts, indexing)
            if indexing.work is None:
                self._begin(parts, indexing, listing, number)
            await waiter
        return indexing.index

    def prepare(self, loaded: LoadedCollection) -> None:
        """Begin to index; nobody waits. 501 as an exception if nothing can be."""
        self.require()

        def unheard(failure: Failure) -> None:  # the log says why, if it is not this
            failure.trap(StillIndexing, ImgdError)

        Deferred.fromCoroutine(self.index(loaded)).addErrback(unheard)

    async def records(
        self, loaded: LoadedCollection, instances: Sequence[IndexedInstance]
    ) -> list[Instance]:
        """Everything that is kept of these instances, from the store, in their order; StillIndexing
        if some of it is not there any more.
        """
        parts = self.require()
        try:
            return await parts.run_store(parts.store.records, instances)
        except RecordsMissing as error:
            for instance in error.instances:
                self.has_changed(loaded, instance)
            missing = len(error.instances)
        except StoreLost:
            self._forget_all()
            missing = len(instances)
        raise StillIndexing(len(instances) - missing, len(instances))

    def has_changed(self, loaded: LoadedCollection, instance: IndexedInstance) -> None:
        """A file is not the one that was indexed: it is indexed again before the next answer."""
        indexing = self._indexing(loaded)
        name = "/".join(instance.names)
        if indexing.entries.get(name) is instance:
            indexing.entries = {n: e for n, e in indexing.entries.items() if n != name}
        indexing.has_changed = True

    @property
    def known_collections(self) -> list[str]:
        """The names of those of which anything is kept in memory."""
        return list(self._by_name)

    def drop_unloaded(self) -> None:
        """Forget what is not loaded any more, and end what is done for it. Called every second."""
        for name, indexing in list(self._by_name.items()):
            now = self._manager.get(name)
            if now is None or now.index_reads is not indexing.loaded.index_reads:
                del self._by_name[name]
                _end(indexing)

    def stop(self) -> Deferred[None]:
        """End all passes and close the store; what was stored stays."""
        indexings, self._by_name = self._by_name, {}
        for indexing in indexings.values():
            _end(indexing)
        parts, self._parts, self.why_off = self._parts, None, _STOPPING
        return succeed(None) if parts is None else parts.run_store(parts.store.close)

    # How

    def _indexing(self, loaded: LoadedCollection) -> _Indexing:
        """What is known of this load, new if there is nothing. Of one that was unloaded, nothing
        is kept for others.
        """
        name = loaded.collection.name
        known = self._by_name.get(name)
        if known is not None and known.loaded.index_reads is loaded.index_reads:
            return known
        present = self._manager.get(name)
        if present is None or present.index_reads is not loaded.index_reads:
            raise NotFound
        if known is not None:
            _end(known)
        made = self._by_name[name] = _Indexing(loaded)
        return made

    def _wait(self, parts: IndexerParts, indexing: _Indexing) -> Deferred[None]:
        """The end of the pass that is under way; StillIndexing."""
        if indexing.is_late:
            raise indexing.progress()

        def leave(waiter: Deferred[None]) -> None:
            if waiter in indexing.waiters:
                indexing.waiters.remove(waiter)

        waiter: Deferred[None] = Deferred(leave)

        def give_up() -> None:
            indexing.is_late = True
            leave(waiter)
            waiter.errback(indexing.progress())

        call = parts.clock.callLater(WAIT, give_up)

        def stop_clock(result: object) -> object:
            if call.active():
                call.cancel()
            return result

        indexing.waiters.append(waiter)
        waiter.addBoth(stop_clock)
        return waiter

    def _begin(
        self,
        parts: IndexerParts,
        indexing: _Indexing,
        listing: CollectionIndex | None,
        number: int,
    ) -> None:
        names = NameIndex() if listing is None else listing.names
        work = indexing.work = Deferred.fromCoroutine(self._pass(parts, indexing, names, number))

        def end(result: object) -> None:
            indexing.work = indexing.run = None
            indexing.is_late = False
            if isinstance(result, Failure):
                self._log_failure(indexing, result)
                if isinstance(result.value, ImgdError) and not indexing.waiters:
                    indexing.unheard = result.value
            indexing.answer(result)

        work.addBoth(end)

    async def _pass(
        self, parts: IndexerParts, indexing: _Indexing, names: NameIndex, number: int
    ) -> None:
        started = parts.clock.seconds()
        indexing.has_changed = False
        try:
            run, index = await self._run(parts, indexing, names)
        except NotFound:  # the directory is away: what was there is known
            indexing.facts_at = started
        else:
            indexing.facts_at, indexing.facts_took = run.surveyed_at, run.survey_took
            if index is not None:
                indexing.index, indexing.entries = index, run.entries
                self._log_index(indexing, parts.clock.seconds() - started)
        indexing.names, indexing.number = names, number

    async def _run(
        self, parts: IndexerParts, indexing: _Indexing, names: NameIndex
    ) -> tuple[IndexRun, DicomIndex | None]:
        for _ in range(MAX_LOST):
            run = indexing.run = IndexRun(parts, indexing.loaded.root, names, indexing.entries)
            try:
                return run, await run.go()
            except StoreLost:
                self._forget_all()
        raise Unavailable(_LOST)

    def _forget_all(self) -> None:
        """The store is empty: every file is asked for again."""
        for indexing in self._by_name.values():
            indexing.entries, indexing.has_changed = {}, True

    def _log_index(self, indexing: _Indexing, seconds: float) -> None:
        index = indexing.index
        left = len(index.unindexed)
        self.log.info(
            "Indexed the DICOM of {name}: {studies}, {series}, {instances} ({seconds:.1f} s){rest}",
            name=indexing.loaded.collection.name,
            studies=counted(len(index.studies), "study", "studies"),
            series=counted(sum(map(len, index.studies.values())), "series", "series"),
            instances=counted(index.count, "instance", "instances"),
            seconds=seconds,
            rest=f"; {counted(left, 'file is', 'files are')} not in it" if left else "",
        )

    def _log_failure(self, indexing: _Indexing, failure: Failure) -> None:
        name = indexing.loaded.collection.name
        if failure.check(ImgdError):
            self.log.warn("The DICOM of {name} is not indexed: {why}", name=name, why=failure.value)
        elif not failure.check(CancelledError):
            self.log.failure("The DICOM of {name} is not indexed", failure, name=name)


def _end(indexing: _Indexing) -> None:
    """End a pass of what was unloaded."""
    indexing.answer(Failure(NotFound()))
    if indexing.work is not None:
        indexing.work.cancel()


def make(
    manager: CollectionManager,
    pool: PicturePool | None,
    state_dir: str,
    runner: BlockingRunner,
    clock: Any,
    *,
    with_patients: bool,
) -> DicomIndexes:
    """Indexes as a daemon makes them; without a pool, none."""
    if pool is None:
        return DicomIndexes(manager, None, NO_WORKERS if is_installed() else NO_EXTRA)
    view = ViewKind.PATIENT_INDEX if with_patients else ViewKind.INDEX
    store = IndexStore(
        os.path.join(state_dir, "dicom.sqlite3"), code_version() + view.encode("ascii")
    )
    parts = IndexerParts(
        pool=pool,
        view=view,
        lanes=pool.status().workers + 1,  # so that no worker waits
        store=store,
        run=runner.run,
        run_store=partial(runner.run_internal, "the index of DICOM"),
        clock=clock,
    )
    # Before anybody asks: it may tell of patients, and from now on nothing is to.
    parts.run_store(store.drop_old).addErrback(lambda failure: failure.trap(Unavailable))
    return DicomIndexes(manager, parts)
