"""The life of collections: loaded, replaced, unloaded, timed out, and there again after a crash.

The catalog in memory decides and the store on disk makes it last. Every change goes through one
lock, store first: what was acknowledged survives, and loads, unloads and timers that race each
other take effect one after the other. A request looks its collection up once, so that it sees the
whole of a change or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from imgd.collections import restore, scan
from imgd.collections.deadline_timer import ClockDrift, DeadlineTimer
from imgd.collections.index_reader import IndexReader
from imgd.collections.policy import DirectoryPolicy
from imgd.collections.registry import CollectionRegistry, LoadedCollection, LoadSpec
from imgd.collections.scan import CollectionIndex
from imgd.collections.store import CatalogStore
from imgd.collections.stored_rows import StoredCollection, StoredTimeout, StoredTimer
from imgd.core.catalog import CURRENT, Collection
from imgd.core.name_index import NameIndex
from imgd.core.skipped_files import describe
from imgd.errors import BadRequest, ImgdError, NotFound
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking, RunOwn
from imgd.host.workers import JobProgress
from imgd.logs import Logger

__all__ = ["CollectionManager", "LoadSpec", "LoadedCollection"]


class CollectionManager:
    """The one that changes what is loaded. Every method is called on the reactor's thread.

    ``clock`` is monotonic; ``wall`` gives seconds since the epoch. ``run_blocking`` runs what reads
    a directory, ``ask`` a quick question about one, ``run_store`` what changes the store.
    ``configured_minutes`` is the default timeout that the daemon was started with.
    """

    log = Logger()

    def __init__(
        self,
        *,
        store: CatalogStore,
        policy: DirectoryPolicy,
        clock: IReactorTime,
        wall: Callable[[], float],
        run_blocking: RunBlocking,
        ask: RunBlocking,
        run_store: RunOwn,
        configured_minutes: int,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._wall = wall
        self._run = run_blocking
        self.ask = ask
        self._run_store = run_store
        self._configured_minutes = configured_minutes
        self.default_minutes = configured_minutes
        self._registry = CollectionRegistry()
        self._reader = IndexReader(self._registry, run_blocking, ask)
        self._changes = DeferredLock()
        self._is_storing = True  # the last change made in the background is on disk
        self._timer = DeadlineTimer(
            clock, self._registry.catalog.next_deadline, self._unload_expired
        )
        self._drift = ClockDrift(clock, wall)

    # What is loaded

    def loaded_collections(self) -> list[LoadedCollection]:
        """Every loaded collection, sorted by name."""
        return list(self._registry)

    def get(self, name: str) -> LoadedCollection | None:
        """The collection of this name as it is now."""
        return self._registry.get(name)

    def find(self, name: str) -> LoadedCollection:
        """The collection of this name, or NotFound."""
        if (loaded := self._registry.get(name)) is None:
            raise NotFound(f"No collection named {name} is loaded.")
        return loaded

    def latest(self, loaded: LoadedCollection) -> LoadedCollection:
        """The same load with its present timer and count, be it still loaded or not."""
        return self._registry.current(loaded) or loaded

    def seconds_left(self, collection: Collection) -> float | None:
        """How long until a collection unloads itself; None for never."""
        if collection.deadline is None:
            return None
        return max(0.0, collection.deadline - self._clock.seconds())

    def expires_at(self, collection: Collection) -> float | None:
        """When a collection unloads itself, in wall seconds as the wall clock stands now."""
        seconds = self.seconds_left(collection)
        return None if seconds is None else self._wall() + seconds

    async def available(
        self, loaded_collections: list[LoadedCollection], in_time: IReactorTime | None = None
    ) -> list[bool]:
        """As ``IndexReader.available``."""
        return await self._reader.available(loaded_collections, in_time)

    async def names(self, loaded: LoadedCollection) -> NameIndex:
        """The images of a collection as they are on disk now; the last known if it is gone."""
        index = await self.index(loaded)
        return NameIndex() if index is None else index.names

    async def index(
        self, loaded: LoadedCollection, in_time: IReactorTime | None = None
    ) -> CollectionIndex | None:
        """As ``IndexReader.index``."""
        return await self._reader.index(loaded, in_time)

    # What changes it

    async def load(self, spec: LoadSpec) -> LoadedCollection:
        """Load a directory; done once it would survive a crash."""
        given = self._policy.absolute(spec.directory)
        directory = await self._run(given, self._policy.check, spec.directory, spec.recursive)
        root = self._policy.root(directory, spec.recursive, spec.all_files)
        try:
            index = await self._run(directory, scan.read, root, JobProgress())
        except NotFound:
            raise BadRequest(f"Directory cannot be read: {spec.directory}.") from None
        async with self._changes:
            loaded = self._loaded(spec, root, index)
            row = StoredCollection.of(loaded.collection, self.expires_at(loaded.collection))
            await self._run_store(self._store.put, row)
            self._registry.put(loaded)
            self._schedule()
        self._log_load(loaded, index)
        return loaded

    def _log_load(self, loaded: LoadedCollection, index: CollectionIndex) -> None:
        collection = loaded.collection
        others = describe(index.skipped)
        self.log.info(
            "Loaded {count} {noun} from {directory} as {name}{rest}",
            count=collection.image_count,
            noun="files" if collection.all_files else "images",
            directory=collection.directory,
            name=collection.name,
            rest=f", and passed over {others}" if others else "",
        )

    def _loaded(self, spec: LoadSpec, root: Root, index: CollectionIndex) -> LoadedCollection:
        collection = Collection(
            name=spec.name,
            directory=root.path,
            recursive=spec.recursive,
            image_count=len(index.names),
            loaded_at=self._wall(),
            timeout_minutes=0,
            deadline=None,
            all_files=spec.all_files,
            skipped=index.skipped,
        )
        minutes = self.default_minutes if spec.minutes is None else spec.minutes
        timed = collection.with_timer(minutes, self._clock.seconds())
        return LoadedCollection(timed, root, index)

    async def unload(self, name: str = CURRENT) -> bool:
        """Unload a collection for good; whether there was one."""
        async with self._changes:
            if name not in self._registry:
                return False
            await self._run_store(self._store.remove, name)
            self._registry.remove(name)
            self._schedule()
        self.log.info("Unloaded {name}", name=name)
        return True

    async def restart_timers(self, minutes: int) -> None:
        """Restart every running timer with this many minutes (0 stops it), and set the default;
        done once both would survive a crash.
        """
        async with self._changes:
            now = self._clock.seconds()
            restarted = self._registry.catalog.restarted(minutes, now)
            timeout = StoredTimeout(minutes, self._configured_minutes)
            await self._run_store(self._store.set_default_timeout, timeout, self._timers(restarted))
            self.default_minutes = minutes
            for collection in restarted:
                if (loaded := self._registry.get(collection.name)) is not None:
                    timed = loaded.collection.with_timer(minutes, now)
                    self._registry.put(replace(loaded, collection=timed))
            self._schedule()
        if minutes:
            self.log.info("Timeout set to {minutes} minutes, timers restarted", minutes=minutes)
        else:
            self.log.info("Timeout disabled, timers stopped")

    def restore(self) -> None:
        """Restore what was loaded when the daemon last ran, each with the time it has left.

        Blocks for the store; called once, before the first request.
        """
        self.default_minutes = restore.default_minutes(self._store, self._configured_minutes)
        now, wall_now = self._clock.seconds(), self._wall()
        for loaded in restore.collections(self._store, self._policy, now, wall_now):
            self._registry.put(loaded)
        self._timer.schedule()
        self._in_background(self._warn_of_missing(self.loaded_collections()))
        if self._registry.catalog.timed():
            # A timer that was cut to its whole length is stored so, or else every restart would
            # begin it anew, until the wall clock has come to where it once stood.
            self._in_background(self._store_deadlines())

    async def close(self) -> None:
        """Let the change under way finish, and close the store."""
        self._timer.stop()
        async with self._changes:
            await self._run_store(self._store.close)

    # How

    async def _warn_of_missing(self, loaded_collections: list[LoadedCollection]) -> None:
        are_available = await self.available(loaded_collections)
        for loaded, is_available in zip(loaded_collections, are_available, strict=True):
            if not is_available:
                self.log.warn(
                    "The directory of {name} is missing: {directory}. It is served when it is back",
                    name=loaded.collection.name,
                    directory=loaded.collection.directory,
                )

    def _timers(self, collections: Iterable[Collection]) -> list[StoredTimer]:
        return [StoredTimer(c.name, self.expires_at(c), c.timeout_minutes) for c in collections]

    def _unload_expired(self) -> None:
        for collection in self._registry.take_expired(self._clock.seconds()):
            self.log.info("Unloaded {name}: its time ran out", name=collection.name)
            self._in_background(self._forget(collection.name))
        self._check_drift()

    def _schedule(self) -> None:
        self._timer.schedule()
        self._check_drift()

    def _check_drift(self) -> None:
        if self._drift.is_noticeable():
            self._in_background(self._store_deadlines())

    async def _store_deadlines(self) -> None:
        """Store the deadlines as the wall clock has them now: it is wall time that is stored."""
        async with self._changes:
            drift = self._drift.now()
            timers = self._timers(self._registry.catalog.timed())
            await self._run_store(self._store.reschedule, timers)
            self._drift.settle(drift)

    async def _forget(self, name: str) -> None:
        """Remove an expired collection from the store, unless its name was loaded again."""
        async with self._changes:
            if name not in self._registry:
                await self._run_store(self._store.remove, name)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addCallbacks(self._stored_again, self._not_stored)

    def _stored_again(self, _: object) -> None:
        self._is_storing = True

    def _not_stored(self, failure: Failure) -> None:
        """Logged once until a change is stored again; what is unexpected is logged each time."""
        if not failure.check(ImgdError):
            self.log.failure("Could not store a change of collections", failure)
        elif self._is_storing:
            self._is_storing = False
            self.log.error("A change of collections is not stored yet: {why}", why=failure.value)
