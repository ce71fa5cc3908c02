"""Entries of a folder, kept in arrays."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.folder_entries import FolderEntries
from imgd.core.listing import Entry
from imgd.core.natural_order import CHUNK
from imgd.errors import Unavailable
from tests.core.test_listing import file, folder


def in_arrays(entries: list[Entry]) -> FolderEntries:
    arrays = FolderEntries()
    for entry in entries:
        arrays.add(entry)
    return arrays


class FolderEntriesTests(SynchronousTestCase):
    def test_entries(self) -> None:
        """Every entry comes back as it was added, whatever its name, size and time."""
        entries = [
            folder("a"),
            file("b\udcff.png", 2**62, -5),
            file("é", 3, 2**80),
            file("z", 0, 7),
        ]
        self.assertEqual(
            [in_arrays(entries).entry(number) for number in range(len(entries))], entries
        )

    def test_name_chunks(self) -> None:
        """The names of a folder of any size come in chunks, in their order."""
        for count in (1, CHUNK, CHUNK + 1):
            names = [f"{number}.png" for number in range(count)]
            chunks = in_arrays([file(name) for name in names]).name_chunks()
            self.assertEqual([name for chunk in chunks for name in chunk], names)

    def test_refresh(self) -> None:
        """Sizes and times are read again; an entry that is gone has zeros."""
        entries = in_arrays([file("a", 1, 1), file("b", 2, 2)])
        entries.refresh({"a": file("a", 9, 2**80)}.get, lambda: None)
        refreshed = [entries.entry(number) for number in range(2)]
        self.assertEqual(refreshed, [file("a", 9, 2**80), file("b", 0, 0)])

    def test_too_many(self) -> None:
        """Names that are too long together are Unavailable."""
        entries = FolderEntries(most=3)
        entries.add(file("ab"))
        self.assertRaises(Unavailable, entries.add, file("c"))
