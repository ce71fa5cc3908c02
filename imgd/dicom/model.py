"""The DICOM instances of a collection, by study and series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from imgd.core.conditional import FileFacts


@dataclass(frozen=True, slots=True)
class IndexedInstance:
    """What memory keeps of an instance. ``names`` lead to its file from the collection's root,
    ``facts`` are those of the version that was indexed, ``row`` is its key in the store, where the
    rest is. ``offset`` and ``length`` are of native pixels in the file.
    """

    names: tuple[str, ...]
    facts: FileFacts
    row: int
    study: str
    series: str
    uid: str
    sop_class: str
    syntax: str
    modality: str
    number: int | None
    frames: int
    rows: int
    columns: int
    offset: int = 0
    length: int = 0
    series_number: int | None = None


@dataclass(frozen=True, slots=True)
class IndexedSeries:
    """``instances`` are in the order of their numbers, then of their names."""

    study: str
    uid: str
    modality: str
    number: int | None
    instances: Sequence[IndexedInstance]


class NotIndexed(NamedTuple):
    """A version of a file that is no instance, and why: "" for a catalogue, which is ignored.
    ``is_kept``: the store has it, so that the file is not read again after a restart.
    """

    facts: FileFacts
    why: str
    is_kept: bool = True


IndexEntry = IndexedInstance | NotIndexed


class UnindexedFile(NamedTuple):
    """A file that is not in the index: broken, or one more of an instance that is."""

    names: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class DicomIndex:
    """Everything that is DICOM in a collection. ``studies`` has by UID the series by UID, in the
    order of their numbers. ``tag`` changes with what is indexed.
    """

    studies: Mapping[str, Mapping[str, IndexedSeries]] = field(default_factory=dict)
    unindexed: Sequence[UnindexedFile] = ()
    tag: str = ""

    @property
    def count(self) -> int:
        """How many instances there are."""
        return sum(len(series.instances) for series in self.series())

    def series(self, study: str = "", series: str = "") -> Iterator[IndexedSeries]:
        """All series, those of a study, or those of a UID: "" is any."""
        for uid, of_study in self.studies.items():
            if study in ("", uid):
                yield from (s for s in of_study.values() if series in ("", s.uid))

    def instances(
        self, study: str = "", series: str = "", instance: str = ""
    ) -> Iterator[IndexedInstance]:
        """All instances, or those of UIDs; "" is any."""
        for found in self.series(study, series):
            yield from (i for i in found.instances if instance in ("", i.uid))
