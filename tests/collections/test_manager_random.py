"""The life of collections against a model: any order of events, and any order of their steps."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.manager import LoadedCollection, LoadSpec
from imgd.core.catalog import CURRENT
from tests.collections.manager_case import MINUTE, Setup
from tests.fakes import write

DIRECTORIES = ("one", "two", "three")
names = st.sampled_from([CURRENT, "a", "b"])
directories = st.sampled_from(DIRECTORIES)
minutes = st.sampled_from([None, 0, 1, 2, 30])
seconds = st.sampled_from([0.5, 30.0, 59.5, 60.0, 61.0, 600.0, 7200.0])
jumps = st.sampled_from([-1e8, -7200.0, -90.0, -10.0, 10.0, 90.0, 7200.0, 1e8])

Row = tuple[str, int, float | None]  # directory, minutes of the timer, seconds left


class CollectionMachine(RuleBasedStateMachine):
    """A manager and the folder it loads from."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = os.path.realpath(tempfile.mkdtemp())
        for name in DIRECTORIES:
            write(os.path.join(self.folder, name, f"{name}.png"))
        self.life = Setup(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @property
    def served(self) -> dict[str, Row]:
        manager = self.life.manager
        return {
            s.collection.name: (
                os.path.basename(s.root.path),
                s.collection.timeout_minutes,
                manager.seconds_left(s.collection),
            )
            for s in manager.loaded_collections()
        }

    @property
    def stored(self) -> dict[str, Row]:
        wall = self.life.wall()
        return {
            row.name: (
                os.path.basename(row.directory),
                row.timeout_minutes,
                None if row.expires_at is None else max(0.0, row.expires_at - wall),
            )
            for row in self.life.store.collections()
        }

    @invariant()
    def one_timer(self) -> None:
        """One timer is armed if any runs, else none; each collection is of one directory."""
        runs = any(left is not None for _, _, left in self.served.values())
        assert len(self.life.clock.getDelayedCalls()) == int(runs)
        for loaded_collection in self.life.manager.loaded_collections():
            assert loaded_collection.root.path == loaded_collection.collection.directory
            index = [] if loaded_collection.index is None else list(loaded_collection.index.names)
            assert index in ([], [os.path.basename(loaded_collection.root.path) + ".png"])


def alike(one: dict[str, Row], other: dict[str, Row]) -> bool:
    """Whether these are the same but for what adding floats rounds."""
    return one.keys() == other.keys() and all(
        a[:2] == b[:2]
        and (a[2] is None) == (b[2] is None)
        and abs((a[2] or 0.0) - (b[2] or 0.0)) < 0.01
        for a, b in ((one[name], other[name]) for name in one)
    )


class Life(CollectionMachine):
    """One event after the other: what is served and stored is just what the model has."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Row] = {}
        self.default = 30

    def do(self, work: Any) -> None:
        outcome: list[object] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        assert len(outcome) == 1, "not done"

    def age(self, by: float) -> None:
        """Time passes in the model."""
        aged = {n: (d, m, left and left - by) for n, (d, m, left) in self.model.items()}
        self.model = {n: row for n, row in aged.items() if row[2] is None or row[2] > 0}

    @rule(name=names, directory=directories, timeout=minutes)
    def load(self, name: str, directory: str, timeout: int | None) -> None:
        effective = self.default if timeout is None else timeout
        self.model[name] = (directory, effective, effective * MINUTE or None)
        self.do(self.life.manager.load(LoadSpec(directory, name, minutes=timeout)))

    @rule(name=names)
    def unload(self, name: str) -> None:
        self.model.pop(name, None)
        self.do(self.life.manager.unload(name))

    @rule(timeout=st.sampled_from([0, 1, 5]))
    def set_timeout(self, timeout: int) -> None:
        self.default = timeout
        for name, (directory, _, left) in self.model.items():
            if left is not None:
                self.model[name] = (directory, timeout, timeout * MINUTE or None)
        self.do(self.life.manager.restart_timers(timeout))

    @rule(by=seconds)
    def pass_time(self, by: float) -> None:
        self.age(by)
        self.life.clock.advance(by)

    @rule(by=jumps)
    def set_wall_clock(self, by: float) -> None:
        """It takes up to a minute until that is noticed."""
        self.life.wall.offset += by
        self.age(MINUTE)
        self.life.clock.advance(MINUTE)

    @rule(down=seconds, jump=st.just(0.0) | jumps)
    def kill(self, down: float, jump: float) -> None:
        self.age(down + jump)
        self.model = {
            n: (d, m, None if left is None else min(left, m * MINUTE))
            for n, (d, m, left) in self.model.items()
        }
        self.life = self.life.again(down=down, wall_set_by=jump)

    @invariant()
    def as_the_model(self) -> None:
        assert alike(self.served, self.model), (self.served, self.model)
        assert alike(self.stored, self.model), (self.stored, self.model)


class Races(CollectionMachine):
    """Events that overlap, their steps in any order: what was acknowledged is served and stored."""

    def __init__(self) -> None:
        super().__init__()
        self.life.steps.held = True
        self.acknowledged: dict[str, Row] = {}
        self.under_way: list[str] = []  # names that may change
        self.problems: list[object] = []

    def start(self, touched: list[str], work: Any, then: Callable[[Any], None]) -> None:
        life = self.life
        self.under_way += touched

        def over(result: Any) -> None:
            if self.life is life:  # else it was killed before it could answer
                for name in touched:
                    self.under_way.remove(name)
                then(result)

        Deferred.fromCoroutine(work).addCallback(over).addErrback(self.problems.append)

    @rule(name=names, directory=directories, timeout=minutes)
    def load(self, name: str, directory: str, timeout: int | None) -> None:
        def loaded(loaded_collection: LoadedCollection) -> None:
            assert loaded_collection.root.path == os.path.join(self.folder, directory)
            assert self.life.manager.get(name) is loaded_collection
            self.acknowledged[name] = self.served[name]

        self.start(
            [name], self.life.manager.load(LoadSpec(directory, name, minutes=timeout)), loaded
        )

    @rule(name=names)
    def unload(self, name: str) -> None:
        def unloaded(was_there: bool) -> None:
            assert self.life.manager.get(name) is None
            if was_there:
                self.acknowledged.pop(name, None)

        self.start([name], self.life.manager.unload(name), unloaded)

    @rule(timeout=st.sampled_from([0, 1, 5]))
    def set_timeout(self, timeout: int) -> None:
        def restarted(_: None) -> None:
            now = self.served
            assert {n: row[0] for n, row in now.items()} == {
                n: row[0] for n, row in self.acknowledged.items()
            }
            self.acknowledged = now

        self.start([CURRENT, "a", "b"], self.life.manager.restart_timers(timeout), restarted)

    @precondition(lambda self: self.life.steps.waiting)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        self.life.steps.work(data.draw(st.integers(0, len(self.life.steps.waiting) - 1)))

    @precondition(lambda self: self.life.steps.done)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.life.steps.deliver(data.draw(st.integers(0, len(self.life.steps.done) - 1)))

    @rule(by=seconds)
    def pass_time(self, by: float) -> None:
        aged = {n: (d, m, left and left - by) for n, (d, m, left) in self.acknowledged.items()}
        self.acknowledged = {n: r for n, r in aged.items() if r[2] is None or r[2] > 0}
        self.life.clock.advance(by)

    @rule()
    def settle(self) -> None:
        self.life.steps.drain()
        assert not self.under_way
        assert alike(self.stored, self.acknowledged), (self.stored, self.acknowledged)

    @rule()
    def kill(self) -> None:
        """At any step: only what was under way may be the one or the other."""
        dead, self.life = self.life, self.life.again()
        dead.steps.drain()
        now = self.served
        before = {n: row for n, row in self.acknowledged.items() if row[2] is None or row[2] > 0}
        for changing in set(self.under_way):
            now.pop(changing, None)
            before.pop(changing, None)
        assert alike(now, before), (now, before)
        self.acknowledged, self.under_way = self.served, []
        self.life.steps.held = True

    @invariant()
    def acknowledged_is_served(self) -> None:
        assert not self.problems, self.problems
        assert alike(self.served, self.acknowledged), (self.served, self.acknowledged)

    def teardown(self) -> None:
        self.settle()
        super().teardown()


OPTIONS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class RandomTests(SynchronousTestCase):
    """Whatever happens in whatever order."""

    def test_life(self) -> None:
        """Loads, unloads, timeouts, time, clocks that are set, and kills go as in the model."""
        run_state_machine_as_test(Life, settings=OPTIONS)

    def test_races(self) -> None:
        """However their steps mix, what was acknowledged is served, stored, and there again."""
        run_state_machine_as_test(Races, settings=OPTIONS)
