"""The life of collections: loads, timers, races, and disks that fail."""

from __future__ import annotations

import os
import shutil

from imgd.collections.manager import LoadSpec
from imgd.core.catalog import CURRENT
from imgd.errors import BadRequest, Forbidden, NotFound, Unavailable
from tests.collections.manager_case import FULL, MINUTE, ManagerCase
from tests.fakes import WALL, write


class LoadTests(ManagerCase):
    """Loading and unloading, one after the other."""

    def test_nothing(self) -> None:
        """At first nothing is loaded, and no timer runs."""
        self.assertEqual(self.manager.loaded_collections(), [])
        self.assertIsNone(self.manager.get(CURRENT))
        with self.assertRaises(NotFound) as caught:
            self.manager.find("x")
        self.assertIn("x", caught.exception.detail)
        self.assertFalse(self.do(self.manager.unload()))
        self.assert_in_step()

    def test_load(self) -> None:
        """A load is served and stored, with its count, its times and its timer."""
        loaded_collection = self.load("two")
        collection = loaded_collection.collection
        self.assertIs(self.manager.get(CURRENT), loaded_collection)
        self.assertEqual((collection.image_count, collection.recursive), (2, False))
        self.assertEqual((collection.loaded_at, collection.timeout_minutes), (WALL, 30))
        self.assertEqual(self.left(), 30 * MINUTE)
        self.assertEqual(self.store.rows[CURRENT].expires_at, WALL + 30 * MINUTE)
        self.assert_in_step()

    def test_names(self) -> None:
        """Collections stand beside each other; a second load of a name takes its place."""
        self.load("one", "b")
        self.load("two", "a", minutes=0)
        self.load("three")
        self.load("three", "b")
        self.assertEqual(
            list(self.loaded.items()), [("a", "two"), ("b", "three"), (CURRENT, "three")]
        )
        self.assert_in_step()
        self.assertTrue(self.do(self.manager.unload("b")))
        self.assertFalse(self.do(self.manager.unload("b")))
        self.assertEqual(self.loaded, {"a": "two", CURRENT: "three"})
        self.assert_in_step()

    def test_refused(self) -> None:
        """A load that is refused changes nothing."""
        self.load("one")
        write(os.path.join(self.folder, "file.png"))
        os.mkdir(os.path.join(self.folder, "state"))
        for directory, kind in [
            ("missing", NotFound),
            ("file.png", BadRequest),
            ("state", Forbidden),
            ("/proc", Forbidden),
            ("a\0b", NotFound),
        ]:
            self.failureResultOf(self.start_load(directory), kind)
        self.assertEqual(self.loaded, {CURRENT: "one"})
        self.assert_in_step()

    def test_vanishes_under_the_load(self) -> None:
        """A directory that goes between being checked and being read is an error that says so."""
        self.steps.held = True
        loading = self.start_load("two")
        self.steps.step()
        shutil.rmtree(os.path.join(self.folder, "two"))
        self.steps.drain()
        error = self.failureResultOf(loading, BadRequest).value
        self.assertEqual(error.detail, "Directory cannot be read: two.")
        self.assert_in_step()

    def test_not_before_it_is_stored(self) -> None:
        """A load is served and acknowledged once it is stored, and not before."""
        loading = self.hold_at_commit("two")
        self.assertEqual((self.loaded, self.stored), ({}, {}))
        self.steps.work()
        self.assertEqual((self.loaded, self.stored), ({}, {CURRENT: "two"}))
        self.assertNoResult(loading)
        self.steps.deliver()
        self.successResultOf(loading)
        self.assert_in_step()


