"""Whether changes can be stored is reported, and found out again, without a restart."""

from __future__ import annotations

import os
import shutil

from imgd.collections.store import Store, StoredCollection
from imgd.errors import Unavailable
from imgd.host.state_monitor import TRIAL_INTERVAL
from tests.host.machine_case import MachineCase

ROW = StoredCollection("a", "/a", False, 1, 1.0, None, 0)


def full_disk() -> None:
    raise Unavailable("The state cannot be stored: the disk is full.")


class StateTests(MachineCase):
    def fail_to_store(self) -> None:
        done = self.state.run(full_disk)
        self.reactor.turn()
        self.failureResultOf(done, Unavailable)

    def test_reported_once(self) -> None:
        """A full disk is logged once, however often it is met."""
        for _ in range(5):
            self.fail_to_store()
        self.assertEqual(len(self.reasons), 1)
        self.assertEqual(self.reported, ["Degraded"])

    def test_trial(self) -> None:
        """Nobody has to load anything for it to be found out that there is room again."""
        self.fail_to_store()
        self.pass_seconds(TRIAL_INTERVAL)
        self.reactor.turn()
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.reported, ["Degraded", "Recovered"])
        self.assertEqual(os.listdir(self.folder), [])

    def test_trial_fails(self) -> None:
        """While there is no room it stays degraded, without another line."""
        self.fail_to_store()
        os.rmdir(self.folder)
        for _ in range(3):
            self.pass_seconds(TRIAL_INTERVAL)
            self.reactor.turn()
        self.assertEqual(len(self.reasons), 1)
        self.assertEqual(self.reported, ["Degraded"])

    def test_file_is_gone(self) -> None:
        """A store whose file is not at its path is reported within seconds, though nobody changes
        anything, and as long as it is gone; a trial write that succeeds is no end of it.
        """
        path = os.path.join(self.folder, "catalog.sqlite3")
        store = Store.open(path)
        self.addCleanup(store.close)
        self.state.watch(store.check_path)

        def reasons_after(seconds: int) -> int:
            for _ in range(seconds):
                self.pass_seconds(1)
                self.reactor.turn()
            return len(self.reasons)

        self.assertEqual(reasons_after(3), 0)
        os.rename(path, path + ".away")
        self.assertEqual(reasons_after(2), 1)
        with open(path, "wb"):
            self.assertEqual(reasons_after(3 * round(TRIAL_INTERVAL)), 1)
        os.rename(path + ".away", path)
        self.assertEqual(reasons_after(2 * round(TRIAL_INTERVAL)), 0)
        self.assertEqual(self.reported, ["Degraded", "Recovered"])

    def test_next_change(self) -> None:
        """A change that is stored ends it, too."""
        self.fail_to_store()
        store = Store.open(os.path.join(self.folder, "catalog.sqlite3"))
        self.addCleanup(store.close)
        done = self.state.run(store.put, ROW)
        self.reactor.turn()
        self.successResultOf(done)
        self.assertEqual(self.reasons, [])

    def test_vanishes_meanwhile(self) -> None:
        """What was done beside the store while the folder vanished is not acknowledged."""
        store = Store.open(os.path.join(self.folder, "catalog.sqlite3"))
        self.addCleanup(store.close)
        self.state.watch(store.check_path)
        done = self.state.run_beside(shutil.rmtree, self.folder)
        self.reactor.turn()
        error = self.failureResultOf(done, Unavailable).value
        self.assertIn("deleted or replaced", error.detail)
        self.assertEqual(len(self.reasons), 1)
        refused = self.state.run_beside(self.fail, "called")
        self.reactor.turn()
        self.failureResultOf(refused, Unavailable)

    def test_one_at_a_time(self) -> None:
        """Changes are made one after the other, in their order."""
        first = self.state.run(self.stall)
        second = self.state.run(lambda: "second")
        self.stall.wait()
        self.assertNoResult(second)
        self.stall.go.set()
        self.reactor.turn(2)
        self.assertEqual(self.successResultOf(first), "done")
        self.assertEqual(self.successResultOf(second), "second")
