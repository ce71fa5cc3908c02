"""The machine underneath: faults are told once, answered honestly, and over without a restart."""

from __future__ import annotations

import os
import threading
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections import scan
from imgd.collections.store import Store, StoredCollection
from imgd.core import health
from imgd.errors import NotFound, Unavailable
from imgd.files.disk import Root
from imgd.host.blocking import PROBE_EVERY, READERS, BlockingRunner
from tests.host.test_workers import Loop, Stall

ROW = StoredCollection("a", "/a", False, 1, 1.0, None, 0)


class Reactor(Loop, Clock):
    """Time and threads, both in the test's hands."""

    def __init__(self) -> None:
        Loop.__init__(self)
        Clock.__init__(self)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)
        self.reactor = Reactor()
        self.machine = BlockingRunner(self.reactor, self.folder, 30)
        self.machine.start()
        self.addCleanup(self.machine.stop)
        self.told: list[str] = []
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)

    def hear(self, event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith("imgd.host.health_monitor"):
            self.told.append(str(event["log_format"])[:9])

    @property
    def reasons(self) -> list[str]:
        return self.machine.health_monitor.reasons()

    def wait(self, seconds: float) -> None:
        self.reactor.pump([1] * round(seconds))


class DiskTests(Case):
    def test_directory_that_hangs(self) -> None:
        """A directory that does not answer degrades health; another is read meanwhile; it is well
        again when it answers.
        """
        stall = Stall()
        self.addCleanup(stall.go.set)
        hung = self.machine.run(lambda _root: stall(), Root("/hung"))
        stall.wait()
        self.wait(12)
        self.assertEqual(self.reasons, ["A directory does not answer."])
        other = self.machine.run(lambda root: root.path, Root("/fine"))
        self.reactor.turn()
        self.assertEqual(self.successResultOf(other), "/fine")
        self.wait(20)
        self.failureResultOf(hung, Unavailable)
        self.failureResultOf(self.machine.run(lambda _root: 1, Root("/hung")), Unavailable)
        stall.go.set()
        self.reactor.turn()
        self.wait(1)
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.told, ["Degraded ", "Recovered"])

    def test_looks_have_their_own_threads(self) -> None:
        """While directories are read, or hang, others say at once whether they are there."""
        stall = Stall()
        self.addCleanup(stall.go.set)
        for number in range(20):
            self.machine.run(lambda _root: stall(), Root(f"/hung/{number}")).addErrback(str)
        stall.wait(2)
        real = os.path.realpath(self.folder)
        there = self.machine.run(scan.available, [Root(real)])
        self.reactor.turn()
        self.assertEqual(self.successResultOf(there), [True])
        index = scan.read(Root(real))
        fresh = self.machine.run(index.is_fresh)
        self.reactor.turn()
        self.assertFalse(self.successResultOf(fresh))

    def test_few_readers(self) -> None:
        """Only so many directories are read at once as leave the reactor its share."""
        stall = Stall()
        self.addCleanup(stall.go.set)
        for number in range(20):
            self.machine.run(lambda _root: stall(), Root(f"/{number}")).addErrback(str)
        stall.wait(READERS)
        self.assertFalse(stall.began.acquire(blocking=False))

    def test_each_second(self) -> None:
        """What is asked for is done every second."""
        seen: list[float] = []
        self.machine.each_second(lambda: seen.append(self.reactor.seconds()))
        self.wait(3)
        self.assertEqual(seen, [1, 2, 3])

    def test_store_has_its_own_threads(self) -> None:
        """While every directory hangs, what is loaded can still be stored."""
        stall = Stall()
        self.addCleanup(stall.go.set)
        for number in range(20):
            self.machine.run(lambda _root: stall(), Root(f"/hung/{number}")).addErrback(str)
        for _ in range(4):  # those that wait for their disk give way to others
            stall.wait(2)
            self.wait(2)
        store = Store.open(os.path.join(self.folder, "catalog.sqlite3"))
        self.addCleanup(store.close)
        done = self.machine.run(store.put, ROW)
        self.reactor.turn()
        self.successResultOf(done)
        self.assertEqual(store.collections(), [ROW])


