"""Rows that make no sense, beside those that do."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.store import StoredCollection, StoredTimeout
from imgd.core.catalog import Collection
from tests.collections.store_case import SCAN, StoreCase


class CollectionTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """A collection that was stored is the same again, with the deadline that it is given."""
        collection = Collection(
            "a", "/a", True, 3, 1_700_000_000.0, 5, deadline=100.0, all_files=True
        )
        stored = StoredCollection.of(collection, expires_at=2000.0)
        self.assertEqual(stored.expires_at, 2000.0)
        self.assertEqual(stored.to_collection(deadline=100.0), collection)


class BadRowTests(StoreCase):
    """Rows that make no sense, beside one that does."""

    ROWS = (
        ("'a', 5, 0, 1, 1.0, NULL, 0, 0", "directory is 5"),
        ("'a', x'61', 0, 1, 1.0, NULL, 0, 0", "directory is b'a'"),
        ("'a', x'2f0061', 0, 1, 1.0, NULL, 0, 0", "directory is b'/"),
        ("'a', x'', 0, 1, 1.0, NULL, 0, 0", "directory is b''"),
        ("'a', x'2f', 2, 1, 1.0, NULL, 0, 0", "recursive is 2"),
        ("'a', x'2f', 0, -1, 1.0, NULL, 0, 0", "image_count is -1"),
        ("'a', x'2f', 0, 1.5, 1.0, NULL, 0, 0", "image_count is 1.5"),
        ("'a', x'2f', 0, 1, 'noon', NULL, 0, 0", "loaded_at is 'noon'"),
        ("'a', x'2f', 0, 1, 9e999, NULL, 0, 0", "loaded_at is inf"),
        ("'a', x'2f', 0, 1, 1e18, NULL, 0, 0", "loaded_at is 1e+18"),
        ("'a', x'2f', 0, 1, -1.0, NULL, 0, 0", "loaded_at is -1.0"),
        ("'a', x'2f', 0, 1, 1.0, -9e999, 5, 0", "expires_at is -inf"),
        ("'a', x'2f', 0, 1, 1.0, 4e11, 5, 0", "expires_at is 4"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, -1, 0", "timeout_minutes is -1"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 5256001, 0", "timeout_minutes is 5256001"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 'x', 0", "timeout_minutes is 'x'"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 5, 2", "all_files is 2"),
        ("'a', x'2f', 0, 1, 1.0, 9.0, 5, 'yes'", "all_files is 'yes'"),
        ("'.a', x'2f', 0, 1, 1.0, NULL, 0, 0", "name is none"),
        ("'../a', x'2f', 0, 1, 1.0, NULL, 0, 0", "name is none"),
        ("'', x'2f', 0, 1, 1.0, NULL, 0, 0", "name is none"),
        ("x'61', x'2f', 0, 1, 1.0, NULL, 0, 0", "name is none"),
        ("CAST(x'ff' AS TEXT), x'2f', 0, 1, 1.0, NULL, 0, 0", "name is none"),
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
            self.assertEqual(len(self.logged), 1, "logged again")
            store.close()
        other = sqlite3.connect(self.path)
        other.text_factory = bytes
        kept = other.execute("SELECT * FROM set_aside").fetchall()
        other.close()
        self.assertEqual(len(kept), len(self.ROWS))
        self.assertEqual(kept[0], (b"a", 5, 0, 1, 1.0, None, 0, 0, b"its directory is 5"))

    def test_many(self) -> None:
        """Several are logged in as many lines, and those between them are restored."""
        store = self.open()
        for name in ("b", "d"):
            store.put(replace(SCAN, name=name))
        for name in ("a", "c", "e"):
            self.sql(f"INSERT INTO collections VALUES ('{name}', x'', 0, 1, 1.0, NULL, 0, 0)")
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
        store = self.open(lock_timeout=0)
        store.put(SCAN)
        self.sql("INSERT INTO collections VALUES ('a', x'', 0, 1, 1.0, NULL, 0, 0)")
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertEqual(store.collections(), [SCAN])
        (line,) = self.logged
        self.assertIn("another program has the state file locked", line)


class TimeoutTests(StoreCase):
    """A default timeout that makes no sense."""

    def test_ignored(self) -> None:
        """It is not used, with one line that says why; the next one that is set is."""
        for values, why in (
            ("'x', 30", "minutes is 'x'"),
            ("-1, 30", "minutes is -1"),
            ("5256001, 30", "minutes is 5256001"),
            ("5, 1.5", "configured_minutes is 1.5"),
        ):
            store = self.open()
            self.sql(f"INSERT INTO default_timeout VALUES ({values})")
            self.logged.clear()
            self.assertIsNone(store.default_timeout(), values)
            (line,) = self.logged
            self.assertIn(f"makes no sense, and is not used: its {why}", line)
            store.set_default_timeout(StoredTimeout(5, 30))
            self.assertEqual(store.default_timeout(), StoredTimeout(5, 30))
            store.set_default_timeout(None)
            self.assertIsNone(store.default_timeout())
            store.close()
