"""Where an opened file really lies, by each way that this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from imgd.files import real_path
from imgd.files.real_path import RealPath
from tests.fakes import write

WAYS = tuple({real_path.choose(), real_path.by_name})
NAMES = ("a.png", "a b\n.png", "a (deleted)", "a.key (deleted) (deleted)", "é.png", "sub/b.png")


class RealPathTests(SynchronousTestCase):
    """A folder with files and links."""

    def setUp(self) -> None:
        self.top = os.path.realpath(self.mktemp())
        for name in NAMES:
            write(os.path.join(self.top, name))

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        fd = os.open(path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def real(self, path: str, way: RealPath) -> str:
        with self.opened(path) as fd:
            return way(fd, path)

    def test_ways_agree(self) -> None:
        """Each way gives the same for files, links, links to links, and folders that are links."""
        table = {name: name for name in NAMES}
        for link, target, real in [
            ("link.png", "a.png", "a.png"),
            ("chain.png", "link.png", "a.png"),
            ("around.png", "sub/../a.png", "a.png"),
            ("gone (deleted)", "a.png", "a.png"),
            ("folder", "sub", None),
        ]:
            os.symlink(target, os.path.join(self.top, link))
            if real is not None:
                table[link] = real
        table["folder/b.png"] = "sub/b.png"
        for way in WAYS:
            for name, real in table.items():
                with self.subTest(name=name, way=way.__name__):
                    real_path = self.real(os.path.join(self.top, name), way)
                    self.assertEqual(real_path, os.path.join(self.top, real))

    def test_not_utf8(self) -> None:
        """A name that is not UTF-8 comes back byte for byte."""
        path = os.path.join(self.top, os.fsdecode(b"caf\xe9.png"))
        try:
            write(path)
        except OSError:
            self.skipTest("this file system has UTF-8 names only")
        for way in WAYS:
            self.assertEqual(os.fsencode(self.real(path, way)), os.fsencode(path))

    def test_deleted(self) -> None:
        """A file that was deleted or replaced is known by the name it had, or not at all."""
        for name in NAMES:
            path = os.path.join(self.top, name)
            for way in WAYS:
                for again in (False, True):
                    write(path)
                    with self.subTest(name=name, way=way.__name__), self.opened(path) as fd:
                        os.remove(path)
                        if again:
                            write(path)
                        try:
                            self.assertEqual(way(fd, path), path)
                        except OSError:
                            self.assertIsNot(way, getattr(real_path, "by_proc", None))

    def test_deleted_beside_its_like(self) -> None:
        """A file of the very name that Linux gives to a deleted one is not taken for it."""
        path = os.path.join(self.top, "server.key")
        write(path + " (deleted)")
        write(path)
        with self.opened(path) as fd:
            os.remove(path)
            if real_path.choose() is real_path.by_proc:
                self.assertEqual(real_path.by_proc(fd, path), path)

    def test_another_file(self) -> None:
        """By its name, a file must still be the very one that is open."""
        path = os.path.join(self.top, "a.png")
        for change in (
            lambda: os.replace(write(path + ".part"), path),
            lambda: os.remove(path),
            lambda: os.symlink("a.png", path),  # a loop
        ):
            with self.opened(write(os.path.join(self.top, "open.png"))) as fd:
                self.assertRaises(OSError, real_path.by_name, fd, path)
            change()
            self.assertRaises(OSError, self.real_of_old, path)

    def real_of_old(self, path: str) -> str:
        with self.opened(os.path.join(self.top, "sub/b.png")) as fd:
            return real_path.by_name(fd, path)

    def test_choice(self) -> None:
        """The way chosen works here."""
        path = os.path.join(self.top, "a.png")
        self.assertEqual(self.real(path, real_path.choose()), path)
        if os.path.exists("/proc/self/fd"):
            self.assertIs(real_path.choose(), real_path.by_proc)
