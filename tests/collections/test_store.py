"""What outlives a restart, and a kill, and a broken file."""

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
from unittest import skipIf, skipUnless

from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.store import APPLICATION_ID, VERSION, Store, StoredCollection
from imgd.errors import Unavailable

SCAN = StoredCollection(
    name="current",
    directory="/data/scans",
    recursive=False,
    image_count=3,
    loaded_at=1_700_000_000.25,
    expires_at=1_700_001_800.5,
    timeout_minutes=30,
)
WEEKLY = replace(SCAN, name="weekly", recursive=True, expires_at=None, timeout_minutes=0)
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


class StateCase(SynchronousTestCase):
    """A path for a store, and its log."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "catalog.sqlite3")
        self.logged = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event) -> None:
        self.logged.append(formatEvent(event))

    def open(self, **options):
        store = Store.open(self.path, **options)
        self.addCleanup(store.close)
        return store

    def sql(self, *statements) -> None:
        """Change the file as another program would."""
        other = sqlite3.connect(self.path, isolation_level=None)
        for statement in statements:
            other.execute(statement)
        other.close()


class StoreTests(StateCase):
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
        store.reschedule([("current", None, 0), ("gone", 5.0, 1)])
        self.assertEqual(
            store.collections(), [replace(SCAN, expires_at=None, timeout_minutes=0), WEEKLY]
        )

    def test_reschedule_all_or_none(self) -> None:
        """Where one row cannot be stored, none is."""
        store = self.open()
        store.put(SCAN)
        with self.assertRaises(Unavailable):
            store.reschedule([("current", 1.0, 1), ("current", 2.0, None)])
        self.assertEqual(store.collections(), [SCAN])
        store.put(WEEKLY)  # and the store goes on

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


class KillTests(StateCase):
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

    def run_and_kill(self, first, stop_after):
        """Let a process put rows; kill it after some lines; the last number it acknowledged."""
        command = [sys.executable, "-c", WRITER, self.path, str(first)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
            for _ in range(stop_after):
                acknowledged = int(process.stdout.readline())
            process.kill()
            for line in process.stdout:
                if line.endswith(b"\n"):
                    acknowledged = int(line)
        return acknowledged


class UnusableTests(StateCase):
    """Files that are no store: moved aside, told, and a new one begun."""

    def assert_moved_aside(self, why, content=None) -> None:
        with open(self.path, "rb") as file:
            content = content or file.read()
        self.logged.clear()
        store = self.open()
        self.assertEqual(store.collections(), [])
        store.put(SCAN)
        aside = store.moved_aside
        self.assertRegex(aside, r"catalog\.sqlite3\.corrupt-\d{8}T\d{6}")
        with open(aside, "rb") as file:
            self.assertEqual(file.read(), content)
        (line,) = self.logged
        for part in (self.path + " ", aside + ",", why):
            self.assertIn(part, line)
        store.close()
        self.assertIsNone(self.open().moved_aside)

    def fill(self, rows=300) -> None:
        """A store of several pages."""
        store = self.open()
        for number in range(rows):
            store.put(replace(SCAN, name=f"n{number}", directory="/data/" + "x" * 100))
        store.close()

    def test_not_a_database(self) -> None:
        """A file of something else."""
        with open(self.path, "wb") as file:
            file.write(b"this is no database, however long it is. " * 100)
        self.assert_moved_aside("is unusable (file is not a database)")

    def test_truncated(self) -> None:
        """A file whose end is missing."""
        self.fill()
        for size in (10_000, 4096, 1000, 50):
            os.truncate(self.path, size)
            self.assert_moved_aside("The state file")
            self.tidy()
            self.fill()

    def tidy(self) -> None:
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))

    def test_damaged_inside(self) -> None:
        """A file with a page overwritten in its middle."""
        self.fill()
        with open(self.path, "r+b") as file:
            file.seek(3 * 4096)
            file.write(os.urandom(2048))
        self.assert_moved_aside("The state file")

    def test_emptied_beside_its_journal(self) -> None:
        """A file of no bytes whose journal still holds rows: both are kept, together."""
        store = self.open()
        store.put(SCAN)
        with open(self.path + "-wal", "rb") as file:
            journal = file.read()
        store.close()
        with open(self.path + "-wal", "wb") as file:
            file.write(journal)
        os.truncate(self.path, 0)
        store = self.open()
        with open(store.moved_aside + "-wal", "rb") as file:
            self.assertEqual(file.read(), journal)
        self.assertEqual(store.collections(), [])

    def test_future_version(self) -> None:
        """A file of a later imgd."""
        self.open().close()
        self.sql(f"PRAGMA user_version = {VERSION + 1}")
        self.assert_moved_aside(f"has version {VERSION + 1}, and this imgd reads")

    def test_another_program(self) -> None:
        """A database of another program."""
        self.sql("CREATE TABLE notes (text)")
        self.assert_moved_aside("is not imgd's")

    def test_wrong_schema(self) -> None:
        """A file that claims to be a store and has other columns, or none."""
        for create in ("CREATE TABLE collections (name, directory)", "CREATE TABLE x (y)"):
            self.sql(
                create,
                f"PRAGMA application_id = {APPLICATION_ID}",
                f"PRAGMA user_version = {VERSION}",
            )
            self.assert_moved_aside("is unusable (no such ")
            self.tidy()

    def test_empty_file(self) -> None:
        """A file of no bytes is what a crash at the very start leaves: a new store, no fuss."""
        with open(self.path, "wb"):
            pass
        self.assertIsNone(self.open().moved_aside)
        self.assertEqual(self.logged, [])


class BadRowTests(StateCase):
    """Rows that make no sense, beside one that does."""

    ROWS = (
        ("'a', 5, 0, 1, 1.0, NULL, 0", "directory is 5"),
        ("'a', x'61', 0, 1, 1.0, NULL, 0", "directory is b'a'"),
        ("'a', x'2f0061', 0, 1, 1.0, NULL, 0", "directory is b'/"),
        ("'a', x'', 0, 1, 1.0, NULL, 0", "directory is b''"),
        ("'a', x'2f', 2, 1, 1.0, NULL, 0", "recursive is 2"),
        ("'a', x'2f', 0, -1, 1.0, NULL, 0", "image_count is -1"),
        ("'a', x'2f', 0, 1.5, 1.0, NULL, 0", "image_count is 1.5"),
        ("'a', x'2f', 0, 1, 'noon', NULL, 0", "loaded_at is 'noon'"),
        ("'a', x'2f', 0, 1, 9e999, NULL, 0", "loaded_at is inf"),
        ("'a', x'2f', 0, 1, 1e18, NULL, 0", "loaded_at is 1e+18"),
        ("'a', x'2f', 0, 1, -1.0, NULL, 0", "loaded_at is -1.0"),
        ("'a', x'2f', 0, 1, 1.0, -9e999, 5", "expires_at is -inf"),
        ("'a', x'2f', 0, 1, 1.0, 4e11, 5", "expires_at is 4"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, -1", "timeout_minutes is -1"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 5256001", "timeout_minutes is 5256001"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 'x'", "timeout_minutes is 'x'"),
        ("'.a', x'2f', 0, 1, 1.0, NULL, 0", "name is none"),
        ("'../a', x'2f', 0, 1, 1.0, NULL, 0", "name is none"),
        ("'', x'2f', 0, 1, 1.0, NULL, 0", "name is none"),
        ("x'61', x'2f', 0, 1, 1.0, NULL, 0", "name is none"),
        ("CAST(x'ff' AS TEXT), x'2f', 0, 1, 1.0, NULL, 0", "name is none"),
    )

    def test_set_aside(self) -> None:
        """Each is set aside with one line that names it and says why, for good and whole; the good
        one is restored, and the file stays where it is.
        """
        for values, why in self.ROWS:
            store = self.open()
            store.put(SCAN)
            self.sql(f"INSERT INTO collections VALUES ({values})")
            store.close()
            self.logged.clear()
            store = self.open()
            self.assertIsNone(store.moved_aside, values)
            self.assertEqual(store.collections(), [SCAN], values)
            (line,) = self.logged
            self.assertIn(f"makes no sense: its {why}", line)
            self.assertEqual(store.collections(), [SCAN])
            self.assertEqual(len(self.logged), 1, "told again")
            store.close()
        other = sqlite3.connect(self.path)
        other.text_factory = bytes
        kept = other.execute("SELECT * FROM set_aside").fetchall()
        other.close()
        self.assertEqual(len(kept), len(self.ROWS))
        self.assertEqual(kept[0], (b"a", 5, 0, 1, 1.0, None, 0, b"its directory is 5"))

    def test_many(self) -> None:
        """Several are told in as many lines, and those between them are restored."""
        store = self.open()
        for name in ("b", "d"):
            store.put(replace(SCAN, name=name))
        for name in ("a", "c", "e"):
            self.sql(f"INSERT INTO collections VALUES ('{name}', x'', 0, 1, 1.0, NULL, 0)")
        self.assertEqual([row.name for row in store.collections()], ["b", "d"])
        self.assertEqual(len(self.logged), 3)

    def test_edges(self) -> None:
        """The last values that make sense do."""
        row = replace(
            SCAN, directory="/", image_count=0, loaded_at=0.0, expires_at=253370764799.0,
            timeout_minutes=5256000, name="-" * 64,
        )  # fmt: skip
        store = self.open()
        store.put(row)
        self.assertEqual(store.collections(), [row])

    def test_that_cannot_be_set_aside(self) -> None:
        """Where nothing can be stored the good ones are restored all the same."""
        store = self.open(patience=0)
        store.put(SCAN)
        self.sql("INSERT INTO collections VALUES ('a', x'', 0, 1, 1.0, NULL, 0)")
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertEqual(store.collections(), [SCAN])
        (line,) = self.logged
        self.assertIn("another program has the state file locked", line)


class PlaceTests(StateCase):
    """The file that is open is not the one at its path any more."""

    def assert_refused(self, store) -> None:
        for change in (
            lambda: store.put(WEEKLY),
            lambda: store.remove("current"),
            lambda: store.reschedule([("current", None, 0)]),
            lambda: store.in_place(self.fail, "called"),
            store.check_place,
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

    def test_vanishes_meanwhile(self) -> None:
        """What was done while the folder vanished is not acknowledged."""
        store = self.open()
        with self.assertRaises(Unavailable):
            store.in_place(shutil.rmtree, self.folder)


class UnavailableTests(StateCase):
    """Disks that will not: a sentence for whoever asked, and the old row stays."""

    def assert_unavailable(self, reason, store) -> None:
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
        store = self.open(patience=0)
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
            Store.open(self.path, patience=0)
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
