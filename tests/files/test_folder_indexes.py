"""Indexes of folders are kept within bounds of time and bytes."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.listing import Layout, Page, Query, Sort
from imgd.errors import NotFound
from imgd.files.dicom_files import DicomFiles
from imgd.files.disk import Root
from imgd.files.folder_indexes import DISUSED, FACTS_AGE, FolderIndexes
from imgd.host.workers import JobCancelled, JobProgress
from tests.collections.manager_case import LONG_AGO
from tests.fakes import write
from tests.files.test_dicom_files import DICOM
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
        self, folder: str = "", sort: Sort = Sort.NAME, progress: JobProgress | None = None
    ) -> Page:
        return self.indexes.page(
            self.root,
            (folder,) if folder else (),
            Query(sort=sort),
            self.indexes.next_number(),
            progress or JobProgress(),
            with_size=False,
        )

    def test_layout(self) -> None:
        """The layout that suits the folder is taken if none was asked for, and one may be chosen;
        the filter changes nothing.
        """
        for query, may_choose, layout in (
            (Query(), True, Layout.GALLERY),
            (Query(contains="001"), True, Layout.GALLERY),
            (Query(layout=Layout.LIST), True, Layout.LIST),
            (Query(), False, Layout.LIST),
        ):
            page = self.indexes.page(
                *(self.root, ("a",), query, self.indexes.next_number(), JobProgress()),
                with_size=False,
                may_choose=may_choose,
            )
            self.assertIs(page.layout, layout)

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

    def test_too_large(self) -> None:
        """One that is too large on its own is used, and not kept."""
        self.indexes = FolderIndexes(self.clock.seconds, max_bytes=100)
        self.assertEqual(self.page("a").total, 100)
        self.assertEqual(len(self.indexes), 0)

    def test_skipped(self) -> None:
        """What a collection does not serve is counted, files and folders apart; the document root
        serves everything.
        """
        for name in ("notes.txt", "README", "sub/x.png", ".hidden", "server.key"):
            write(os.path.join(self.folder, "a", name))
        page = self.page("a")
        self.assertEqual((page.skipped, page.skipped_folders), (0, 0))
        self.root = Root(os.path.join(self.folder, "a"), images_only=True, dicom_files=DicomFiles())
        page = self.page()
        self.assertEqual((page.total, page.skipped, page.skipped_folders), (101, 2, 0))
        self.root = replace(self.root, recursive=False)
        page = self.page()
        self.assertEqual((page.total, page.skipped, page.skipped_folders), (100, 2, 1))

    def test_becomes_dicom(self) -> None:
        """A file that becomes DICOM is seen after a while, though its folder did not change."""
        path = write(os.path.join(self.folder, "a", "IM0000"), b"")
        os.utime(os.path.join(self.folder, "a"), LONG_AGO)
        self.root = Root(os.path.join(self.folder, "a"), images_only=True, dicom_files=DicomFiles())
        self.assertEqual(self.page().skipped, 1)
        with open(path, "r+b") as file:
            file.write(DICOM)
        self.clock.advance(FACTS_AGE + 1)
        page = self.page()
        self.assertEqual((page.total, page.skipped), (101, 0))
        self.assertTrue(page.entries[-1].is_dicom)

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
