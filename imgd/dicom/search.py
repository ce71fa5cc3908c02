"""Which studies, series or instances a query finds: DICOM PS3.18 section 10.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.dicom.attributes import LEVELS, Level
from imgd.dicom.model import DicomIndex, IndexedSeries
from imgd.dicom.query import DicomQuery, Key
from imgd.dicom.results import KNOWN, UIDS, Element, Found, FoundStudy
from imgd.pictures.instances import Instance

_METADATA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENT: Final = msgspec.json.Decoder(Element)


class Search:
    """A query for what is on one level, and below ``target``'s study and series if it has them.

    Studies and series match by what is below them, too: a study by the modality of one of its
    series. What is above is judged by the first instance.
    """

    def __init__(self, target: DicomwebTarget, query: DicomQuery) -> None:
        self._target = target
        self._level = LEVELS[target.level]
        self._depth = max((self._level, *(key.attribute.level for key in query.keys)))
        self._study_uids = query.wanted(UIDS[0])
        # One more than is asked for, which tells that there are more.
        self._most = None if query.limit is None else query.offset + query.limit + 1
        self._in_memory = [key for key in query.keys if key.attribute.tag in KNOWN]
        self._in_records = [key for key in query.keys if key.attribute.tag not in KNOWN]

    @property
    def needs_records(self) -> bool:
        """Whether what matches cannot be told without the store."""
        return bool(self._in_records)

    def candidates(self, index: DicomIndex) -> list[Found]:
        """What matches as far as memory knows, in the order of the index: every one of it once and
        no more than are needed, or, if records are needed, whatever is to be judged by them.
        """
        below = self._below(index)
        found = (f for f in below if all(_matches(key, f) for key in self._in_memory))
        return list(found) if self.needs_records else self.distinct(found)

    def _below(self, index: DicomIndex) -> Iterator[Found]:
        for of_study in self._studies(index):
            study = FoundStudy(of_study)
            for series in self._series(of_study):
                if self._depth is Level.INSTANCE:
                    yield from (Found(study, series, instance) for instance in series.instances)
                else:
                    yield Found(study, series, series.instances[0])
                if self._depth is Level.STUDY:
                    break

    def _studies(self, index: DicomIndex) -> Iterable[Mapping[str, IndexedSeries]]:
        wanted = self._target.study or ",".join(self._study_uids)
        if wanted in index.studies:  # one, as viewers ask
            return (index.studies[wanted],)
        return () if self._target.study else index.studies.values()

    def _series(self, study: Mapping[str, IndexedSeries]) -> Iterable[IndexedSeries]:
        if self._target.series:
            return filter(None, (study.get(self._target.series),))
        return study.values()

    def matching(self, candidates: Sequence[Found], records: Sequence[Instance]) -> list[Found]:
        """Those of the candidates whose records match, too. BadRequest if a key cannot be held
        against what is there.
        """
        pairs = zip(candidates, records, strict=True)
        return [found for found, record in pairs if self._matches_record(record)]

    def _matches_record(self, record: Instance) -> bool:
        metadata = _METADATA.decode(record.metadata)
        return all(_has(metadata, key) for key in self._in_records)

    def distinct(self, found: Iterable[Found]) -> list[Found]:
        """Each study, series or instance once, of what was matched below it; no more than are
        needed to answer.
        """
        first: dict[tuple[str, ...], Found] = {}
        for one in found:
            if len(first) == self._most:
                break
            first.setdefault(one.uids(self._level), one)
        return list(first.values())


def _matches(key: Key, found: Found) -> bool:
    return key.matches(key.attribute.vr, KNOWN[key.attribute.tag](found))


def _has(metadata: Mapping[str, msgspec.Raw], key: Key) -> bool:
    raw = metadata.get(key.attribute.tag)
    if raw is None:
        return False
    element = _ELEMENT.decode(raw)
    return key.matches(key.attribute.vr or element.vr, element.values or ())
