"""Threads for disks: real ones, held by events, with the reactor's thread and clock in the test."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import Unavailable
from imgd.host.workers import SLOW, JobCancelled, JobProgress, Workers
from tests.host.machine_case import Loop, Stall


class WorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.loop, self.clock, self.stall = Loop(), Clock(), Stall()
        self.addCleanup(self.stall.go.set)
        self.workers = self.make()

    def make(self, **more: int) -> Workers:
        workers = Workers(
            self.loop,  # type: ignore[arg-type]
            self.clock.seconds,
            30,
            **more,
        )
        self.addCleanup(workers.close)
        return workers

    def tick(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.workers.tick()

    def test_results(self) -> None:
        """Results and errors come back on the reactor's thread."""
        done = self.workers.run("/a", lambda x: (x, threading.current_thread()), 7)
        self.assertNoResult(done)
        self.loop.turn()
        value, thread = self.successResultOf(done)
        self.assertEqual(value, 7)
        self.assertIsNot(thread, threading.current_thread())
        self.assertTrue(thread.daemon)
        failed = self.workers.run("/a", lambda: 1 // 0)
        self.loop.turn()
        self.failureResultOf(failed, ZeroDivisionError)

    def test_other_directories_go_on(self) -> None:
        """A directory that hangs holds up no other, and takes one thread, however many ask."""
        hung = [self.workers.run("/hung", self.stall) for _ in range(20)]
        self.stall.wait()
        self.assertFalse(self.stall.began.acquire(blocking=False))
        other = self.workers.run("/fine", lambda: "fine")
        self.loop.turn()
        self.assertEqual(self.successResultOf(other), "fine")
        for done in hung:
            self.assertNoResult(done)
        self.stall.go.set()
        self.loop.turn(20)
        self.assertEqual([self.successResultOf(done) for done in hung], ["done"] * 20)

    def test_overdue(self) -> None:
        """What is overdue fails, running or waiting; its key is then refused at once, until it
        answers.
        """
        hung = [self.workers.run("/hung", self.stall) for _ in range(3)]
        self.stall.wait()
        self.tick(SLOW)
        self.assertEqual(self.workers.unresponsive(), {"/hung"})
        self.tick(30 - SLOW)
        for done in hung:
            self.assertEqual(self.failureResultOf(done, Unavailable).value.fault, "disk")
        self.failureResultOf(self.workers.run("/hung", self.stall), Unavailable)
        self.assertEqual(self.workers.unresponsive(), {"/hung"})
        self.stall.go.set()
        self.loop.turn()
        self.assertEqual(self.workers.unresponsive(), set())
        again = self.workers.run("/hung", self.stall)
        self.loop.turn()
        self.assertEqual(self.successResultOf(again), "done")

    def test_bounded(self) -> None:
        """However many places hang, threads are bounded, and everything is refused in the end."""
        self.workers = self.make(max_active=2, max_abandoned=3)
        before = threading.active_count()
        refused = 0
        for number in range(10):
            done = self.workers.run(f"/hung/{number}", self.stall)
            self.tick(30)
            self.failureResultOf(done, Unavailable)
            refused += 1
        self.assertEqual(refused, 10)
        self.assertLessEqual(threading.active_count() - before, 3 + 2)
        self.stall.go.set()
        self.loop.turn(3)
        done = self.workers.run("/fine", self.stall)
        self.loop.turn()
        self.assertEqual(self.successResultOf(done), "done")

    def test_keys_of_a_resource(self) -> None:
        """Folders of one resource that hang hold up no other folder of it, until there are so many
        that the whole resource is refused.
        """
        self.workers = self.make(max_per_resource=3)
        hung = [self.workers.run("/mount", self.stall, key=f"/mount/{n}") for n in range(2)]
        self.stall.wait(2)
        self.tick(30)
        for done in hung:
            self.failureResultOf(done, Unavailable)
        self.failureResultOf(self.workers.run("/mount", self.stall, key="/mount/0"), Unavailable)
        other = self.workers.run("/mount", lambda: "fine", key="/mount/2")
        self.loop.turn()
        self.assertEqual(self.successResultOf(other), "fine")
        third = self.workers.run("/mount", self.stall, key="/mount/3")
        self.stall.wait()
        waiting = self.workers.run("/mount", lambda: "waited", key="/mount/4")
        self.assertNoResult(waiting)
        self.tick(30)
        for done in (third, waiting):
            self.failureResultOf(done, Unavailable)
        self.failureResultOf(self.workers.run("/mount", self.stall, key="/mount/5"), Unavailable)
        elsewhere = self.workers.run("/fine", lambda: "fine")
        self.loop.turn()
        self.assertEqual(self.successResultOf(elsewhere), "fine")
        self.stall.go.set()
        self.loop.turn(3)
        again = self.workers.run("/mount", lambda: "again", key="/mount/0")
        self.loop.turn()
        self.assertEqual(self.successResultOf(again), "again")

    def test_order(self) -> None:
        """Jobs of one resource begin in the order in which it came."""
        self.workers = self.make(max_active=1)
        seen: list[int] = []
        held = self.workers.run("/a", self.stall)
        jobs: list[Deferred[Any]] = [self.workers.run("/a", seen.append, n) for n in range(5)]
        self.stall.go.set()
        self.loop.turn(6)
        self.assertEqual(seen, list(range(5)))
        self.successResultOf(held)
        for job in jobs:
            self.successResultOf(job)

    def test_resources_take_turns(self) -> None:
        """A resource for which much waits lets others have their turn."""
        self.workers = self.make(max_active=1)
        seen: list[str] = []
        held = self.workers.run("/a", self.stall)
        jobs = [self.workers.run("/a", seen.append, "a") for _ in range(3)]
        jobs += [self.workers.run("/b", seen.append, "b") for _ in range(2)]
        self.stall.go.set()
        self.loop.turn(6)
        self.assertEqual(seen, ["a", "b", "a", "b", "a"])
        self.successResultOf(held)
        for job in jobs:
            self.successResultOf(job)

    def test_one_of_a_key(self) -> None:
        """Of one key one piece runs at once; another key of the same resource goes on."""
        first = self.workers.run("/a", self.stall, key="x")
        self.stall.wait()
        second = self.workers.run("/a", lambda: "second", key="x")
        other = self.workers.run("/a", lambda: "other", key="y")
        self.loop.turn()
        self.assertEqual(self.successResultOf(other), "other")
        self.assertNoResult(second)
        self.stall.go.set()
        self.loop.turn(2)
        self.assertEqual(self.successResultOf(second), "second")
        self.successResultOf(first)

    def test_stalled(self) -> None:
        """What makes no step waits for its disk: others begin meanwhile, up to a bound."""
        self.workers = self.make(max_active=1, max_running=2)
        hung = [self.workers.run(f"/hung/{n}", self.stall) for n in range(3)]
        self.stall.wait()
        self.tick(1)
        self.assertFalse(self.stall.began.acquire(blocking=False))
        self.tick(1)
        self.stall.wait()
        self.tick(1)
        self.tick(1)
        self.assertFalse(self.stall.began.acquire(blocking=False))
        self.stall.go.set()
        self.loop.turn(3)
        self.assertEqual([self.successResultOf(done) for done in hung], ["done"] * 3)

    def test_goes_on(self) -> None:
        """What makes steps keeps its turn, however long it takes."""
        self.workers = self.make(max_active=1)
        progress = JobProgress()
        busy = self.workers.run("/a", lambda _: self.stall(), progress)
        self.stall.wait()
        waits = self.workers.run("/b", lambda: "b")
        for _ in range(5):
            progress.step()
            self.tick(1)
        self.assertNoResult(waits)
        self.stall.go.set()
        self.loop.turn(2)
        self.assertEqual(self.successResultOf(waits), "b")
        self.successResultOf(busy)

    def test_taken_back(self) -> None:
        """What nobody waits for is not begun, and what is under way ends with its next step."""
        seen: list[str] = []
        progress = JobProgress()

        def work(progress: JobProgress) -> None:
            self.stall()
            progress.step()
            seen.append("ended")

        running = self.workers.run("/a", work, progress, key="a")
        self.stall.wait()
        waiting = self.workers.run("/a", seen.append, "begun", key="a")
        for done in (running, waiting):
            done.cancel()
            self.failureResultOf(done, CancelledError)
        self.stall.go.set()
        self.loop.turn()
        self.assertEqual(seen, [])

    def test_wanted_by_others(self) -> None:
        """What others of its key wait for goes on, though who asked for it has gone; until they
        have, too.
        """
        progress = JobProgress()
        running = self.workers.run("/a", lambda _: self.stall(), progress, key="a")
        self.stall.wait()
        waiting = self.workers.run("/a", lambda: "waited", key="a")
        running.cancel()
        progress.step()
        waiting.cancel()
        self.assertRaises(JobCancelled, progress.step)
        self.stall.go.set()
        self.loop.turn()
        for done in (running, waiting):
            self.failureResultOf(done, CancelledError)