class TimerTests(ManagerCase):
    """Collections that unload themselves."""

    def test_the_right_one(self) -> None:
        """Each goes at its own time, to the moment, and no other with it."""
        self.load("one", "a", minutes=2)
        self.clock.advance(30)
        self.load("two", "b", minutes=1)
        self.load("three", "c", minutes=0)
        self.load("three", "d", minutes=200)
        for seconds, loaded in [
            (59.9, "abcd"),
            (0.2, "acd"),
            (29.8, "acd"),
            (0.2, "cd"),
            (86_400, "c"),
        ]:
            self.clock.advance(seconds)
            self.assertEqual("".join(self.loaded), loaded)
            self.assert_in_step()

    def test_replaced(self) -> None:
        """The timer of a load that was replaced or unloaded is gone with it."""
        self.load("one", minutes=1)
        self.load("two", minutes=3)
        self.clock.advance(2 * MINUTE)
        self.assertEqual(self.loaded, {CURRENT: "two"})
        self.do(self.manager.unload())
        self.load("three", minutes=0)
        self.clock.advance(90 * MINUTE)
        self.assertEqual(self.loaded, {CURRENT: "three"})
        self.assert_in_step()

    def test_restart_timers(self) -> None:
        """Running timers begin anew, stopped ones stay so, and later loads have the default."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=0)
        self.clock.advance(59)
        self.do(self.manager.restart_timers(5))
        self.assertEqual((self.left("a"), self.left("b")), (5 * MINUTE, None))
        self.assertEqual(self.manager.default_minutes, 5)
        self.assert_in_step()
        self.assertEqual(self.load("three").collection.timeout_minutes, 5)
        self.clock.advance(5 * MINUTE - 1)
        self.assertEqual(set(self.loaded), {"a", "b", CURRENT})
        self.clock.advance(1)
        self.assertEqual(set(self.loaded), {"b"})
        self.assert_in_step()

    def test_stop_timers(self) -> None:
        """0 minutes stop every timer; what is stopped is not started by a later number."""
        self.load("one", minutes=1)
        self.do(self.manager.restart_timers(0))
        self.assertIsNone(self.left())
        self.assert_in_step()
        self.do(self.manager.restart_timers(1))
        self.clock.advance(10 * MINUTE)
        self.assertEqual(self.loaded, {CURRENT: "one"})
        self.assertEqual(self.load("two", "b").collection.timeout_minutes, 1)

    def test_wall_clock(self) -> None:
        """A wall clock that is set, by however much, hastens nothing and delays nothing."""
        for jump in (-1e9, -3600.0, -3.0, 3.0, 3600.0, 1e9):
            with self.subTest(jump=jump):
                self.load("one", minutes=2)
                self.wall.offset += jump
                self.assertEqual(self.left(), 2 * MINUTE)
                collection = self.manager.find(CURRENT).collection
                self.assertEqual(self.manager.expires_at(collection), self.wall() + 2 * MINUTE)
                self.clock.advance(MINUTE)
                self.assert_in_step()  # stored anew
                self.clock.advance(59.9)
                self.assertEqual(self.loaded, {CURRENT: "one"})
                self.clock.advance(0.1)
                self.assertEqual(self.loaded, {})
                self.assert_in_step()

    def test_wall_clock_there_and_back(self) -> None:
        """What was stored while the wall clock was wrong is stored anew when it is right again,
        also where no timer ran when it was set, or changes came all the time.
        """
        self.wall.offset += 3600
        self.load("one", "a", minutes=60)
        self.wall.offset -= 3600
        for _ in range(5):
            self.clock.advance(30)
            self.load("two", "b", minutes=0)
            self.do(self.manager.unload("b"))
        self.assert_in_step()

    def test_slow_drift(self) -> None:
        """A wall clock that goes wrong little by little is noticed before it matters."""
        self.load("one", minutes=60)
        for _ in range(50):
            self.wall.offset += 0.5
            self.clock.advance(MINUTE)
            expires_at = self.store.rows[CURRENT].expires_at or 0.0
            self.assertLess(abs(expires_at - self.wall() - (self.left() or 0.0)), 2.5)

    def test_store_fails_after_the_clock_was_set(self) -> None:
        """Deadlines that could not be stored anew are stored when they can be."""
        self.load("one", minutes=60)
        self.wall.offset += 3600
        self.store.fail = FULL
        self.clock.pump([MINUTE] * 3)
        self.assertEqual(len(self.not_stored()), 1, "once, and not at every try")
        self.store.fail = None
        self.clock.advance(MINUTE)
        self.assert_in_step()

    def test_never_stops(self) -> None:
        """Whatever fails when the timer rings, it rings again."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=2)
        good, self.life.wall = self.wall, lambda: 1 / 0  # type: ignore[assignment]
        self.clock.advance(MINUTE)
        self.assertEqual(self.loaded, {"b": "two"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.life.wall = good
        self.clock.advance(MINUTE)
        self.assertEqual(self.loaded, {})
        self.assert_in_step()

    def test_failing_store(self) -> None:
        """What has run out is gone, though the store fails; and after a restart, too."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=2)
        self.store.fail = FULL
        self.clock.advance(MINUTE)
        self.assertEqual((self.loaded, set(self.stored)), ({"b": "two"}, {"a", "b"}))
        self.assertEqual(len(self.not_stored()), 1)
        self.store.fail = None
        self.clock.advance(0.5 * MINUTE)
        self.restart()
        self.assertEqual(self.loaded, {"b": "two"})
        self.assertEqual(self.left("b"), 0.5 * MINUTE)
        self.assert_in_step()

    def test_close(self) -> None:
        """After closing nothing rings, also where a load was under way."""
        loading = self.hold_at_commit("two")
        closing = self.begin(self.manager.close())
        self.assertNoResult(closing)
        self.steps.drain()
        self.successResultOf(loading)
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.stored, {CURRENT: "two"})


class FailureTests(ManagerCase):
    """A store that fails."""

    def test_everything_goes_on(self) -> None:
        """What was loaded is served on, by its own timer, and changes work when the store does."""
        self.load("one", "a", minutes=2)
        self.load("two", "b", minutes=0)
        self.store.fail = FULL
        for attempt in (
            self.manager.load(LoadSpec("three", "a")),
            self.manager.load(LoadSpec("three", "c")),
            self.manager.unload("a"),
            self.manager.restart_timers(90),
        ):
            self.assertIs(self.failureResultOf(self.begin(attempt), Unavailable).value, FULL)
            self.assertEqual(self.loaded, {"a": "one", "b": "two"})
            self.assertEqual((self.left("a"), self.manager.default_minutes), (2 * MINUTE, 30))
        self.store.fail = None
        self.assert_in_step()
        self.clock.advance(2 * MINUTE)
        self.assertEqual(self.loaded, {"b": "two"})
        self.load("three", "a")
        self.assertTrue(self.do(self.manager.unload("b")))
        self.assert_in_step()


class RaceTests(ManagerCase):
    """Changes that meet. Each takes effect as a whole, one after the other."""

    def test_loads_of_one_name(self) -> None:
        """Of two loads of a name the one that is stored last stays, whole."""
        first = self.hold_at_commit("one", minutes=1)
        second = self.start_load("two", minutes=5)
        self.steps.work(1)  # the second is checked
        self.steps.deliver()
        self.steps.work(1)  # and read
        self.steps.deliver()
        self.assertEqual(len(self.steps.waiting), 1)  # it waits for the first to be stored
        self.steps.drain()
        self.assertEqual(self.successResultOf(first).root.path, os.path.join(self.folder, "one"))
        kept = self.successResultOf(second)
        self.assertIs(self.manager.get(CURRENT), kept)
        self.assertEqual((kept.collection.image_count, self.left()), (2, 5 * MINUTE))
        self.assert_in_step()

    def test_slow_and_fast(self) -> None:
        """A load that takes long to read does not hold up another."""
        self.steps.held = True
        slow, fast = self.start_load("one", "slow"), self.start_load("two", "fast")
        for _ in range(3):
            self.steps.work(1 if len(self.steps.waiting) > 1 else 0)
            self.steps.deliver()
        self.successResultOf(fast)
        self.assertNoResult(slow)
        self.steps.drain()
        self.assertEqual(self.loaded, {"slow": "one", "fast": "two"})
        self.assert_in_step()

    def test_load_and_unload(self) -> None:
        """Whichever comes first: the later one holds."""
        self.load("one")
        loading = self.hold_at_commit("two")
        unloading = self.begin(self.manager.unload())
        self.steps.drain()
        self.successResultOf(loading)
        self.assertTrue(self.successResultOf(unloading))
        self.assertEqual(self.loaded, {})
        self.assert_in_step()
        self.steps.held = False
        self.load("one")
        self.steps.held = True
        loading = self.start_load("two")
        self.steps.step()
        unloading = self.begin(self.manager.unload())
        self.steps.drain()
        self.successResultOf(loading)
        self.assertTrue(self.successResultOf(unloading))
        self.assertEqual(self.loaded, {CURRENT: "two"})
        self.assert_in_step()

    def test_expiry_while_a_load_is_stored(self) -> None:
        """The time of the old collection runs out before or after the new one is on disk: the new
        one stays, with its own timer.
        """
        for work_first in (False, True):
            self.steps.held = False
            self.load("one", minutes=1)
            loading = self.hold_at_commit("two", minutes=7)
            if work_first:
                self.steps.work()
            self.clock.advance(MINUTE)
            self.assertEqual(self.loaded, {})
            self.steps.drain()
            self.successResultOf(loading)
            self.assertEqual((self.loaded, self.left()), ({CURRENT: "two"}, 6 * MINUTE))
            self.assert_in_step()

    def test_expiry_while_another_is_changed(self) -> None:
        """A timer that runs out under way of another's change takes its own collection alone."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=1)
        self.steps.held = True
        unloading = self.begin(self.manager.unload("a"))
        self.steps.work()
        self.clock.advance(MINUTE)
        self.steps.drain()
        self.assertTrue(self.successResultOf(unloading))
        self.assertEqual(self.loaded, {})
        self.assert_in_step()

    def test_expiry_while_timers_restart(self) -> None:
        """A collection that ran out while its new timer was stored is not brought back."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=2)
        self.steps.held = True
        restarting = self.begin(self.manager.restart_timers(9))
        self.steps.work()
        self.clock.advance(MINUTE)
        self.steps.drain()
        self.successResultOf(restarting)
        self.assertEqual((self.loaded, self.left("b")), ({"b": "two"}, 8 * MINUTE))
        self.assert_in_step()

    def test_count_while_timers_restart(self) -> None:
        """What is learnt of a directory while timers are stored is not forgotten again."""
        loaded_collection = self.load("one")
        self.steps.held = True
        restarting = self.begin(self.manager.restart_timers(9))
        write(os.path.join(self.folder, "one", "new.png"))
        reading = self.begin(self.manager.names(loaded_collection))
        self.steps.work(1)
        self.steps.deliver()
        self.steps.work(1)
        self.steps.deliver()
        self.assertEqual(len(self.successResultOf(reading)), 2)
        self.steps.drain()
        self.successResultOf(restarting)
        self.assertEqual(self.manager.find(CURRENT).collection.image_count, 2)
        self.assertEqual(self.left(), 9 * MINUTE)
