"""Files that are no store, or one of an earlier version."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace

from imgd.collections.store import APPLICATION_ID, VERSION, Store, StoredTimeout
from imgd.errors import Unavailable
from tests.collections.store_case import SCAN, StoreCase


class UnusableTests(StoreCase):
    """Files that are no store: moved aside, logged, and a new one begun."""

    def assert_moved_aside(self, why: str) -> None:
        with open(self.path, "rb") as file:
            content = file.read()
        self.logged.clear()
        store = self.open()
        self.assertEqual(store.collections(), [])
        store.put(SCAN)
        aside = store.moved_aside or ""
        self.assertRegex(aside, r"catalog\.sqlite3\.corrupt-\d{8}T\d{6}")
        with open(aside, "rb") as file:
            self.assertEqual(file.read(), content)
        (line,) = self.logged
        for part in (self.path + " ", aside + ",", why):
            self.assertIn(part, line)
        store.close()
        self.assertIsNone(self.open().moved_aside)

    def fill(self, rows: int = 300) -> None:
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
        with open(f"{store.moved_aside}-wal", "rb") as file:
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


class EarlierVersionTests(StoreCase):
    """A file of the first version, which had no default timeout."""

    def setUp(self) -> None:
        super().setUp()
        store = self.open()
        store.put(SCAN)
        store.close()
        self.sql(
            "ALTER TABLE collections DROP COLUMN all_files",
            "DROP TABLE default_timeout",
            "PRAGMA user_version = 1",
        )

    def test_upgraded(self) -> None:
        """It opens with what it holds, and stores what is new."""
        store = self.open()
        self.assertIsNone(store.moved_aside)
        self.assertEqual(store.collections(), [SCAN])
        self.assertIsNone(store.default_timeout())
        store.set_default_timeout(StoredTimeout(5, 30))
        store.close()
        again = self.open()
        self.assertEqual(again.collections(), [SCAN])
        self.assertEqual(again.default_timeout(), StoredTimeout(5, 30))
        self.assertEqual(self.logged, [])

    def test_second_version(self) -> None:
        """One that has set a row aside, and no column that says which files are served: what was
        loaded serves images alone, and another row can be set aside beside the first.
        """
        columns = "name, directory, recursive, image_count, loaded_at, expires_at, timeout_minutes"
        self.sql(
            "CREATE TABLE default_timeout (minutes INTEGER, configured_minutes INTEGER)",
            f"CREATE TABLE set_aside ({columns}, why)",
            "INSERT INTO set_aside VALUES ('x', '', 0, 0, 0, NULL, 0, 'once')",
            "INSERT INTO collections VALUES ('bad', x'', 0, 1, 1.0, NULL, 0)",
            "PRAGMA user_version = 2",
        )
        store = self.open()
        self.assertIsNone(store.moved_aside)
        self.assertEqual(store.collections(), [SCAN])
        store.put(replace(SCAN, all_files=True))
        store.close()
        self.assertEqual(self.open().collections(), [replace(SCAN, all_files=True)])
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        kept = other.execute("SELECT name, why, all_files FROM set_aside").fetchall()
        self.assertEqual(kept[0], ("x", "once", None))
        self.assertEqual((kept[1][0], kept[1][2]), ("bad", 0))

    def test_disk_is_full(self) -> None:
        """If it cannot be upgraded, nothing is moved aside, and it is the first version still."""
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertRaises(Unavailable, Store.open, self.path, lock_timeout=0)
        other.execute("ROLLBACK")
        self.assertEqual(other.execute("PRAGMA user_version").fetchone(), (1,))
        self.assertEqual([n for n in os.listdir(self.folder) if "corrupt" in n], [])

    def test_damaged(self) -> None:
        """One that is damaged is moved aside, as any other."""
        self.sql("DROP TABLE collections", "CREATE TABLE collections (name)")
        self.assertIsNotNone(self.open().moved_aside)
