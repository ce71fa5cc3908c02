"""What the tests of the manager share: clocks, a disk and threads in the test's hands."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.manager import CollectionManager, LoadedCollection, LoadSpec
from imgd.collections.policy import DirectoryPolicy
from imgd.core.catalog import CURRENT
from imgd.errors import Unavailable
from tests.fakes import WALL, MemoryStore, Wall, log_lines, write

MINUTE = 60.0
FULL = Unavailable("The state cannot be stored: the disk is full: free some space and try again.")
LONG_AGO = (1_600_000_000, 1_600_000_000)
T = TypeVar("T")


class Steps:
    """Blocking work done at once, or, while ``held``, a step at a time: the work on its thread
    first, then its result on the reactor's.
    """

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[Callable[[], Deferred[Any]]] = []
        self.done: list[tuple[Deferred[Any], Deferred[Any]]] = []

    def __call__(
        self, directory: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]:
        return self.run_own(f, *args)

    def run_own(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        if not self.held:
            return execute(f, *args)
        result: Deferred[T] = Deferred()

        def work() -> Deferred[Any]:
            self.done.append((execute(f, *args), result))
            return result

        self.waiting.append(work)
        return result

    def work(self, which: int = 0) -> None:
        """Do one piece of work; its result is not known yet."""
        self.waiting.pop(which)()

    def deliver(self, which: int = 0) -> None:
        """Let the result of work that was done be known."""
        outcome, result = self.done.pop(which)
        outcome.chainDeferred(result)

    def step(self) -> None:
        """The next piece of work, and its result."""
        self.work()
        self.deliver()

    def drain(self) -> None:
        """Everything, and what comes of it."""
        while self.waiting or self.done:
            if self.done:
                self.deliver()
            else:
                self.work()


class Setup:
    """A manager with every clock in the test's hands. ``again`` is the daemon's next life."""

    def __init__(
        self,
        folder: str,
        store: MemoryStore | None = None,
        offset: float = WALL,
        minutes: int = 30,
        **policy: Any,
    ) -> None:
        self.folder = folder
        self.store = store or MemoryStore()
        self.clock = Clock()
        self.wall = Wall(self.clock)
        self.wall.offset = offset
        self.steps = Steps()
        self.manager = CollectionManager(
            store=self.store,
            policy=DirectoryPolicy(
                base=folder, forbidden=(os.path.join(folder, "state"),), **policy
            ),
            clock=self.clock,
            wall=self.wall_now,
            run_blocking=self.steps,
            ask=self.steps,
            run_store=self.steps.run_own,
            configured_minutes=minutes,
        )

    def wall_now(self) -> float:
        return self.wall()

    def again(
        self, down: float = 0.0, wall_set_by: float = 0.0, minutes: int = 30, **policy: Any
    ) -> Setup:
        """Killed, and started again ``down`` seconds later, by a clock that counts from 0 anew."""
        store = MemoryStore()
        store.rows, store.timeout = dict(self.store.rows), self.store.timeout
        store.fail = self.store.fail
        later = Setup(self.folder, store, self.wall() + down + wall_set_by, minutes, **policy)
        later.manager.restore()
        return later


class ManagerCase(SynchronousTestCase):
    """Three directories: ``one`` has 1 image, ``two`` 2, ``three`` 3."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        for number, name in enumerate(("one", "two", "three"), 1):
            for image in range(number):
                write(os.path.join(self.folder, name, f"{name}{image}.png"))
        self.use(Setup(self.folder))
        self.logged = log_lines(self)

    def not_stored(self) -> list[str]:
        """Lines of the log that say that a change is not stored."""
        return [line for line in self.logged if "is not stored yet" in line]

    def use(self, setup: Setup) -> None:
        self.life = setup
        self.manager, self.clock, self.wall = setup.manager, setup.clock, setup.wall
        self.store, self.steps = setup.store, setup.steps

    def restart(self, **how: Any) -> None:
        dead = self.life
        self.use(dead.again(**how))
        dead.steps.drain()  # what it had under way comes to an end, and nothing of it

    def begin(self, work: Coroutine[Any, Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(work)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(self.begin(work))

    def start_load(
        self, directory: str, name: str = CURRENT, **more: Any
    ) -> Deferred[LoadedCollection]:
        return self.begin(self.manager.load(LoadSpec(directory, name, **more)))

    def load(self, directory: str, name: str = CURRENT, **more: Any) -> LoadedCollection:
        return self.successResultOf(self.start_load(directory, name, **more))

    def hold_at_commit(
        self, directory: str, name: str = CURRENT, **more: Any
    ) -> Deferred[LoadedCollection]:
        """A load that has read its directory, and now wants to be stored."""
        self.steps.held = True
        loading = self.start_load(directory, name, **more)
        self.steps.step()  # checked
        self.steps.step()  # read
        return loading

    @property
    def loaded(self) -> dict[str, str]:
        """What is served: the directory's own name, by name."""
        return {
            s.collection.name: os.path.basename(s.root.path)
            for s in self.manager.loaded_collections()
        }

    @property
    def stored(self) -> dict[str, str]:
        return {name: os.path.basename(row.directory) for name, row in self.store.rows.items()}

    def left(self, name: str = CURRENT) -> float | None:
        return self.manager.seconds_left(self.manager.find(name).collection)

    def assert_in_step(self) -> None:
        """What is served is what is stored, timers and all; and one timer is armed at most."""
        for loaded_collection in self.manager.loaded_collections():
            row = self.store.rows[loaded_collection.collection.name]
            self.assertEqual(row.directory, loaded_collection.collection.directory)
            self.assertEqual(row.timeout_minutes, loaded_collection.collection.timeout_minutes)
            expires_at = self.manager.expires_at(loaded_collection.collection)
            if expires_at is None or row.expires_at is None:
                self.assertIs(row.expires_at, expires_at)
            else:
                self.assertAlmostEqual(row.expires_at, expires_at, 3)
        self.assertEqual(self.stored, self.loaded)
        has_timer = any(
            s.collection.deadline is not None for s in self.manager.loaded_collections()
        )
        self.assertEqual(len(self.clock.getDelayedCalls()), int(has_timer))
