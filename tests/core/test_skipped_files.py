"""What a load passed over: counted, and told in one line."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.messages import SkippedFiles
from imgd.core.skipped_files import MAX_SUFFIXES, SHOWN_SUFFIXES, SkippedCount, describe


def counted(*names: str) -> SkippedFiles:
    count = SkippedCount()
    for name in names:
        count.add_file(name)
    return count.message()


class CountTests(SynchronousTestCase):
    def test_suffixes(self) -> None:
        """Files are counted by their last suffix in lower case, the most frequent first; what is no
        suffix (a UID's last number, an invented one) counts as none.
        """
        skipped = counted(
            "a.TXT", "b.txt", "c.pdf", "README", "1.2.840.7", "x.<b>", "y." + "z" * 40
        )
        self.assertEqual(skipped.count, 7)
        self.assertEqual(list(skipped.suffixes.items()), [("", 4), (".txt", 2), (".pdf", 1)])

    def test_many_suffixes(self) -> None:
        """However many suffixes there are, few are told and not all are kept, and every file
        counts.
        """
        names = [f"a.x{number}" for number in range(MAX_SUFFIXES + 50)]
        skipped = counted(*names, "a.x0", "a.late", "b.late")
        self.assertEqual(skipped.count, MAX_SUFFIXES + 53)
        self.assertEqual(len(skipped.suffixes), SHOWN_SUFFIXES)
        self.assertEqual(skipped.suffixes[".x0"], 2)
        self.assertNotIn(".late", skipped.suffixes)

    def test_message(self) -> None:
        """Folders and links are told beside the files."""
        count = SkippedCount()
        count.folders, count.links = 3, 2
        expected = SkippedFiles(folders=3, links=2, images_below=True)
        self.assertEqual(count.message(images_below=True), expected)


class DescribeTests(SynchronousTestCase):
    def test_table(self) -> None:
        """One line for people; nothing if nothing was passed over."""
        for skipped, line in (
            (SkippedFiles(), ""),
            (SkippedFiles(count=1, suffixes={".txt": 1}), "1 file (1 .txt)"),
            (SkippedFiles(count=4), "4 files"),
            (
                SkippedFiles(count=1_009, suffixes={".txt": 1_000, "": 2}, folders=1),
                "1,009 files (1,000 .txt, 2 without a suffix, 7 others), 1 folder",
            ),
            (SkippedFiles(folders=2, links=1), "2 folders, 1 link to elsewhere or nowhere"),
            (SkippedFiles(links=2), "2 links to elsewhere or nowhere"),
        ):
            self.assertEqual(describe(skipped), line)
