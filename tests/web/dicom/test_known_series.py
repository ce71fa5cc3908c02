"""Facts of series are read once for each state of an index."""

from __future__ import annotations

from typing import Any

from imgd.collections.registry import LoadedCollection
from imgd.core.conditional import FileFacts
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexedSeries
from imgd.pictures.instances import FramePlane, Instance
from imgd.web.dicom import known_series
from imgd.web.dicom.known_series import KnownSeries
from tests.dicom.site_case import DicomCase


class Records:
    """In place of ``DicomIndexes``: records of any instance, and which were asked for."""

    has_patient_data = False

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def records(self, _loaded: Any, instances: list[IndexedInstance]) -> list[Instance]:
        self.asked.append([instance.row for instance in instances])
        return [
            Instance(
                *(i.study, i.series, i.uid),
                frames=1,
                photometric="MONOCHROME2",
                planes=[FramePlane([0, 0, i.row], [1, 0, 0, 0, 1, 0], [1, 1])],
            )
            for i in instances
        ]


def instance(row: int, series: str) -> IndexedInstance:
    where: Any = ((f"{row}",), FileFacts(1, 1, 1, 1), row, "1", series, f"{series}.{row}")
    what: Any = ("", "1.2.840.10008.1.2.1", "CT", row, 1, 4, 5, 8, 40)
    return IndexedInstance(*where, *what)


def index_of(count: int, tag: str) -> DicomIndex:
    """So many series of three slices in one study."""
    of_study = {}
    for number in range(count):
        uid = f"1.{number}"
        slices = [instance(3 * number + n, uid) for n in range(3)]
        of_study[uid] = IndexedSeries("1", uid, "CT", number, slices)
    return DicomIndex({"1": of_study}, (), tag)


class KnownSeriesTests(DicomCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = KnownSeries()
        self.records = Records()

    def facts(self, loaded: LoadedCollection, index: DicomIndex) -> Any:
        run = self.memory_site.blocking
        asking = self.known.facts(self.records, run, loaded, index)  # type: ignore[arg-type]
        return self.successResultOf(asking)

    def test_batches(self) -> None:
        """The records of many series are read in pieces, and each series has its own facts."""
        count = 2 * known_series.BATCH + 1
        facts = self.facts(self.load(), index_of(count, "a"))
        self.assertEqual(len(self.records.asked), 3)
        self.assertLessEqual(max(map(len, self.records.asked)), 3 * known_series.BATCH)
        self.assertEqual(len(facts), count)
        self.assertEqual(set(facts.values()), {((5, 4, 3), (1, 1, 1), 3, "", facts["1", "1.0"][4])})

    def test_once(self) -> None:
        """They are read again only if the index has changed, of each collection."""
        one, other = self.load(), self.load("other")
        for loaded, tag, reads in (
            *((one, "a", 1), (one, "a", 1), (other, "a", 2), (one, "a", 2), (one, "b", 3)),
            *((other, "a", 3),),
        ):
            self.facts(loaded, index_of(2, tag))
            self.assertEqual(len(self.records.asked), reads)

    def test_together(self) -> None:
        """They are read once for all who ask meanwhile; who goes ends nobody else's reading."""
        loaded, index = self.load(), index_of(2, "a")
        run = self.memory_site.blocking
        run.held = True
        asking = [self.known.facts(self.records, run, loaded, index) for _ in range(3)]  # type: ignore[arg-type]
        asking[0].cancel()
        self.failureResultOf(asking[0])
        run.held = False
        run.release()
        self.assertEqual([len(self.successResultOf(each)) for each in asking[1:]], [2, 2])
        self.assertLessEqual(len(self.records.asked), 2)

    def test_bounded(self) -> None:
        """Facts of many collections are not kept for ever."""
        first = self.load("c0")
        self.facts(first, index_of(1, "a"))
        for number in range(known_series.MAX_COLLECTIONS):
            self.facts(self.load(f"c{number + 1}"), index_of(1, "a"))
        self.records.asked.clear()
        self.facts(first, index_of(1, "a"))
        self.assertEqual(len(self.records.asked), 1)
