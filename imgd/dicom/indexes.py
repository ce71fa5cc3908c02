"""The index of every collection that was asked for its DICOM, made by workers and kept on disk.

The one door of this room for the web.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from imgd.collections.manager import CollectionManager
from imgd.collections.registry import LoadedCollection
from imgd.dicom.index_file import StoreLost
from imgd.dicom.index_store import IndexStore, RecordsMissing
from imgd.dicom.indexer import IndexerParts
from imgd.dicom.indexing import RECENT, WAIT, Indexing, StillIndexing
from imgd.dicom.model import DicomIndex, IndexedInstance
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.host.blocking import BlockingRunner
from imgd.pictures.instances import Instance
from imgd.pictures.maker import PIP_LINE, code_version, is_installed
from imgd.pictures.pool import PicturePool
from imgd.pictures.views import ViewKind

__all__ = ["RECENT", "WAIT", "DicomIndexes", "StillIndexing", "make"]

NO_EXTRA: Final = f"DICOM is not indexed here: {PIP_LINE}"
NO_WORKERS: Final = "DICOM is not indexed here: pictures are switched off (--picture-workers 0)."


class DicomIndexes:
    """Indexes of collections. Every method is called on the reactor's thread.

    Without ``parts`` there are none, and ``why_off`` says why. ``has_patient_data``: records tell
    of patients.
    """

    def __init__(
        self, manager: CollectionManager, parts: IndexerParts | None, why_off: str = ""
    ) -> None:
        self._manager = manager
        self._parts = parts
        self.why_off = why_off
        self.has_patient_data = parts is not None and parts.view is ViewKind.PATIENT_INDEX
        self._by_name: dict[str, Indexing] = {}
        self._numbers = count()
        self._is_stopped = False

    def require(self) -> IndexerParts:
        """What makes indexes; 501 as an exception if nothing can be indexed here."""
        if self._is_stopped:
            raise Unavailable("The server is stopping.")
        if self._parts is None:
            raise ImgdError.of(501, self.why_off)
        return self._parts

    async def index(self, loaded: LoadedCollection) -> DicomIndex:
        """The index as the directory is now; StillIndexing if that takes longer than
        ``indexing.WAIT`` seconds, 501 if nothing can be indexed here, NotFound if it is unloaded
        meanwhile.
        """
        parts = self.require()
        number, asked_at = next(self._numbers), parts.clock.seconds()
        listing = await self._manager.index(loaded)
        indexing = self._indexing(loaded)
        while indexing.number < number and not indexing.is_current(listing):
            await indexing.make_new(listing, number)
        indexing.confirmed_at = asked_at
        return indexing.index

    def recent(self, loaded: LoadedCollection) -> DicomIndex | None:
        """The index as the directory was within the last second, if that is known: enough for
        answers that look whether each file is still the one that was indexed.
        """
        known = self._by_name.get(loaded.collection.name)
        is_same = known is not None and known.loaded.index_reads is loaded.index_reads
        return known.index if known is not None and is_same and known.is_recent else None

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
        self._indexing(loaded).has_changed(instance)

    @property
    def known_collections(self) -> list[str]:
        """The names of those of which anything is kept in memory."""
        return list(self._by_name)

    def drop_unloaded(self) -> None:
        """Forget what is not loaded any more, and end what is done for it. Called every second."""
        for name, indexing in list(self._by_name.items()):
            if not self._is_loaded(indexing.loaded):
                del self._by_name[name]
                indexing.end()

    def stop(self) -> Deferred[None]:
        """End all passes and close the store; what was stored stays."""
        indexings, self._by_name = self._by_name, {}
        for indexing in indexings.values():
            indexing.end()
        self._is_stopped = True
        parts = self._parts
        return succeed(None) if parts is None else parts.run_store(parts.store.close)

    def _indexing(self, loaded: LoadedCollection) -> Indexing:
        """What is known of this load; NotFound if it was unloaded or replaced."""
        parts = self.require()
        known = self._by_name.get(loaded.collection.name)
        if known is not None and known.loaded.index_reads is loaded.index_reads:
            return known
        if not self._is_loaded(loaded):
            raise NotFound
        if known is not None:
            known.end()
        made = Indexing(loaded, parts, self._forget_all)
        self._by_name[loaded.collection.name] = made
        return made

    def _is_loaded(self, loaded: LoadedCollection) -> bool:
        present = self._manager.get(loaded.collection.name)
        return present is not None and present.index_reads is loaded.index_reads

    def _forget_all(self) -> None:
        """The store is empty: every file is asked for again."""
        for indexing in self._by_name.values():
            indexing.forget()


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
