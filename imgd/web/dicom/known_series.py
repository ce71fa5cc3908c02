"""Facts of the series of collections, read from the store once for each state of an index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from imgd.collections.manager import LoadedCollection
from imgd.dicom import series_facts
from imgd.dicom.indexes import DicomIndexes
from imgd.dicom.model import DicomIndex, IndexedSeries
from imgd.dicom.series_facts import PatientFacts, SeriesFacts
from imgd.host.blocking import RunBlocking
from imgd.host.single_flight import SingleFlight
from imgd.pictures.instances import Instance

MAX_COLLECTIONS: Final = 16  # whose facts are kept
BATCH: Final = 64  # series whose records are in memory at once
#: By the UIDs of study and series.
FactsByUid = Mapping[tuple[str, str], SeriesFacts]


class KnownSeries:
    """What was told of series, kept while their collection's index stays the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, FactsByUid]] = OrderedDict()
        self._reads: dict[str, SingleFlight[FactsByUid]] = {}

    def facts(
        self, indexes: DicomIndexes, run: RunBlocking, loaded: LoadedCollection, index: DicomIndex
    ) -> Deferred[FactsByUid]:
        """The facts of every series of this index, read once for all who wait for them."""
        name = loaded.collection.name

        async def find() -> FactsByUid:
            tag, known = self._kept.get(name, ("", {}))
            if tag != index.tag:
                known = await _read(indexes, run, loaded, index)
                self._keep(name, index.tag, known)
            return known

        reads = self._reads.setdefault(name, SingleFlight())
        return reads.wait(lambda: Deferred.fromCoroutine(find()))

    def _keep(self, name: str, tag: str, known: FactsByUid) -> None:
        self._kept[name] = tag, known
        while len(self._kept) > MAX_COLLECTIONS:
            oldest, _ = self._kept.popitem(last=False)
            self._reads.pop(oldest, None)


async def _read(
    indexes: DicomIndexes, run: RunBlocking, loaded: LoadedCollection, index: DicomIndex
) -> FactsByUid:
    all_series = list(index.series())
    known: dict[tuple[str, str], SeriesFacts] = {}
    has_patient = indexes.has_patient_data
    for start in range(0, len(all_series), BATCH):
        batch = all_series[start : start + BATCH]
        samples = [instance for series in batch for instance in series_facts.samples(series)]
        records = await indexes.records(loaded, samples)
        known |= await run(loaded.root.path, _facts, batch, records, has_patient)
    return known


def _facts(
    batch: Sequence[IndexedSeries], records: Sequence[Instance], has_patient: bool
) -> FactsByUid:
    by_uid: dict[tuple[str, str], SeriesFacts] = {}
    start = 0
    for series in batch:
        end = start + len(series_facts.samples(series))
        own = records[start:end]
        by_uid[series.study, series.uid] = series_facts.facts(series, own, has_patient=has_patient)
        start = end
    return by_uid


def study_patient(of_study: Mapping[str, IndexedSeries], facts: FactsByUid) -> PatientFacts:
    """What the first series of a study tells of the patient."""
    for series in of_study.values():
        return facts[series.study, series.uid].patient
    return PatientFacts()