class FullStore(Store):
    """A store on a disk that is full."""

    def put(self, collection: StoredCollection) -> None:
        raise Unavailable("The state cannot be stored: the disk is full.")


class StateTests(Case):
    def fail(self, msg: object = None) -> Any:
        if msg is not None:
            return super().fail(msg)
        done = self.machine.run(FullStore(None).put, ROW)  # type: ignore[arg-type]
        self.reactor.turn()
        return self.failureResultOf(done, Unavailable)

    def test_told_once(self) -> None:
        """A full disk is told once, however often it is met."""
        for _ in range(5):
            self.fail()
        self.assertEqual(len(self.reasons), 1)
        self.assertEqual(self.told, ["Degraded "])

    def test_probe(self) -> None:
        """Nobody has to load anything for it to be found that there is room again."""
        self.fail()
        self.wait(PROBE_EVERY)
        self.reactor.turn()
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.told, ["Degraded ", "Recovered"])
        self.assertEqual(os.listdir(self.folder), [])

    def test_probe_fails(self) -> None:
        """While there is none, it stays degraded, without another line."""
        self.fail()
        os.rmdir(self.folder)
        for _ in range(3):
            self.wait(PROBE_EVERY)
            self.reactor.turn()
        self.assertEqual(len(self.reasons), 1)
        self.assertEqual(self.told, ["Degraded "])

    def test_file_is_gone(self) -> None:
        """A store whose file is not in its place is told within seconds, though nobody changes
        anything, and as long as it is gone; a trial write that succeeds is no end of it.
        """
        path = os.path.join(self.folder, "catalog.sqlite3")
        store = Store.open(path)
        self.addCleanup(store.close)
        self.machine.keep(store)

        def reasons_after(seconds: int) -> int:
            for _ in range(seconds):
                self.wait(1)
                self.reactor.turn()
            return len(self.reasons)

        self.assertEqual(reasons_after(3), 0)
        os.rename(path, path + ".away")
        self.assertEqual(reasons_after(2), 1)
        with open(path, "wb"):
            self.assertEqual(reasons_after(3 * round(PROBE_EVERY)), 1)
        os.rename(path + ".away", path)
        self.assertEqual(reasons_after(2 * round(PROBE_EVERY)), 0)
        self.assertEqual(self.told, ["Degraded ", "Recovered"])

    def test_next_change(self) -> None:
        """A change that is stored ends it, too."""
        self.fail()
        store = Store.open(os.path.join(self.folder, "catalog.sqlite3"))
        self.addCleanup(store.close)
        done = self.machine.run(store.put, ROW)
        self.reactor.turn()
        self.successResultOf(done)
        self.assertEqual(self.reasons, [])


class CheckTests(Case):
    def test_check(self) -> None:
        """A check is asked every second, and its reason stays while it gives one."""
        detail = ["access.log"]
        self.machine.check(health.ACCESS_LOG, lambda: detail[0])
        self.wait(3)
        self.assertEqual(self.reasons, ["The access log cannot be written."])
        detail[0] = ""
        self.wait(1)
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.told, ["Degraded ", "Recovered"])

    def test_check_fails(self) -> None:
        """A look that fails is logged, and looking goes on."""

        def look() -> str:
            raise ZeroDivisionError

        self.machine.check(health.ACCESS_LOG, look)
        self.wait(3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_passing(self) -> None:
        """A fault that is met now and then is over ten seconds after the last time."""
        for _ in range(20):
            self.machine.no_descriptor("EMFILE")
            self.wait(1)
        self.assertEqual(self.told, ["Degraded "])
        self.wait(10)
        self.assertEqual(self.told, ["Degraded ", "Recovered"])

    def test_errors_without_a_fault(self) -> None:
        """An error that names no fault is none of the machine's."""
        self.machine.health_monitor.met(NotFound())
        self.machine.health_monitor.met(Unavailable("Busy."))
        self.assertEqual(self.reasons, [])

    def test_threads_end(self) -> None:
        """Threads are daemons: none keeps the process from ending."""
        self.machine.run(lambda _root: 1, Root("/a")).addBoth(lambda _: None)
        self.reactor.turn()
        ours = [t for t in threading.enumerate() if t.name == "imgd disk"]
        self.assertTrue(all(thread.daemon for thread in ours))
