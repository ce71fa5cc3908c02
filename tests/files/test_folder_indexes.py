"""Indexes of folders are kept within bounds of time and bytes."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.listing import Page, Query, Sort
from imgd.errors import NotFound
from imgd.files.disk import Root
from imgd.files.folder_indexes import DISUSED, FolderIndexes
from imgd.host.workers import JobCancelled, JobProgress
from tests.collections.manager_case import LONG_AGO
from tests.fakes import write
from tests.scans import Scans


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        for folder in ("a", "b", "c"):
            for number in range(100):
                write(os.path.join(self.folder, folder, f"{number:03}.png"))
            os.utime(os.path.join(self.folder, folder), LONG_AGO)
        self.clock = Clock()
        self.indexes = FolderIndexes(self.clock.seconds)
        self.root = Root(self.folder)

    def page(
        self, folder: str, sort: Sort = Sort.NAME, progress: JobProgress | None = None
    ) -> Page:
        return self.indexes.page(
            self.root,
            (folder,),
            Query(sort=sort),
            self.indexes.next_number(),
            progress or JobProgress(),
            with_size=False,
        )

    def test_disuse(self) -> None:
        """What nobody asks for in a minute is dropped, and nothing else."""
        self.page("a")
        self.clock.advance(DISUSED - 1)
        self.page("b")
        self.indexes.drop_unused()
        self.assertEqual(len(self.indexes), 2)
        self.clock.advance(1)
        self.indexes.drop_unused()
        self.assertEqual(len(self.indexes), 1)
        scans = Scans(os.path.join(self.folder, "b"))
        self.page("b")
        self.assertEqual(scans.count, 0)

    def test_bytes(self) -> None:
        """The bytes of all are bounded: what was not used for longest goes first."""
        self.page("a")
        self.indexes = FolderIndexes(self.clock.seconds, max_bytes=self.indexes.bytes_kept * 5 // 2)
        for folder in ("a", "b", "a", "c"):
            self.page(folder)
        self.assertEqual(len(self.indexes), 2)
        scans = [Scans(os.path.join(self.folder, folder)) for folder in "abc"]
        for folder in ("a", "c", "b"):
            self.page(folder)
        self.assertEqual([s.count for s in scans], [0, 1, 0])

    def test_held(self) -> None:
        """The index of a folder is kept while it is held, however large it is and however long."""
        self.indexes = FolderIndexes(self.clock.seconds, max_bytes=100)
        with self.indexes.held(self.root, ("a",)):
            self.page("a")
            with self.indexes.held(self.root, ("a",)):
                self.page("b")
            self.clock.advance(DISUSED + 1)
            self.indexes.drop_unused()
            scans = Scans(os.path.join(self.folder, "a"))
            self.page("a")
            self.assertEqual((scans.count, len(self.indexes)), (0, 1))
        self.assertEqual(len(self.indexes), 0)

    def test_too_large(self) -> None:
        """One that is too large on its own is used, and not kept."""
        self.indexes = FolderIndexes(self.clock.seconds, max_bytes=100)
        self.assertEqual(self.page("a").total, 100)
        self.assertEqual(len(self.indexes), 0)

    def test_gone(self) -> None:
        """A folder that has gone is NotFound, kept or not; another in its place is another."""
        self.page("a")
        folder = os.path.join(self.folder, "a")
        os.rename(folder, os.path.join(self.folder, "away"))
        self.assertRaises(NotFound, self.page, "a")
        os.rename(os.path.join(self.folder, "b"), folder)
        os.remove(os.path.join(folder, "000.png"))
        os.utime(folder, LONG_AGO)
        self.assertEqual(self.page("a").total, 99)

    def test_dropped(self) -> None:
        """Work that nobody waits for ends on its way, and leaves nothing half done behind."""
        progress = JobProgress()
        progress.is_wanted = False
        self.assertRaises(JobCancelled, self.page, "a", progress=progress)
        self.assertEqual(len(self.indexes), 0)
        self.page("a")
        self.clock.advance(30)
        self.assertRaises(JobCancelled, self.page, "a", Sort.SIZE, progress)
        self.assertEqual(self.page("a", Sort.SIZE).matching, 100)
