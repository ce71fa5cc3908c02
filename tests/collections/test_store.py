"""What outlives a restart, and a kill."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from threading import Thread
from typing import Any
from unittest import skipIf, skipUnless

from imgd.collections.store import Store, StoredTimeout
from imgd.collections.stored_rows import StoredTimer
from imgd.errors import Unavailable
from tests.collections.store_case import SCAN, WEEKLY, StoreCase

_NOTHING: Any = None
NOT_STORABLE = StoredTimer("current", 2.0, _NOTHING)
WRITER = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from imgd.collections.store import Store, StoredCollection

    path, first = sys.argv[1], int(sys.argv[2])
    store = Store.open(path)
    row = StoredCollection("current", "/data", False, 0, 1.0, None, 0)
    for number in range(first, first + 1_000_000):
        store.put(replace(row, image_count=number))
        store.put(replace(row, name=f"n{number}"))
        print(number, flush=True)
    """
)


class StoreTests(StoreCase):
    """Rows in, rows out."""

    def test_new(self) -> None:
        """A new store is empty, and nothing was moved aside."""
        store = self.open()
        self.assertEqual(store.collections(), [])
        self.assertIsNone(store.moved_aside)

    def test_round_trip(self) -> None:
        """What was put is there after closing and opening, field by field, sorted by name."""
        store = self.open()
        store.put(WEEKLY)
        store.put(SCAN)
        store.close()
        self.assertEqual(self.open().collections(), [SCAN, WEEKLY])

    def test_replace(self) -> None:
        """A second put of a name takes the place of the first."""
        store = self.open()
        store.put(SCAN)
        again = replace(SCAN, directory="/data/other", image_count=9)
        store.put(again)
        self.assertEqual(store.collections(), [again])

    def test_remove(self) -> None:
        """Removing a name leaves the others; removing it again does nothing."""
        store = self.open()
        store.put(SCAN)
        store.put(WEEKLY)
        store.remove("current")
        store.remove("current")
        self.assertEqual(store.collections(), [WEEKLY])

    def test_reschedule(self) -> None:
        """New timers are stored for the names given, and an unknown name adds nothing."""
        store = self.open()
        store.put(SCAN)
        store.put(WEEKLY)
        store.reschedule([StoredTimer("current", None, 0), StoredTimer("gone", 5.0, 1)])
        self.assertEqual(
            store.collections(), [replace(SCAN, expires_at=None, timeout_minutes=0), WEEKLY]
        )

    def test_reschedule_all_or_none(self) -> None:
        """Where one row cannot be stored, none is."""
        store = self.open()
        store.put(SCAN)
        with self.assertRaises(Unavailable):
            store.reschedule([StoredTimer("current", 1.0, 1), NOT_STORABLE])
        self.assertEqual(store.collections(), [SCAN])
        store.put(WEEKLY)  # and the store goes on

    def test_default_timeout(self) -> None:
        """The default timeout that was set last is there after closing and opening, and the timers
        that were set with it; both or none.
        """
        store = self.open()
        self.assertIsNone(store.default_timeout())
        store.put(SCAN)
        store.set_default_timeout(StoredTimeout(7, 30), [StoredTimer("current", 5.0, 7)])
        store.set_default_timeout(StoredTimeout(8, 30), [StoredTimer("current", 6.0, 8)])
        with self.assertRaises(Unavailable):
            store.set_default_timeout(StoredTimeout(9, 30), [NOT_STORABLE])
        store.close()
        again = self.open()
        self.assertEqual(again.default_timeout(), StoredTimeout(8, 30))
        self.assertEqual(again.collections(), [replace(SCAN, expires_at=6.0, timeout_minutes=8)])
        again.set_default_timeout(None)
        self.assertIsNone(again.default_timeout())

    def test_nasty_names(self) -> None:
        """A directory that is not UTF-8, or has quotes and newlines, comes back byte for byte."""
        store = self.open()
        for directory in (os.fsdecode(b"/data/caf\xe9"), "/data/'; DROP TABLE x\n", "/данные"):
            row = replace(SCAN, directory=directory)
            store.put(row)
            self.assertEqual(store.collections(), [row])

    def test_other_threads(self) -> None:
        """A store made on one thread is used on another."""
        store = self.open()
        thread = Thread(target=store.put, args=(SCAN,))
        thread.start()
        thread.join()
        self.assertEqual(store.collections(), [SCAN])

    @skipIf(os.name != "posix", "POSIX modes")
    def test_private(self) -> None:
        """The file and its journals are for their owner alone."""
        self.open().put(SCAN)
        names = os.listdir(self.folder)
        self.assertIn("catalog.sqlite3-wal", names)
        for name in names:
            mode = stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode)
            self.assertEqual(mode, 0o600, name)


