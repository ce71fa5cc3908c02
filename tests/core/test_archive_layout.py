"""What an archive will hold, and how long it will be."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.archive_layout import FORMATS, ArchiveLayout, parse_format
from imgd.core.listing import Entry
from imgd.core.tar_format import Member
from imgd.errors import BadRequest, TooLarge


def layout(name: str = "tar", **more: int) -> ArchiveLayout:
    return ArchiveLayout(FORMATS[name], "top", **{"limit": 10**12, **more})


class ArchiveLayoutTests(SynchronousTestCase):
    def test_members(self) -> None:
        """Members stand below the top folder, in the order in which they came."""
        table = layout()
        table.add("", Entry("ignored", True, 0, 1_999_999_999))
        table.add("a/b\udcff", Entry("b\udcff", False, 5, -1))
        self.assertEqual(
            list(table.members()),
            [
                ("", Member("top", True, 0, 1)),
                ("a/b\udcff", Member("top/a/b\udcff", False, 5, -1)),
            ],
        )
        self.assertEqual(len(table), 2)

    def test_size(self) -> None:
        """The size is that of all parts together."""
        for name, archive_format in FORMATS.items():
            table = layout(name)
            table.add("", Entry("", True, 0, 0))
            table.add("large", Entry("large", False, 5 * 10**9, 0))
            table.add("after", Entry("after", False, 1, 0))
            size = directory = offset = 0
            for _, member in table.members():
                directory += len(archive_format.directory_entry(member, 0, offset))
                offset += table.span(member)
            size = offset + directory + len(archive_format.end(3, directory, offset))
            self.assertEqual(table.size, size)

    def test_too_large(self) -> None:
        """What is over the limit is refused as it is found, and it is said how to raise that."""
        table = layout(limit=2_500_000)
        table.add("a", Entry("a", False, 2_500_000, 0))
        error = self.assertRaises(TooLarge, table.add, "b", Entry("b", False, 1, 0))
        self.assertIn("more than the 2.5 MB", error.detail)
        self.assertIn("--archive-limit", error.detail)
        error = self.assertRaises(
            TooLarge, layout(limit=20 * 10**9).add, "b", Entry("b", False, 10**11, 0)
        )
        self.assertIn("20 GB", error.detail)

    def test_too_many(self) -> None:
        """Neither are more members than fit."""
        table = layout(max_members=1)
        table.add("a", Entry("a", False, 0, 0))
        error = self.assertRaises(TooLarge, table.add, "b", Entry("b", False, 0, 0))
        self.assertIn("more than 1 files", error.detail)

    def test_format(self) -> None:
        """A format is named as the suffix is."""
        for name in ("tar", "zip"):
            self.assertEqual(parse_format(name).suffix, name)
        self.assertRaises(BadRequest, parse_format, "rar")
