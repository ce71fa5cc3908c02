"""Instances by study and series: their order, duplicates, and the tag of it all."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.dicom.grouping import group
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexEntry, NotIndexed
from imgd.host.workers import JobProgress

FACTS = FileFacts(1, 2, 3, 4)
FIRST = IndexedInstance(("a",), FACTS, 1, "1.2", "1.2.1", "1.2.1.1", "", "", "CT", 1, 1, 8, 8)


def grouped(*instances: IndexEntry, version: bytes = b"") -> DicomIndex:
    """Of files that are called ``a/0``, ``a/1`` and so on."""
    entries: list[tuple[str, IndexEntry]] = []
    for number, entry in enumerate(instances):
        name = f"a/{number}"
        if isinstance(entry, IndexedInstance):
            entries.append((name, replace(entry, names=("a", str(number)))))
        else:
            entries.append((name, entry))
    return group(entries, version, JobProgress())


class GroupTests(SynchronousTestCase):
    def test_order(self) -> None:
        """Studies by UID, series by number and UID, instances by number and name; none is last."""
        index = grouped(
            replace(FIRST, study="1.10"),
            replace(FIRST, uid="x", number=None),
            replace(FIRST, uid="y", number=10),
            replace(FIRST, uid="z", number=2),
            replace(FIRST, uid="w", number=2),
            replace(FIRST, series="1.2.10", series_number=None),
            replace(FIRST, series="1.2.9", series_number=None),
            replace(FIRST, series="1.2.50", series_number=7),
        )
        self.assertEqual(list(index.studies), ["1.2", "1.10"])
        self.assertEqual(list(index.studies["1.2"]), ["1.2.50", "1.2.1", "1.2.9", "1.2.10"])
        uids = [i.uid for i in index.studies["1.2"]["1.2.1"].instances]
        self.assertEqual(uids, ["z", "w", "y", "x"])

    def test_duplicates(self) -> None:
        """The first of an instance counts; the same UID in another series is another."""
        index = grouped(FIRST, FIRST, replace(FIRST, series="1.2.2"), replace(FIRST, study="1.3"))
        self.assertEqual(index.count, 3)
        [other] = index.unindexed
        self.assertEqual(other, (("a", "1"), "The same instance as a/0."))

    def test_cut_off(self) -> None:
        """Of duplicates, one with pixels comes before one without."""
        cut, whole = replace(FIRST, frames=0), FIRST
        for entries, kept in (((cut, whole, whole), "1"), ((cut, cut), "0"), ((whole, cut), "0")):
            index = grouped(*entries)
            self.assertEqual([i.names for i in index.instances()], [("a", kept)])
            self.assertEqual(len(index.unindexed), len(entries) - 1)

    def test_unindexed(self) -> None:
        """Broken files are named, catalogues are not."""
        index = grouped(NotIndexed(FACTS, "Broken."), NotIndexed(FACTS, ""))
        self.assertEqual(index.unindexed, [(("a", "0"), "Broken.")])

    def test_tag(self) -> None:
        """The tag changes with each file, the names and the version, and with nothing else."""
        other = replace(FIRST, uid="9", facts=FileFacts(1, 2, 3, 5))
        tags = [
            grouped().tag,
            grouped(FIRST).tag,
            grouped(FIRST, other).tag,
            grouped(other, FIRST).tag,
            grouped(FIRST, NotIndexed(FACTS, "Broken.")).tag,
            grouped(FIRST, version=b"2").tag,
        ]
        self.assertEqual(len(set(tags)), len(tags))
        self.assertEqual(grouped(replace(FIRST, row=99)).tag, tags[1])

    def test_strange_text(self) -> None:
        """UIDs and names that are no UTF-8 are grouped, too."""
        strange = replace(FIRST, study="\udcff\0", series="\ud800")
        self.assertEqual(list(grouped(strange).studies), ["\udcff\0"])
