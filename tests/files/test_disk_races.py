"""Files that change while they are opened, judged and read."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from imgd.files import disk, real_path
from imgd.files.real_path import RealPath
from tests.fakes import write
from tests.files.disk_case import (
    BEST,
    DiskCase,
)
from tests.host.this_machine import open_descriptors


class RaceTests(DiskCase):
    """Names that change their meaning while they are looked at."""

    def after_opening(self, change: RealPath, then: RealPath) -> RealPath:
        def way(fd: int, path: str) -> str:
            change(fd, path)
            return then(fd, path)

        return way

    def test_swapped_for_a_link(self) -> None:
        """A file that becomes a link out, over and over, is served, or is not found; never
        what the link leads to.
        """
        target = self.join("swap.png")
        write(target, b"mine")
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                os.symlink("../outside/o.png", self.join("next"))
                os.replace(self.join("next"), target)
                os.replace(write(self.join("next"), b"mine"), target)

        thread = threading.Thread(target=swap)
        thread.start()
        seen = set()
        try:
            for _ in range(20_000):
                seen.add(self.data(self.root, "swap.png"))
                if len(seen) > 1:
                    break
            for _ in range(1_000):
                for way in (real_path.choose(), real_path.by_name):
                    seen.add(self.data(self.root, "swap.png", way))
        finally:
            stop.set()
            thread.join()
        self.assertLessEqual(seen, {b"mine", None})

    def test_folder_swapped_for_a_link(self) -> None:
        """Nor is what a folder's name leads to while that is a link out."""
        if BEST is real_path.by_name:
            self.skipTest("a descriptor cannot be asked where it lies")
        folder, aside, link = self.join("swap"), self.join("aside"), self.join("link")
        write(os.path.join(folder, "o.png"), b"mine")
        os.symlink("../outside", link)
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                for source, target in (
                    *((folder, aside), (link, folder)),
                    *((folder, link), (aside, folder)),
                ):
                    os.rename(source, target)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            seen = {self.data(self.root, "swap/o.png") for _ in range(3_000)}
        finally:
            stop.set()
            thread.join()
        self.assertLessEqual(seen, {b"mine", None})

    def test_opened_then_swapped(self) -> None:
        """What was opened is judged, not what the name leads to by then."""

        def to_inside(_fd: int, path: str) -> str:
            os.remove(path)
            os.link(self.join("a.png"), path)
            return ""

        for way in (real_path.choose(), real_path.by_name):
            path = self.join("race.png")
            os.symlink("../outside/o.png", path)
            self.assertIsNone(self.data(self.root, "race.png", self.after_opening(to_inside, way)))
            os.remove(path)

    def test_replaced_by_its_writer(self) -> None:
        """A frame that is replaced right after it was opened is an image still, a key a key."""

        def replaced(_fd: int, path: str) -> str:
            os.replace(write(path + ".part", b"new"), os.path.realpath(path))
            return ""

        if real_path.choose() is real_path.by_name:
            self.skipTest("without /proc or F_GETPATH it is not found for once")
        way = self.after_opening(replaced, real_path.choose())
        images = replace(self.root, images_only=True)
        self.assertEqual(self.data(images, "a.png", way), b"a")
        self.assertEqual(self.data(images, "a.png"), b"new")
        os.symlink("server.key", self.join("plain"))
        self.assertIsNone(self.data(self.root, "plain", way))

    def test_fails_after_opening(self) -> None:
        """If the real path cannot be found out, the file is closed and not found."""

        def fails(_fd: int, _path: str) -> str:
            raise PermissionError

        def breaks(_fd: int, _path: str) -> str:
            raise ZeroDivisionError

        before = open_descriptors()
        self.assertIsNone(self.data(self.root, "a.png", fails))
        self.assertRaises(ZeroDivisionError, disk.open_file, self.root, ("a.png",), breaks)
        self.assertEqual(open_descriptors(), before)


class OpenFileTests(DiskCase):
    """An open file."""

    def setUp(self) -> None:
        super().setUp()
        self.content = bytes(range(256)) * 300
        write(self.join("big.nii"), self.content)
        self.file = disk.open_file(self.root, ("big.nii",))
        self.addCleanup(self.file.close)

    def test_facts(self) -> None:
        """Its facts are those of the file that is open, and a listing's are the same."""
        st = os.stat(self.join("big.nii"))
        self.assertEqual(
            self.file.facts, (len(self.content), st.st_mtime_ns, st.st_ctime_ns, st.st_ino)
        )
        listed = disk.stat_file(self.root, ("big.nii",))
        self.assertEqual((listed.size, listed.mtime_ns), (st.st_size, st.st_mtime_ns))
        self.assertEqual(self.file.name, "big.nii")

    def test_read(self) -> None:
        """Any part can be read in any order, and the portable way reads the same."""
        end = len(self.content)
        for offset, length in [
            (0, 1),
            (end - 1, 10),
            (5, 70_000),
            (0, end),
            (end, 1),
            (end + 5, 1),
            (3, 0),
        ]:
            with self.subTest(offset=offset, length=length):
                expected = self.content[offset : offset + length]
                self.assertEqual(self.file.read(offset, length), expected)
                self.assertEqual(disk.seek_and_read(self.file.fd, length, offset), expected)

    def test_unchanged(self) -> None:
        """Renaming, replacing or deleting a file leaves it whole; writing to it does not."""
        path = self.join("big.nii")
        self.assertTrue(self.file.is_unchanged())
        os.rename(path, path + ".old")
        write(path, b"another")
        self.assertTrue(self.file.is_unchanged())
        os.remove(path + ".old")
        self.assertTrue(self.file.is_unchanged())
        self.assertEqual(self.file.read(0, len(self.content)), self.content)
        for change in (
            lambda file: file.write(b"x"),
            lambda file: file.truncate(9),
            lambda file: file.seek(0, 2) and file.write(b"more"),
        ):
            write(path, b"another file")
            opened = disk.open_file(self.root, ("big.nii",))
            with open(path, "r+b") as file:
                change(file)
            os.utime(path, ns=(0, opened.facts.mtime_ns + 1))
            self.assertFalse(opened.is_unchanged())
            opened.close()

    def test_close(self) -> None:
        """A second close does not close what has the number by then."""
        self.file.close()
        other = os.open(self.join("a.png"), os.O_RDONLY)
        self.addCleanup(os.close, other)
        self.file.close()
        self.assertEqual(os.fstat(other).st_size, 1)
        self.assertRaises(OSError, self.file.read, 0, 1)

    def test_not_inherited(self) -> None:
        """Another program that is started does not get the file."""
        self.assertFalse(os.get_inheritable(self.file.fd))
