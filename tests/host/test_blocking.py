"""Lanes of threads: who waits for one directory holds up nobody else."""

from __future__ import annotations

import os
import threading

from imgd.collections.store import Store, StoredCollection
from imgd.errors import Unavailable
from imgd.host.blocking import READERS
from tests.host.machine_case import MachineCase

ROW = StoredCollection("a", "/a", False, 1, 1.0, None, 0)


class BlockingTests(MachineCase):
    def hang(self, count: int) -> None:
        """So many directories that hang."""
        for number in range(count):
            self.runner.run(f"/hung/{number}", self.stall).addErrback(str)

    def test_directory_that_hangs(self) -> None:
        """A directory that does not answer degrades health; another is read meanwhile; all is well
        again when it answers.
        """
        hung = self.runner.run("/hung", self.stall)
        self.stall.wait()
        self.pass_seconds(12)
        self.assertEqual(self.reasons, ["A directory does not answer."])
        other = self.runner.run("/fine", lambda: "fine")
        self.reactor.turn()
        self.assertEqual(self.successResultOf(other), "fine")
        self.pass_seconds(20)
        self.failureResultOf(hung, Unavailable)
        self.failureResultOf(self.runner.run("/hung", lambda: 1), Unavailable)
        self.stall.go.set()
        self.reactor.turn()
        self.pass_seconds(1)
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.reported, ["Degraded", "Recovered"])

    def test_many_wait_for_one(self) -> None:
        """However many wait for a directory that hangs, another is read at once, not a second
        later, and its own questions are answered.
        """
        for _ in range(20):
            self.runner.run("/hung", self.stall).addErrback(str)
            self.runner.ask("/hung", self.stall).addErrback(str)
        self.stall.wait(2)
        for lane in (self.runner.run, self.runner.ask):
            other = lane("/fine", lambda: "fine")
            self.reactor.turn()
            self.assertEqual(self.successResultOf(other), "fine")

    def test_questions_have_their_own_threads(self) -> None:
        """While directories are read, or hang, others say at once whether they are there."""
        self.hang(20)
        self.stall.wait(READERS)
        answer = self.runner.ask("/fine", lambda: True)
        self.reactor.turn()
        self.assertTrue(self.successResultOf(answer))

    def test_many_that_hang(self) -> None:
        """Of a directory that is asked about beside twenty that hang, the answer comes at once."""
        for number in range(20):
            self.runner.ask(f"/hung/{number}", self.stall).addErrback(str)
        answer = self.runner.ask("/fine", lambda: True)
        self.reactor.turn()
        self.assertTrue(self.successResultOf(answer))

    def test_questions_of_one_directory(self) -> None:
        """Two questions with keys of their own do not wait for each other."""
        slow = self.runner.ask("/a", self.stall, key=("/a", "slow"))
        self.stall.wait()
        quick = self.runner.ask("/a", lambda: True)
        self.reactor.turn()
        self.assertTrue(self.successResultOf(quick))
        self.stall.go.set()
        self.reactor.turn()
        self.successResultOf(slow)

    def test_few_readers(self) -> None:
        """Only so many directories are read at once as leave the reactor its share."""
        self.hang(20)
        self.stall.wait(READERS)
        self.assertFalse(self.stall.began.acquire(blocking=False))

    def test_store_has_its_own_threads(self) -> None:
        """While every directory hangs, what is loaded can still be stored."""
        self.hang(20)
        for _ in range(4):  # those that wait for their disk give way to others
            self.stall.wait(2)
            self.pass_seconds(2)
        store = Store.open(os.path.join(self.folder, "catalog.sqlite3"))
        self.addCleanup(store.close)
        done = self.state.run(store.put, ROW)
        self.reactor.turn()
        self.successResultOf(done)
        self.assertEqual(store.collections(), [ROW])

    def test_unawaited(self) -> None:
        """What nobody waits for holds up nothing, and is no fault if it hangs."""
        self.runner.run_unawaited(self.stall).addErrback(str)
        self.stall.wait()
        other = self.runner.run("/fine", lambda: "fine")
        self.reactor.turn()
        self.assertEqual(self.successResultOf(other), "fine")
        self.pass_seconds(60)
        self.assertEqual(self.reasons, [])

    def test_threads_end(self) -> None:
        """Threads are daemons: none keeps the process from ending."""
        done = self.runner.run("/a", threading.current_thread)
        self.reactor.turn()
        self.assertTrue(self.successResultOf(done).daemon)
