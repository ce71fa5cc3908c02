"""Which files are DICOM by their bytes, and when they are read for it."""

from __future__ import annotations

import os
import time

from imgd.files.dicom_files import HEAD_SIZE, DicomFiles
from tests.collections.folder_case import FolderCase
from tests.fakes import write

DICOM = bytes(128) + b"DICM" + b"\x02\x00"
MINUTE_NS = 60_000_000_000


def later() -> int:
    """A clock by which every file of a test has settled."""
    return time.time_ns() + MINUTE_NS


class DicomFilesTests(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.reads = 0

    def read_head(self, fd: int) -> bytes:
        self.reads += 1
        return os.pread(fd, HEAD_SIZE, 0)

    def is_dicom(self, files: DicomFiles, name: str) -> bool:
        """By memory if it is there, else by the file's bytes."""
        path = self.join(name)
        known = files.recall(path, os.stat(path))
        if known is not None:
            return known
        fd = os.open(path, os.O_RDONLY)
        try:
            return files.look(path, fd)
        finally:
            os.close(fd)

    def test_bytes(self) -> None:
        """DICM at byte 128 decides, and nothing else; a shorter file is not read."""
        files = DicomFiles(self.read_head)
        for content, expected, reads in (
            (DICOM, True, 1),
            (DICOM[:HEAD_SIZE], True, 1),
            (os.urandom(128) + b"DICM", True, 1),
            (DICOM[:-3], False, 0),
            (bytes(127) + b"DICM" + bytes(9), False, 1),
            (bytes(128) + b"dicm", False, 1),
            (b"DICM" + bytes(200), False, 1),
            (b"", False, 0),
        ):
            self.reads = 0
            write(self.join("IM0000"), content)
            self.assertEqual(self.is_dicom(files, "IM0000"), expected, content)
            self.assertEqual(self.reads, reads, content)

    def test_portable(self) -> None:
        """Its own way to read finds the same, and leaves the file's position where it was."""
        write(self.join("a"), DICOM)
        self.assertTrue(self.is_dicom(DicomFiles(), "a"))

    def test_once(self) -> None:
        """What has settled is read once for each version of each path, whatever the answer."""
        files = DicomFiles(self.read_head, later)
        write(self.join("a"), DICOM)
        write(self.join("b"), bytes(200))
        for _ in range(3):
            self.assertEqual([self.is_dicom(files, name) for name in "ab"], [True, False])
        self.assertEqual(self.reads, 2)
        os.utime(self.join("b"), (1, 1))
        self.assertFalse(self.is_dicom(files, "b"))
        self.assertEqual(self.reads, 3)
        os.replace(self.join("a"), self.join("b"))
        self.assertTrue(self.is_dicom(files, "b"))
        self.assertEqual(self.reads, 4)

    def test_rewritten(self) -> None:
        """A file that was rewritten in place, and given its old time, is read again."""
        files = DicomFiles(self.read_head, later)
        path = write(self.join("a"), bytes(len(DICOM)))
        before = os.stat(path)
        self.assertFalse(self.is_dicom(files, "a"))
        with open(path, "r+b") as file:
            file.write(DICOM)
        while os.stat(path).st_ctime_ns == before.st_ctime_ns:  # one step of the kernel's clock
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertTrue(self.is_dicom(files, "a"))

    def test_not_settled(self) -> None:
        """What was written a moment ago may change again unseen: it is read each time."""
        files = DicomFiles(self.read_head)
        write(self.join("a"), DICOM)
        self.assertTrue(self.is_dicom(files, "a"))
        self.assertTrue(self.is_dicom(files, "a"))
        self.assertEqual(self.reads, 2)

    def test_bounded(self) -> None:
        """Of more files than it may remember, the oldest are forgotten."""
        files = DicomFiles(self.read_head, later, most=10)
        names = [f"IM{number:04}" for number in range(15)]
        for name in names:
            write(self.join(name), DICOM)
            self.assertTrue(self.is_dicom(files, name))
        known = [files.recall(self.join(name), os.stat(self.join(name))) for name in names]
        self.assertEqual(known, [None] * 5 + [True] * 10)