class KillTests(StoreCase):
    """SIGKILL at any moment."""

    @skipUnless(hasattr(signal, "SIGKILL"), "no SIGKILL here")
    def test_acknowledged_rows_survive(self) -> None:
        """Every put that returned before a SIGKILL is there afterwards, round after round."""
        acknowledged = 0
        for stop_after in (1, 2, 1, 5, 3, 20):
            acknowledged = self.run_and_kill(acknowledged + 1, stop_after)
            store = self.open()
            rows = {row.name: row for row in store.collections()}
            store.close()
            self.assertIsNone(store.moved_aside)
            self.assertGreaterEqual(rows["current"].image_count, acknowledged)
            missing = [n for n in range(1, acknowledged + 1) if f"n{n}" not in rows]
            self.assertEqual(missing, [])

    def run_and_kill(self, first: int, stop_after: int) -> int:
        """Let a process put rows; kill it after some lines; the last number it acknowledged."""
        command = [sys.executable, "-c", WRITER, self.path, str(first)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
            assert process.stdout is not None
            for _ in range(stop_after):
                acknowledged = int(process.stdout.readline())
            process.kill()
            for line in process.stdout:
                if line.endswith(b"\n"):
                    acknowledged = int(line)
        return acknowledged


class PathTests(StoreCase):
    """The file that is open is not the one at its path any more."""

    def assert_refused(self, store: Store) -> None:
        for change in (
            lambda: store.put(WEEKLY),
            lambda: store.remove("current"),
            lambda: store.reschedule([StoredTimer("current", None, 0)]),
            lambda: store.set_default_timeout(StoredTimeout(1, 30)),
            store.check_path,
        ):
            with self.assertRaises(Unavailable) as caught:
                change()
            self.assertIn("deleted or replaced", caught.exception.detail)
            self.assertNotIn(self.folder, caught.exception.detail)
            self.assertEqual(caught.exception.fault, "state")

    def test_deleted(self) -> None:
        """Of a deleted file or folder every change is refused; nothing is made there."""
        for delete in (lambda: os.remove(self.path), lambda: shutil.rmtree(self.folder)):
            store = self.open()
            store.put(SCAN)
            delete()
            self.assert_refused(store)
            store.close()
        self.assertFalse(os.path.exists(self.folder))

    def test_replaced(self) -> None:
        """So it is with another file in its place, until the old one is back."""
        store = self.open()
        store.put(SCAN)
        os.rename(self.folder, self.folder + ".away")
        os.mkdir(self.folder)
        other = self.open()
        other.put(WEEKLY)
        self.assert_refused(store)
        self.assertEqual(other.collections(), [WEEKLY])
        shutil.rmtree(self.folder)
        os.rename(self.folder + ".away", self.folder)
        store.put(WEEKLY)
        self.assertEqual(store.collections(), [SCAN, WEEKLY])


class UnavailableTests(StoreCase):
    """Disks that will not: a sentence for whoever asked, and the old row stays."""

    def assert_unavailable(self, reason: str, store: Store) -> None:
        for attempt in (
            lambda: store.put(replace(SCAN, directory="/data/" + "y" * 100_000)),
            lambda: store.remove("current"),
        ):
            with self.assertRaises(Unavailable) as caught:
                attempt()
            self.assertIn(reason, caught.exception.detail)
            self.assertNotIn(self.folder, caught.exception.detail)
            self.assertEqual(caught.exception.status, 503)

    def test_locked(self) -> None:
        """A file that another program keeps locked."""
        store = self.open(lock_timeout=0)
        store.put(SCAN)
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assert_unavailable("another program has the state file locked", store)
        self.assertEqual(store.collections(), [SCAN])
        other.execute("ROLLBACK")
        store.put(WEEKLY)
        self.assertEqual(store.collections(), [SCAN, WEEKLY])

    def test_locked_at_start(self) -> None:
        """Opening a file that another program keeps locked moves nothing aside."""
        self.open().close()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with self.assertRaises(Unavailable):
            Store.open(self.path, lock_timeout=0)
        self.assertEqual([n for n in os.listdir(self.folder) if "corrupt" in n], [])

    def test_no_room(self) -> None:
        """A disk that takes no more bytes: the row before stays, and storing works again later."""
        try:
            import resource
        except ImportError:
            self.skipTest("no resource limits here")
        store = self.open()
        store.put(SCAN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = os.path.getsize(self.path + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            self.assert_unavailable("The state cannot be stored: the disk", store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        self.assertEqual(store.collections(), [SCAN])
        store.put(WEEKLY)
        store.close()
        self.assertEqual(self.open().collections(), [SCAN, WEEKLY])

    def test_no_folder(self) -> None:
        """A folder that is not there: the sentence names the file, for the operator."""
        with self.assertRaises(Unavailable) as caught:
            Store.open(os.path.join(self.folder, "missing", "catalog.sqlite3"))
        self.assertIn("missing", caught.exception.detail)
