"""The life of collections: loaded, replaced, unloaded, timed out, and there again after a crash.

The catalog in memory decides and the store on disk makes it last. Every change goes through one
lock, store first: what was acknowledged survives, and loads, unloads and timers that race each
other take effect one after the other. A request looks its collection up once, so that it sees the
whole of a change or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall

from imgd.core.catalog import CURRENT, Catalog, Collection, time_left
from imgd.core.names import Names
from imgd.errors import BadRequest, Forbidden, NotFound
from imgd.host import directories
from imgd.host.directories import Index, Policy
from imgd.host.disk import Root
from imgd.host.state import Store, StoredCollection
from imgd.logs import Logger

# How often the wall clock is held against the monotonic one while timers run, in seconds.
DRIFT_CHECK: Final = 60.0
# A wall clock that moved this far against the monotonic one was set by someone, in seconds.
DRIFT: Final = 2.0

RunBlocking = Callable[..., "Deferred[Any]"]


class Clock(Protocol):
    """A monotonic clock, in seconds, that calls back."""

    def seconds(self) -> float:
        """Seconds since some moment that never changes."""

    def callLater(self, delay: float, f: Callable[..., object]) -> IDelayedCall:
        """Call ``f`` on the reactor's thread in ``delay`` seconds."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A collection with what serves it. ``index`` is None until its folders are first read."""

    collection: Collection
    root: Root
    index: Index | None = None
    reading: DeferredLock = field(default_factory=DeferredLock, compare=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What a load asks for: ``minutes`` until it unloads itself (0 never), None for the default."""

    directory: str
    name: str = CURRENT
    recursive: bool = False
    minutes: int | None = None


class Keeper:
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
        self._catalog = Catalog()
        self._shelves: dict[str, Shelf] = {}
        self._changes = DeferredLock()
        self._armed: IDelayedCall | None = None
        self._drift = wall() - clock.seconds()

    # What is there

    def shelves(self) -> list[Shelf]:
        """Every loaded collection, sorted by name."""
        return [self._shelves[collection.name] for collection in self._catalog]

    def get(self, name: str) -> Shelf | None:
        """The collection of this name as it is now."""
        return self._shelves.get(name)

    def find(self, name: str) -> Shelf:
        """The collection of this name, or NotFound."""
        if (shelf := self._shelves.get(name)) is None:
            raise NotFound(f"No collection named {name} is loaded.")
        return shelf

    def seconds_left(self, collection: Collection) -> float | None:
        """How long until a collection unloads itself; None for never."""
        if collection.deadline is None:
            return None
        return max(0.0, collection.deadline - self._clock.seconds())

    def expires_at(self, collection: Collection) -> float | None:
        """When a collection unloads itself, in wall seconds as the wall clock stands now."""
        left = self.seconds_left(collection)
        return None if left is None else self._wall() + left

    async def available(self, shelves: list[Shelf]) -> list[bool]:
        """For each collection, whether its directory is there now."""
        found: list[bool] = await self._run(directories.available, [s.root for s in shelves])
        return found

    async def names(self, shelf: Shelf) -> Names:
        """The images of a collection as they are on disk now; the last known where it is gone.

        Folders are read again only when one of them changed.
        """
        async with shelf.reading:
            latest = self._shelves.get(shelf.collection.name)
            if latest is None or latest.reading is not shelf.reading:
                latest = shelf  # replaced meanwhile: go on with the one that was asked for
            if latest.index is not None and await self._run(latest.index.is_fresh):
                return latest.index.names
            try:
                index: Index = await self._run(directories.read, latest.root)
            except OSError:
                return latest.index.names if latest.index else Names()
            self._note_index(shelf, index)
            return index.names

    def _note_index(self, shelf: Shelf, index: Index) -> None:
        present = self._shelves.get(shelf.collection.name)
        if present is not None and present.reading is shelf.reading:
            counted = replace(present.collection, image_count=len(index.names))
            self._place(replace(present, collection=counted, index=index))

    # What changes it

    async def load(self, order: Order) -> Shelf:
        """Load a directory; done once it would survive a crash."""
        directory: str = await self._run(self._policy.admit, order.directory)
        root = self._policy.root(directory, order.recursive)
        try:
            index: Index = await self._run(directories.read, root)
        except (OSError, NotFound):
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
            shelf = Shelf(loaded.with_timer(minutes, self._clock.seconds()), root, index)
            await self._run(self._store.put, self._stored(shelf.collection))
            self._place(shelf)
            self._arm()
        self.log.info(
            "Loaded {count} images from {directory} as {name}",
            count=len(index.names),
            directory=directory,
            name=order.name,
        )
        return shelf

    async def unload(self, name: str = CURRENT) -> bool:
        """Unload a collection for good; whether there was one."""
        async with self._changes:
            if name not in self._shelves:
                return False
            await self._run(self._store.remove, name)
            self._drop(name)
            self._arm()
        self.log.info("Unloaded {name}", name=name)
        return True

    async def restart_timers(self, minutes: int) -> None:
        """Restart every running timer with this many minutes (0 stops it), and set the default."""
        async with self._changes:
            restarted = self._catalog.restarted(minutes, self._clock.seconds())
            await self._reschedule(restarted)
            self.default_minutes = minutes
            for collection in restarted:
                if (shelf := self._shelves.get(collection.name)) is not None:
                    self._place(replace(shelf, collection=collection))
            self._arm()
        self.log.info("Timers are {minutes} minutes from now on", minutes=minutes or "no")

    def restore(self) -> None:
        """Bring back what was loaded when the daemon last ran, each with the time it has left.

        Blocks for the store; called once, before the first request.
        """
        for stored in self._store.collections():
            if reason := self._reason_to_discard(stored):
                self.log.warn("Did not restore {name}: {why}", name=stored.name, why=reason)
                self._store.remove(stored.name)
            else:
                self._restore_one(stored)
        self._arm()
        self._in_background(self._warn_of_missing(self.shelves()))

    async def close(self) -> None:
        """Let the change under way finish, and close the store."""
        self.disarm()
        async with self._changes:
            await self._run(self._store.close)

    def disarm(self) -> None:
        """Stop the timer."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    # How

    def _time_left(self, stored: StoredCollection) -> float | None:
        if stored.expires_at is None:
            return None
        return time_left(stored.expires_at, self._wall(), stored.timeout_minutes)

    def _reason_to_discard(self, stored: StoredCollection) -> str:
        try:
            self._policy.check_place(stored.directory, stored.directory)
        except Forbidden as error:
            return error.detail
        left = self._time_left(stored)
        is_over = left is not None and left <= 0
        return "its time ran out while the daemon was down" if is_over else ""

    def _restore_one(self, stored: StoredCollection) -> None:
        left = self._time_left(stored)
        collection = Collection(
            name=stored.name,
            directory=stored.directory,
            recursive=stored.recursive,
            image_count=stored.image_count,
            loaded_at=stored.loaded_at,
            timeout_minutes=stored.timeout_minutes,
            deadline=None if left is None else self._clock.seconds() + left,
        )
        self._place(Shelf(collection, self._policy.root(stored.directory, stored.recursive)))
        self.log.info(
            "Restored {name}: {count} images of {directory}",
            name=stored.name,
            count=stored.image_count,
            directory=stored.directory,
        )

    async def _warn_of_missing(self, shelves: list[Shelf]) -> None:
        for shelf, is_there in zip(shelves, await self.available(shelves), strict=True):
            if not is_there:
                self.log.warn(
                    "The directory of {name} is missing: {directory}. It is served when it is back",
                    name=shelf.collection.name,
                    directory=shelf.collection.directory,
                )

    def _place(self, shelf: Shelf) -> None:
        self._catalog.put(shelf.collection)
        self._shelves[shelf.collection.name] = shelf

    def _drop(self, name: str) -> None:
        self._catalog.remove(name)
        self._shelves.pop(name, None)

    def _stored(self, collection: Collection) -> StoredCollection:
        return StoredCollection(
            name=collection.name,
            directory=collection.directory,
            recursive=collection.recursive,
            image_count=collection.image_count,
            loaded_at=collection.loaded_at,
            expires_at=self.expires_at(collection),
            timeout_minutes=collection.timeout_minutes,
        )

    def _reschedule(self, collections: Iterable[Collection]) -> Deferred[Any]:
        rows = [(c.name, self.expires_at(c), c.timeout_minutes) for c in collections]
        return self._run(self._store.reschedule, rows)

    # The one timer

    def _arm(self) -> None:
        self.disarm()
        deadline = self._catalog.next_deadline()
        if deadline is not None:
            left = max(0.0, deadline - self._clock.seconds())
            self._armed = self._clock.callLater(min(left, DRIFT_CHECK), self._tick)

    def _tick(self) -> None:
        self._armed = None
        try:
            for collection in self._catalog.take_expired(self._clock.seconds()):
                self._shelves.pop(collection.name, None)
                self.log.info("Unloaded {name}: its time ran out", name=collection.name)
                self._in_background(self._forget(collection.name))
            self._check_drift()
        except Exception:
            self.log.failure("The timer of collections failed, and goes on")
        finally:
            self._arm()

    def _check_drift(self) -> None:
        """Store the deadlines anew where the wall clock was set: it is wall time that is stored."""
        drift = self._wall() - self._clock.seconds()
        if abs(drift - self._drift) > DRIFT:
            self._drift = drift
            self._in_background(self._store_deadlines())

    async def _store_deadlines(self) -> None:
        async with self._changes:
            await self._reschedule([c for c in self._catalog if c.deadline is not None])

    async def _forget(self, name: str) -> None:
        """Take an expired collection off the store, unless its name was loaded again meanwhile."""
        async with self._changes:
            if name not in self._shelves:
                await self._run(self._store.remove, name)

    def _in_background(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self.log.failure("Could not store a change of collections", failure)
        )
