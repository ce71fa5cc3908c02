"""Files that are whole or not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from imgd.host import atomic_files

posix_only = skipUnless(os.name == "posix", "modes are POSIX's")

# A file size limit is a full disk that an ordinary user can have: the write itself fails.
FULL_DISK = """
import resource, signal, sys
from imgd.host.atomic_files import write_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_file(sys.argv[1], b"n" * 1000)
except OSError as error:
    sys.exit(3)
"""


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class WriteFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "token")

    def test_writes_and_replaces(self) -> None:
        """A file is written, and written over, with nothing left beside it."""
        atomic_files.write_file(self.path, b"one")
        atomic_files.write_file(self.path, b"two")
        self.assertEqual(read(self.path), b"two")
        self.assertEqual(os.listdir(self.folder), ["token"])

    @posix_only
    def test_mode(self) -> None:
        """A file is its owner's alone, whatever the umask and the old file's mode, unless said."""
        previous = os.umask(0)
        try:
            atomic_files.write_file(self.path, b"open", 0o644)
            self.assertEqual(mode_of(self.path), 0o644)
            atomic_files.write_file(self.path, b"secret")
        finally:
            os.umask(previous)
        self.assertEqual(mode_of(self.path), 0o600)

    def test_failed_rename(self) -> None:
        """What cannot be put in place leaves no temporary file behind."""
        os.mkdir(self.path)
        with self.assertRaises(OSError):
            atomic_files.write_file(self.path, b"data")
        self.assertEqual(os.listdir(self.folder), ["token"])

    @posix_only
    def test_full_disk(self) -> None:
        """A disk that fills up in the middle of the file leaves the old one, and nothing else."""
        atomic_files.write_file(self.path, b"old")
        ended = subprocess.run(
            [sys.executable, "-c", FULL_DISK, os.path.abspath(self.path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
        )
        self.assertEqual(ended.returncode, 3)
        self.assertEqual(read(self.path), b"old")
        self.assertEqual(os.listdir(self.folder), ["token"])

    def test_long_name(self) -> None:
        """A name as long as the file system takes can be written."""
        path = os.path.join(self.folder, "n" * 255)
        atomic_files.write_file(path, b"data")
        self.assertEqual(read(path), b"data")

    def test_leftovers(self) -> None:
        """Temporary files of a killed process are removed; whatever else there is stays."""
        for name in (".imgd-0011.tmp", "token", ".imgd-not", "other.tmp"):
            atomic_files.write_file(os.path.join(self.folder, name), b"")
        atomic_files.remove_leftovers(self.folder)
        self.assertEqual(sorted(os.listdir(self.folder)), [".imgd-not", "other.tmp", "token"])


@posix_only
class PrivateFolderTests(SynchronousTestCase):
    def test_made(self) -> None:
        """The folder is made, with its parents, for its owner alone."""
        path = os.path.join(self.mktemp(), "a", "b")
        atomic_files.make_private_folder(path)
        self.assertEqual(mode_of(path), 0o700)

    def test_tightened(self) -> None:
        """A folder that others can look into is closed to them."""
        path = self.mktemp()
        os.mkdir(path)
        os.chmod(path, 0o755)
        atomic_files.make_private_folder(path)
        self.assertEqual(mode_of(path), 0o700)

    def test_file_in_the_way(self) -> None:
        """A file of that name is an error, not a folder."""
        path = self.mktemp()
        atomic_files.write_file(path, b"")
        with self.assertRaises(OSError):
            atomic_files.make_private_folder(path)
