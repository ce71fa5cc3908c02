"""The life of collections: loaded, replaced, unloaded, timed out, and there again after a crash.

The catalog in memory decides and the store on disk makes it last. Every change goes through one
lock, store first: what was acknowledged survives, and loads, unloads and timers that race each
other take effect one after the other. A request looks its collection up once, so that it sees the
whole of a change or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from imgd.collections import scan
from imgd.collections.deadline_timer import Clock, ClockDrift, DeadlineTimer
from imgd.collections.registry import (
    CollectionRegistry,
    LoadedCollection,
    LoadSpec,
    from_store,
    reason_to_discard,
    seconds_left,
    to_store,
)
from imgd.collections.scan import Index, Policy
from imgd.collections.store import Store, StoredCollection
from imgd.core.catalog import CURRENT, Collection
from imgd.core.name_index import NameIndex
from imgd.errors import BadRequest, ImgdError, NotFound, Unavailable
from imgd.host.single_flight import SingleFlight, Start, StillRunning, gather
from imgd.host.workers import JobProgress
from imgd.logs import Logger

__all__ = ["Clock", "CollectionManager", "LoadSpec", "LoadedCollection", "RunBlocking"]

RunBlocking = Callable[..., "Deferred[Any]"]


class CollectionManager:
    """Keeps the collections. Every method is called on the reactor's thread.

    ``wall`` gives seconds since the epoch; ``run_blocking(f, *args)`` runs what may wait for a disk
    on another thread and gives a Deferred of its result.
    """

    log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        policy: Policy,
        clock: Clock,
        wall: Callable[[], float],
        run_blocking: RunBlocking,
        default_minutes: int,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._wall = wall
        self._run = run_blocking
        self.default_minutes = default_minutes
        self._registry = CollectionRegistry()
        self._changes = DeferredLock()
        self._is_storing = True  # the last change made in the background is on disk
        self._timer = DeadlineTimer(
            clock, self._registry.catalog.next_deadline, self._unload_expired
        )
        self._drift = ClockDrift(clock, wall)

    # What is there

    def loaded_collections(self) -> list[LoadedCollection]:
        """Every loaded collection, sorted by name."""
        return list(self._registry)

    def get(self, name: str) -> LoadedCollection | None:
        """The collection of this name as it is now."""
        return self._registry.get(name)

    def find(self, name: str) -> LoadedCollection:
        """The collection of this name, or NotFound."""
        if (loaded_collection := self._registry.get(name)) is None:
            raise NotFound(f"No collection named {name} is loaded.")
        return loaded_collection

    def latest(self, loaded_collection: LoadedCollection) -> LoadedCollection:
        """The same load with the timer and the count it has now, be it loaded or not any more."""
        return self._registry.current(loaded_collection) or loaded_collection

    def seconds_left(self, collection: Collection) -> float | None:
        """How long until a collection unloads itself; None for never."""
        if collection.deadline is None:
            return None
        return max(0.0, collection.deadline - self._clock.seconds())

    def expires_at(self, collection: Collection) -> float | None:
        """When a collection unloads itself, in wall seconds as the wall clock stands now."""
        left = self.seconds_left(collection)
        return None if left is None else self._wall() + left

    async def available(
        self, loaded_collections: list[LoadedCollection], in_time: IReactorTime | None = None
    ) -> list[bool]:
        """For each collection, whether its directory is there now: asked all at once, each on its
        own. ``in_time`` takes what does not say so soon, by this clock, for away.
        """
        asked = [
            _asked(
                loaded_collection.asking,
                partial(self._run, scan.available, [loaded_collection.root]),
                in_time,
            )
            for loaded_collection in loaded_collections
        ]
        for answer in asked:
            answer.addCallbacks(lambda found: bool(found[0]), _away)
        return await gather(*asked)

    async def names(self, loaded_collection: LoadedCollection) -> NameIndex:
        """The images of a collection as they are on disk now; the last known where it is gone.

        Always those of the load that was asked for, be it replaced meanwhile. Folders are read
        again only when one of them changed, once for all who wait.
        """
        index = await self.index(loaded_collection)
        return NameIndex() if index is None else index.names

    async def index(
        self, loaded_collection: LoadedCollection, in_time: IReactorTime | None = None
    ) -> Index | None:
        """The same with what is kept beside the names. With ``in_time`` the last known, None for
        none, where it takes long by this clock or fails; reading goes on.
        """

        def read() -> Deferred[Any]:
            return Deferred.fromCoroutine(self._read(loaded_collection))

        try:
            index: Index | None = await _asked(loaded_collection.reading, read, in_time)
        except (StillRunning, Unavailable):
            if in_time is None:
                raise
            return self.latest(loaded_collection).index
        return index

    async def _read(self, loaded_collection: LoadedCollection) -> Index | None:
        latest = self.latest(loaded_collection)
        if latest.index is not None and await self._run(latest.index.is_fresh):
            return latest.index
        try:
            index: Index = await self._run(scan.read, latest.root, JobProgress())
        except NotFound:
            return latest.index
        if (present := self._registry.current(loaded_collection)) is not None:
            counted = replace(present.collection, image_count=len(index.names))
            self._registry.place(replace(present, collection=counted, index=index))
        return index

    # What changes it

    async def load(self, order: LoadSpec) -> LoadedCollection:
        """Load a directory; done once it would survive a crash."""
        directory: str = await self._run(self._policy.admit, order.directory, order.recursive)
        root = self._policy.root(directory, order.recursive)
        try:
            index: Index = await self._run(scan.read, root, JobProgress())
        except NotFound:
            raise BadRequest(f"Directory cannot be read: {order.directory}.") from None
        async with self._changes:
            minutes = self.default_minutes if order.minutes is None else order.minutes
            loaded = Collection(
                name=order.name,
                directory=directory,
                recursive=order.recursive,
                image_count=len(index.names),
                loaded_at=self._wall(),
                timeout_minutes=0,
                deadline=None,
            )
            loaded_collection = LoadedCollection(
                loaded.with_timer(minutes, self._clock.seconds()), root, index
            )
            row = to_store(
                loaded_collection.collection, self.expires_at(loaded_collection.collection)
            )
            await self._run(self._store.put, row)
            self._registry.place(loaded_collection)
            self._rearm()
        told = {"count": len(index.names), "directory": directory, "name": order.name}
        self.log.info("Loaded {count} images from {directory} as {name}", **told)
        return loaded_collection

    async def unload(self, name: str = CURRENT) -> bool:
        """Unload a collection for good; whether there was one."""
        async with self._changes:
            if name not in self._registry:
                return False
            await self._run(self._store.remove, name)
            self._registry.remove(name)
            self._rearm()
        self.log.info("Unloaded {name}", name=name)
        return True

    async def restart_timers(self, minutes: int) -> None:
        """Restart every running timer with this many minutes (0 stops it), and set the default."""
        async with self._changes:
            now = self._clock.seconds()
            restarted = self._registry.catalog.restarted(minutes, now)
            await self._reschedule(restarted)
            self.default_minutes = minutes
            for collection in restarted:
                if (loaded_collection := self._registry.get(collection.name)) is not None:
                    timed = loaded_collection.collection.with_timer(minutes, now)
                    self._registry.place(replace(loaded_collection, collection=timed))
            self._rearm()
        self.log.info("Timers are {minutes} minutes from now on", minutes=minutes or "no")

    def restore(self) -> None:
        """Bring back what was loaded when the daemon last ran, each with the time it has left.

        Blocks for the store; called once, before the first request.
        """
        for stored in self._store.collections():
            left = seconds_left(stored, self._wall())
            if reason := reason_to_discard(stored, left, self._policy):
                self._discard(stored.name, reason)
            else:
                self._restore(stored, left)
        self._timer.arm()
        self._in_background(self._warn_of_missing(self.loaded_collections()))
        if self._registry.catalog.timed():
            # A timer that was cut to its whole length is stored so, or else every restart would
            # begin it anew, until the wall clock has come to where it once stood.
            self._in_background(self._store_deadlines())

    async def close(self) -> None:
        """Let the change under way finish, and close the store."""
        self._timer.stop()
        async with self._changes:
            await self._run(self._store.close)

    # How

    def _discard(self, name: str, reason: str) -> None:
        self.log.warn("Did not restore {name}: {why}", name=name, why=reason)
        try:
            self._store.remove(name)
        except Unavailable:  # it will be discarded again at the next start
            self.log.failure("Could not store a change of collections")

    def _restore(self, stored: StoredCollection, left: float | None) -> None:
        root = self._policy.root(stored.directory, stored.recursive)
        self._registry.place(
            LoadedCollection(from_store(stored, left, self._clock.seconds()), root)
        )
        told = {"count": stored.image_count, "directory": stored.directory}
        self.log.info("Restored {name}: {count} images of {directory}", name=stored.name, **told)

    async def _warn_of_missing(self, loaded_collections: list[LoadedCollection]) -> None:
        said = "The directory of {name} is missing: {place}. It is served when it is back"
        for loaded_collection, is_there in zip(
            loaded_collections, await self.available(loaded_collections), strict=True
        ):
            if not is_there:
                told = loaded_collection.collection
                self.log.warn(said, name=told.name, place=told.directory)

    def _reschedule(self, collections: Iterable[Collection]) -> Deferred[Any]:
        rows = [(c.name, self.expires_at(c), c.timeout_minutes) for c in collections]
        return self._run(self._store.reschedule, rows)

    def _unload_expired(self) -> None:
        for collection in self._registry.take_expired(self._clock.seconds()):
            self.log.info("Unloaded {name}: its time ran out", name=collection.name)
            self._in_background(self._forget(collection.name))
        self._check_drift()

    def _rearm(self) -> None:
        self._timer.arm()
        self._check_drift()

    def _check_drift(self) -> None:
        if self._drift.is_noticeable():
            self._in_background(self._store_deadlines())

    async def _store_deadlines(self) -> None:
        """Store the deadlines as the wall clock has them now: it is wall time that is stored."""
        async with self._changes:
            drift = self._drift.now()
            await self._reschedule(self._registry.catalog.timed())
            self._drift.settle(drift)

    async def _forget(self, name: str) -> None:
        """Take an expired collection off the store, unless its name was loaded again meanwhile."""
        async with self._changes:
            if name not in self._registry:
                await self._run(self._store.remove, name)

    def _in_background(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addCallbacks(self._stored_again, self._not_stored)

    def _stored_again(self, _: object) -> None:
        self._is_storing = True

    def _not_stored(self, failure: Failure) -> None:
        """Told once, until a change is stored again; what nobody foresaw is told each time."""
        if not failure.check(ImgdError):
            self.log.failure("Could not store a change of collections", failure)
        elif self._is_storing:
            self._is_storing = False
            self.log.error("A change of collections is not stored yet: {why}", why=failure.value)


def _asked(work: SingleFlight, start: Start, in_time: IReactorTime | None) -> Deferred[Any]:
    return work.wait(start) if in_time is None else work.wait_briefly(start, in_time)


def _away(failure: Failure) -> bool:
    """What does not answer counts as away; only a question that was taken back is none."""
    failure.trap(StillRunning, ImgdError)
    return False
