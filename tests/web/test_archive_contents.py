"""What an archive holds, and its bytes."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.archive_layout import FORMATS, ArchiveLayout
from imgd.files.disk import Root
from imgd.web import archive_contents
from imgd.web.archive_contents import ArchiveContents
from tests.fakes import write
from tests.web.test_archives import READ


class ContentsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        os.makedirs(self.folder)

    def contents(self, name: str) -> ArchiveContents:
        return ArchiveContents(Root(self.folder), (), ArchiveLayout(FORMATS[name], "top", 10**9))

    def read(self, contents: ArchiveContents) -> int:
        """Read all; gives in how many steps."""
        steps = 1
        while contents.read_some():
            steps += 1
        return steps

    def test_steps(self) -> None:
        """Many files are counted in several steps, and come in pieces of a bounded size."""
        for number in range(archive_contents.STEP):
            write(os.path.join(self.folder, f"{number}.png"), b"%d" % number)
        for name, read in READ.items():
            contents = self.contents(name)
            self.assertEqual(self.read(contents), 2)
            pieces = list(contents.pieces())
            self.assertLess(max(map(len, pieces)), 2 * archive_contents.PIECE)
            data = b"".join(pieces)
            self.assertEqual(len(data), contents.layout.size)
            files = read(data)
            self.assertEqual(len(files), archive_contents.STEP)
            self.assertEqual(files["top/17.png"], b"17")

    def test_many_left_out(self) -> None:
        """The file that names what was left out is bounded, and says how many more there are."""
        for number in range(archive_contents.MAX_NOTED + 7):
            os.symlink(".", os.path.join(self.folder, f"loop_{number}"))
        contents = self.contents("zip")
        self.read(contents)
        note = READ["zip"](b"".join(contents.pieces()))[f"top/{archive_contents.NOTE}"]
        lines = note.decode("utf-8").splitlines()
        self.assertEqual(len(lines), archive_contents.MAX_NOTED + 1)
        self.assertEqual(lines[-1], "... and 7 more")
