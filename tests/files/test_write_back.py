"""Bytes that are handed out to be kept show in the file's times once they change."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from imgd.files import versions, write_back
from tests.fakes import write

SHARED_MEMORY = "/dev/shm"
SIZE = 20_000


@contextmanager
def mapped(path: str) -> Iterator[mmap.mmap]:
    """A file's bytes, to be stored to as numpy.memmap does."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        yield memory


def next_tick(path: str) -> None:
    """Return when the clock that stamps files is later than this file's times: 10 ms at most."""
    stamped, probe = os.stat(path).st_ctime_ns, write(path + ".probe")
    while os.stat(probe).st_ctime_ns <= stamped:
        os.utime(probe)
    os.remove(probe)


def version_of(path: str) -> versions.FileVersion:
    """The version that is there."""
    with open(path, "rb") as file:
        return versions.version_of(file.fileno())


def need_write_back(path: str) -> None:
    """Skip where the tests' own files lie on a system that promises nothing."""
    with open(path, "rb") as file:
        if not write_back.keeps_times(file.fileno()):
            raise SkipTest("the file system of the tests keeps no times of mapped stores")


class ReadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = write(os.path.realpath(self.mktemp()) + "/a.raw", bytes(SIZE))

    def test_every_store_shows(self) -> None:
        """Whatever is stored to a page that was dirty, the times move after it was read."""
        need_write_back(self.path)
        with mapped(self.path) as memory:
            for number in range(1, 100):
                memory[number * 100] = number  # many of the same page, which has moved the times
                memory[number] = number
                version = version_of(self.path)
                self.assertEqual(write_back.read(self.path, version), bytes(memory))
                next_tick(self.path)
                memory[number] = 0
                self.assertNotEqual(version_of(self.path), version)

    def test_another_version(self) -> None:
        """Nothing is read where the file is another one, or has gone."""
        version = version_of(self.path)
        os.utime(self.path, ns=(1, 1))
        self.assertIsNone(write_back.read(self.path, version))
        os.remove(self.path)
        self.assertIsNone(write_back.read(self.path, version))

    def test_memory_disk(self) -> None:
        """Nothing is promised of a file on tmpfs, which never writes back."""
        if not os.path.isdir(SHARED_MEMORY):
            raise SkipTest("no tmpfs")
        path = write(os.path.join(SHARED_MEMORY, f"imgd-test-{os.getpid()}"), bytes(SIZE))
        self.addCleanup(os.remove, path)
        self.assertIsNone(write_back.read(path, version_of(path)))

    def test_no_file_system(self) -> None:
        """Nor of what is on no mount, such as a pipe, or is not open."""
        for fd in (*os.pipe(), -1):
            self.assertFalse(write_back.keeps_times(fd))
            if fd >= 0:
                os.close(fd)


class KindTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A line of mountinfo, with optional fields or none, tells of its own mount alone."""
        for line, mount, kind in (
            ("27 1 254:0 / / rw - ext4 /dev/vda rw\n", "27", "ext4"),
            ("27 1 254:0 / / rw shared:1 master:2 - xfs /dev/vda rw\n", "27", "xfs"),
            ("27 1 254:0 / / rw - ext4 /dev/vda rw\n", "2", ""),
            ("27 1 254:0 / / rw - ext4 /dev/vda rw\n", "", ""),
            (r"30 1 0:1 / /a\040-\040ext4 rw - tmpfs x rw", "30", "tmpfs"),
            ("27", "27", ""),
            ("", "", ""),
        ):
            self.assertEqual(write_back.kind_of(line, mount), kind, (line, mount))
