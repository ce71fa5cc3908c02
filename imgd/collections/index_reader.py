"""What the directories of loaded collections hold now, read once for all who wait."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from imgd.collections import scan
from imgd.collections.registry import CollectionRegistry, LoadedCollection
from imgd.collections.scan import CollectionIndex
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.host.blocking import RunBlocking
from imgd.host.single_flight import StillRunning, gather
from imgd.host.workers import JobProgress


class IndexReader:
    """Asks the disk about collections, and puts what it reads into the registry."""

    def __init__(
        self, registry: CollectionRegistry, run_blocking: RunBlocking, ask: RunBlocking
    ) -> None:
        self._registry = registry
        self._run = run_blocking
        self._ask = ask

    async def available(
        self, loaded_collections: list[LoadedCollection], in_time: IReactorTime | None = None
    ) -> list[bool]:
        """For each collection, whether its directory is there now: all are asked at once. With
        ``in_time``, one that does not answer in ``single_flight.SOON`` seconds of this clock counts
        as away.
        """
        checks = [self._check_available(loaded, in_time) for loaded in loaded_collections]
        for check in checks:
            check.addErrback(_away)
        return await gather(*checks)

    def _check_available(
        self, loaded: LoadedCollection, in_time: IReactorTime | None
    ) -> Deferred[bool]:
        return loaded.availability_checks.wait(
            lambda: self._ask(loaded.root.path, scan.is_available, loaded.root), in_time
        )

    async def index(
        self, loaded: LoadedCollection, in_time: IReactorTime | None = None
    ) -> CollectionIndex | None:
        """The images of a collection as they are on disk now; the last known, or None, if its
        directory is gone. Always those of the load that was asked for, be it replaced meanwhile.

        Folders are read again only when one of them changed. With ``in_time`` the last known index
        is given if reading fails or takes longer than ``single_flight.SOON``; reading goes on.
        """

        def read() -> Deferred[CollectionIndex | None]:
            return Deferred.fromCoroutine(self._read(loaded))

        try:
            index: CollectionIndex | None = await loaded.index_reads.wait(read, in_time)
        except (StillRunning, Unavailable):
            if in_time is None:
                raise
            return (self._registry.current(loaded) or loaded).index
        return index

    async def _read(self, loaded: LoadedCollection) -> CollectionIndex | None:
        latest = self._registry.current(loaded) or loaded
        path = latest.root.path
        if latest.index is not None and await self._is_current(path, latest.index):
            return latest.index
        try:
            index = await self._run(path, scan.read, latest.root, JobProgress())
        except NotFound:
            return latest.index
        if (present := self._registry.current(loaded)) is not None:
            count = len(index.names)
            counted = replace(present.collection, image_count=count, skipped=index.skipped)
            self._registry.put(replace(present, collection=counted, index=index))
        return index

    def _is_current(self, path: str, index: CollectionIndex) -> Deferred[bool]:
        # A key of its own: of 100,000 folders it takes a second, and whether the directory is there
        # need not wait for it.
        return self._ask(path, index.is_current, key=(path, "is_current"))


def _away(failure: Failure) -> bool:
    """No answer counts as away; a question that was cancelled has none."""
    failure.trap(StillRunning, ImgdError)
    return False
