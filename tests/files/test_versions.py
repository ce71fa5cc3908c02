"""Whether a file is still the one that was read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.files import versions
from tests.fakes import write

NS = 1_000_000_000


class SettledTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A file has rested when neither of its times is of the last seconds, nor of the future."""
        for ctime, mtime, rested in (
            (90, 90, True),
            (97, 90, True),
            (97.6, 90, False),
            (90, 97.6, False),
            (90, 200, False),
            (200, 90, False),
        ):
            version = versions.FileVersion(int(ctime * NS), int(mtime * NS), 1, 1, 1)
            self.assertEqual(versions.is_settled(version, 100.0), rested, (ctime, mtime))


FAILING_FSTAT = """
import os, sys
from imgd.files import versions
path = sys.argv[1]
with open(path, "rb") as file:
    version = versions.version_of(file.fileno())
before = os.listdir("/proc/self/fd")
sys.exit(versions.reopen(path, version) is not None or os.listdir("/proc/self/fd") != before)
"""


class ReopenTests(SynchronousTestCase):
    def test_failing_disk(self) -> None:
        """A file whose disk fails once it is open is not the same, and no descriptor is left."""
        strace = shutil.which("strace")
        if strace is None:
            raise SkipTest("there is no strace on this machine")
        path = write(os.path.realpath(self.mktemp()) + "/a.jpg")
        calls = [f"inject=?{call}:error=EIO:when=N+" for call in ("fstat", "newfstatat")]
        for first, status in ((99, 1), (2, 0)):  # of the file: open() asks once, and each version
            rules = [word for call in calls for word in ("-e", call.replace("N", str(first + 1)))]
            command = [strace, "-f", "-o", os.devnull, "-P", path, *rules]
            done = subprocess.run(
                [*command, sys.executable, "-c", FAILING_FSTAT, path],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                timeout=60,
                check=False,
            )
            if b"ptrace" in done.stderr:
                raise SkipTest("strace may not trace")
            self.assertEqual((done.returncode, done.stderr), (status, b""))


class ValidatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.path = write(os.path.join(self.folder, "sub", "a.jpg"))
        self.later: list[Callable[[], None]] = []
        self.validator = versions.PathValidator(self.later.append)
        with open(self.path, "rb") as file:
            self.version = versions.version_of(file.fileno())

    def is_same(self) -> bool:
        return self.validator.is_same(self.path, os.path.dirname(self.path), self.version)

    def test_same(self) -> None:
        """A file that nobody touched is the same, turn after turn, and folders are asked once."""
        for _ in range(3):
            self.assertTrue(self.is_same())
            self.assertTrue(self.is_same())
            self.assertEqual(len(self.later), 1)
            self.later.pop()()

    def test_folder_became_a_link(self) -> None:
        """In the next turn a folder that became a link is not the one that was judged."""
        self.assertTrue(self.is_same())
        os.rename(os.path.dirname(self.path), os.path.join(self.folder, "moved"))
        os.symlink("moved", os.path.dirname(self.path))
        self.later.pop()()
        self.assertFalse(self.is_same())

    def test_touched(self) -> None:
        """A change of times or mode alone is another version."""
        os.utime(self.path, ns=(1, 1))
        self.assertFalse(self.is_same())

    def test_gone(self) -> None:
        """A file that has gone is not the same, and cannot be opened again."""
        os.remove(self.path)
        self.assertFalse(self.is_same())
        self.assertIsNone(versions.reopen(self.path, self.version))

    def test_reopen(self) -> None:
        """The very version is opened again, another or a link to it is not."""
        file = versions.reopen(self.path, self.version)
        assert file is not None
        file.close()
        os.rename(self.path, self.path + ".old")
        os.symlink(self.path + ".old", self.path)
        self.assertIsNone(versions.reopen(self.path, self.version))
        os.remove(self.path)
        write(self.path)
        self.assertIsNone(versions.reopen(self.path, self.version))

    def test_open_for_a_turn(self) -> None:
        """A file is open once for all who ask in one turn, and closed in the next."""
        file = self.validator.reopen(self.path, self.version)
        assert file is not None
        self.assertIs(self.validator.reopen(self.path, self.version), file)
        self.assertTrue(self.is_same())
        self.assertEqual(len(self.later), 1)
        self.later.pop()()
        self.assertEqual(file.fd, -1)
        os.remove(self.path)
        self.assertIsNone(self.validator.reopen(self.path, self.version))
        self.assertEqual(self.later, [])

    def test_open_are_few(self) -> None:
        """However many files are asked for in a turn, few are open."""
        opened = []
        for number in range(versions.MAX_OPEN + 1):
            path = write(os.path.join(self.folder, f"{number}.jpg"))
            with open(path, "rb") as file:
                opened.append(self.validator.reopen(path, versions.version_of(file.fileno())))
        self.assertEqual(sum(file is not None and file.fd >= 0 for file in opened), 1)
        self.assertEqual(len(self.later), 1)
        self.later.pop()()

    def test_links_above(self) -> None:
        """A folder is real where no part of its path is a link."""
        self.assertTrue(versions.is_real(self.folder))
        self.assertFalse(versions.is_real(os.path.join(self.folder, "none")))
        os.symlink(self.folder, self.folder + "-link")
        self.assertFalse(versions.is_real(os.path.join(self.folder + "-link", "sub")))
