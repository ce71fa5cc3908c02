"""What is kept of DICOM files: found again, dropped, and lost without harm."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.dicom.index_file import UNUSED, StoreLost
from imgd.dicom.index_store import IndexStore, RecordsMissing
from imgd.dicom.model import IndexedInstance, IndexEntry, NotIndexed
from imgd.errors import Unavailable
from imgd.files.dicom_survey import SurveyedFile
from imgd.host.workers import JobProgress
from imgd.pictures.instances import Broken, Ignored, Indexed, Instance, Pixels
from tests.fakes import log_lines

DAY = 86400
ROUNDS = int(os.environ.get("IMGD_TEST_ROUNDS", "60"))
FACTS = FileFacts(100, 5_000_000_000, 7, 2**64 - 3)  # an inode with all of its 64 bits


def surveyed(name: str, folder: str = "/data", facts: FileFacts = FACTS) -> SurveyedFile:
    return SurveyedFile(name, f"{folder}/{name}", facts)


def instance(uid: str = "1.2.3", **more: Any) -> Instance:
    return Instance(
        study="1",
        series="1.2",
        uid=uid,
        modality="CT",
        number=4,
        metadata=msgspec.Raw(b'{"00080018":{"vr":"UI"}}'),
        **more,
    )


class IndexStoreCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "dicom.sqlite3")
        self.lines = log_lines(self, "imgd.dicom")
        self.now = 1_800_000_000.0

    def open(self, version: bytes = b"v") -> IndexStore:
        store = IndexStore(self.path, version, lambda: self.now)
        self.addCleanup(store.close)
        return store

    def put(self, store: IndexStore, told: Indexed, name: str = "a") -> IndexEntry:
        return store.put([(surveyed(name), told)])[name]

    def find(
        self, store: IndexStore, *files: SurveyedFile, root: str = "/data"
    ) -> dict[str, IndexEntry]:
        return store.find(root, files or [surveyed("a")], JobProgress())

    def rows(self, table: str = "files") -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            [[count]] = connection.execute(f"SELECT count(*) FROM {table}")
        return int(count)


class KeptTests(IndexStoreCase):
    def test_instance(self) -> None:
        """An instance is found again by another store, with all that was told of it."""
        pixels = Pixels("PixelData", 1000, 8192)
        told = instance(pixels=pixels, rows=64, columns=32, frames=1, series_number=9)
        store = self.open()
        put = self.put(store, told)
        assert isinstance(put, IndexedInstance)
        self.assertEqual(
            (put.names, put.facts, put.offset, put.length), (("a",), FACTS, 1000, 8192)
        )
        self.assertEqual((put.number, put.series_number, put.rows, put.columns), (4, 9, 64, 32))
        store.close()
        again = self.open()
        self.assertEqual(self.find(again), {"a": put})
        self.assertEqual(again.records([put]), [told])

    def test_encapsulated(self) -> None:
        """Of pixels in fragments, memory keeps no offset; the record has them."""
        told = instance(pixels=Pixels("PixelData", 1000, 50, [[1008, 42]]))
        store = self.open()
        put = self.put(store, told)
        assert isinstance(put, IndexedInstance)
        self.assertEqual((put.offset, put.length), (0, 0))
        self.assertEqual(store.records([put]), [told])

    def test_no_instance(self) -> None:
        """Files that are broken or ignored are kept, too, so that they are not read again."""
        store = self.open()
        self.put(store, Broken("Its end is missing."), "b")
        self.put(store, Ignored(), "i")
        found = self.find(self.open(), surveyed("b"), surveyed("i"))
        broken, ignored = NotIndexed(FACTS, "Its end is missing."), NotIndexed(FACTS, "")
        self.assertEqual(found, {"b": broken, "i": ignored})

    def test_other_version_of_a_file(self) -> None:
        """Nothing is found of a file with another size, time or inode; ctime does not count."""
        store = self.open()
        put = self.put(store, instance())
        for change in ({"size": 101}, {"mtime_ns": 5}, {"inode": 8}):
            self.assertEqual(self.find(store, surveyed("a", facts=FACTS._replace(**change))), {})
        moved = FACTS._replace(ctime_ns=99)
        [found] = self.find(store, surveyed("a", facts=moved)).values()
        assert isinstance(found, IndexedInstance)
        assert isinstance(put, IndexedInstance)
        self.assertEqual((found.row, found.facts), (put.row, moved))

    def test_put_again(self) -> None:
        """What is told of a new version takes the place of the old."""
        store = self.open()
        self.put(store, instance("1.2.3"))
        new = self.put(store, instance("1.2.4"))
        assert isinstance(new, IndexedInstance)
        self.assertEqual(store.records([new])[0].uid, "1.2.4")
        self.put(store, Broken("Now it is broken."))
        self.assertEqual((self.rows(), self.rows("records")), (1, 0))

    def test_names(self) -> None:
        """Names that are no UTF-8, and one file under two names, are found."""
        store = self.open()
        name = os.fsdecode(b"\xff\xfe 'x'")
        self.put(store, instance(), name)
        link = SurveyedFile("link", f"/data/{name}", FACTS)
        found = self.find(store, surveyed(name), link)
        self.assertEqual(sorted(found), sorted([name, "link"]))
        self.assertEqual(
            {e.names for e in found.values() if isinstance(e, IndexedInstance)},
            {(name,), ("link",)},
        )

    def test_gone(self) -> None:
        """Of files that are in a folder below the root no more, nothing is kept; a folder that lies
        elsewhere may be another collection's.
        """
        store = self.open()
        for name in "abc":
            self.put(store, instance(f"1.{ord(name)}"), name)
        self.find(store, surveyed("a"), root="/elsewhere")
        self.assertEqual(self.rows(), 3)
        self.find(store, surveyed("a"))
        self.assertEqual((self.rows(), self.rows("records")), (1, 1))

    def test_private(self) -> None:
        """No other user can read the file, or what SQLite puts beside it."""
        self.put(self.open(), instance())
        for name in os.listdir(self.folder):
            mode = stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode)
            self.assertEqual(mode, 0o600, name)


class DroppedTests(IndexStoreCase):
    def test_other_version(self) -> None:
        """What another version of imgd told, or one that may tell of patients, is deleted."""
        store = self.open(b"with patients")
        self.put(store, Broken("The name of a patient."))
        store.close()
        self.assertEqual(self.find(self.open(b"without")), {})
        for name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name), "rb") as file:
                self.assertNotIn(b"name of a patient", file.read())

    def test_drop_old(self) -> None:
        """That is so before anything is asked, if it is asked to; no file is made for that."""
        self.open(b"v").drop_old()
        self.assertEqual(os.listdir(self.folder), [])
        store = self.open(b"with patients")
        self.put(store, Broken("The name of a patient."))
        store.close()
        self.open(b"without").drop_old()
        self.assertEqual(self.rows(), 0)

    def test_unused(self) -> None:
        """What nobody indexed for a month is dropped when the store is opened; what was asked for
        is not.
        """
        for asked, expected in ((False, {}), (True, {"a"})):
            store = self.open()
            self.put(store, instance())
            self.now += UNUSED - DAY
            if asked:
                self.find(store)
            store.close()
            self.now += 3 * DAY
            self.assertEqual(set(self.find(self.open())), set(expected))


class LostTests(IndexStoreCase):
    def test_missing_records(self) -> None:
        """An instance that is not stored, or under whose number another is, is missing."""
        store = self.open()
        known = self.put(store, instance("1.2.3"))
        assert isinstance(known, IndexedInstance)
        self.put(store, instance("1.2.4"))  # under the same name
        missing = self.assertRaises(RecordsMissing, store.records, [known])
        self.assertEqual(missing.instances, [known])
        self.assertEqual(self.find(store), {})  # so that it is asked for again

    def test_broken_rows(self) -> None:
        """A row that makes no sense is as none; it is asked for again."""
        store = self.open()
        known = self.put(store, instance())
        assert isinstance(known, IndexedInstance)
        for sql in ("UPDATE records SET record = x'00'", "UPDATE files SET summary = x'00'"):
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                connection.execute(sql)
            if "records" in sql:
                self.assertRaises(RecordsMissing, store.records, [known])
                self.put(store, instance())
        self.assertEqual(self.find(store), {})

    def test_not_a_store(self) -> None:
        """Whatever lies at its path, another takes its place, and the log says so."""
        junk = (b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 4096)
        for number, data in enumerate(junk, 1):
            with open(self.path, "wb") as file:
                file.write(data)
            store = self.open()
            self.assertIsInstance(self.put(store, instance()), IndexedInstance)
            store.close()
            self.assertEqual(len(self.find(self.open())), 1)
            self.assertEqual(len(self.lines), number, self.lines)
            self.assertRegex(self.lines[-1], "unusable .*, and is made again$")

    def test_foreign_database(self) -> None:
        """A database of something else is replaced."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE version (x); ")
        self.assertIsInstance(self.put(self.open(), instance()), IndexedInstance)

    def test_corrupted(self) -> None:
        """A file that is damaged gives what it had, nothing, or StoreLost; never anything else."""
        rng = random.Random(5)
        store = self.open()
        files = [surveyed(f"f{n}") for n in range(200)]
        store.put((file, instance(f"1.{n}")) for n, file in enumerate(files))
        store.close()
        sound = Path(self.path).read_bytes()
        for _ in range(ROUNDS):
            damaged = bytearray(sound)
            for _ in range(rng.randrange(1, 40)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            end = rng.choice([len(damaged), rng.randrange(len(damaged))])
            Path(self.path).write_bytes(damaged[:end])
            store = self.open()
            try:
                found = self.find(store, *files)
                store.records([e for e in found.values() if isinstance(e, IndexedInstance)])
            except (StoreLost, RecordsMissing):
                pass
            try:
                self.put(store, instance())
            except StoreLost:
                self.put(store, instance())
            store.close()
            for suffix in ("", "-wal", "-shm"):
                if os.path.exists(self.path + suffix):
                    os.remove(self.path + suffix)

    def test_full_disk(self) -> None:
        """If the file cannot grow, the index goes on without it, and the log says so once."""
        store = self.open()
        self.put(store, instance())
        store._file._connection.execute("PRAGMA max_page_count = 1")  # type: ignore[union-attr]
        large = instance(photometric="x" * 100_000)
        self.assertRaises(StoreLost, self.put, store, large)
        self.assertEqual(self.find(store), {})
        put = self.put(store, large)
        assert isinstance(put, IndexedInstance)
        self.assertEqual(store.records([put]), [large])
        self.assertEqual(len(self.lines), 1)
        self.assertRegex(self.lines[0], "cannot be kept in .*: database or disk is full. A restart")

    def test_no_folder(self) -> None:
        """Without its folder, too."""
        self.path = os.path.join(self.folder, "none", "dicom.sqlite3")
        self.assertIsInstance(self.put(self.open(), instance()), IndexedInstance)
        self.assertRegex(self.lines[0], "cannot be kept in .*No such file or directory")

    def test_no_other(self) -> None:
        """If there can be no file at all, the error is Unavailable, in a sentence."""
        store = self.open()
        store._file._use_no_path(OSError("gone"))
        self.put(store, instance())
        store._file._connection.execute("PRAGMA max_page_count = 1")  # type: ignore[union-attr]
        large = instance(photometric="x" * 100_000)
        error = self.assertRaises(Unavailable, self.put, store, large)
        self.assertRegex(error.detail, r"^The index of DICOM cannot be stored: .*\.$")
