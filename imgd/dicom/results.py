"""What is found, and its attributes as DICOM JSON: DICOM PS3.18 section 10.6.3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.dicom import attributes
from imgd.dicom.attributes import LEVELS, Attribute, Level
from imgd.dicom.model import IndexedInstance, IndexedSeries
from imgd.dicom.query import DicomQuery
from imgd.pictures.instances import Instance

UIDS: Final = ("0020000D", "0020000E", "00080018")  # by level
_RETRIEVE_URL: Final = "00081190"
_OF_ANY: Final = (attributes.CHARACTER_SET, "00080056", _RETRIEVE_URL)  # results


class FoundStudy:
    """A study, and what is counted of it, once for all that is found in it."""

    def __init__(self, series: Mapping[str, IndexedSeries]) -> None:
        self.series = series

    @cached_property
    def modalities(self) -> list[str]:
        """Of its series, in alphabetical order."""
        return sorted({series.modality for series in self.series.values()})

    @cached_property
    def sop_classes(self) -> list[str]:
        """Of its instances, in alphabetical order."""
        return sorted({i.sop_class for series in self.series.values() for i in series.instances})

    @cached_property
    def instance_count(self) -> int:
        return sum(len(series.instances) for series in self.series.values())


class Found(NamedTuple):
    """A study, a series or an instance. Of a study, ``series`` is the first one that matches; of
    both, ``instance`` is the first one of that.
    """

    study: FoundStudy
    series: IndexedSeries
    instance: IndexedInstance

    def uids(self, level: Level) -> tuple[str, ...]:
        """Those of the study, and of the series and the instance if that is the level."""
        return (self.instance.study, self.instance.series, self.instance.uid)[: level + 1]


class Element(msgspec.Struct, omit_defaults=True):
    """An attribute in DICOM JSON (PS3.18 section F.2.2)."""

    vr: str
    values: list[Any] | None = msgspec.field(default=None, name="Value")


# What memory knows of each, by tag.
KNOWN: Final[Mapping[str, Callable[[Found], list[Any]]]] = {
    UIDS[0]: lambda found: [found.instance.study],
    UIDS[1]: lambda found: [found.instance.series],
    UIDS[2]: lambda found: [found.instance.uid],
    "00080016": lambda found: [found.instance.sop_class],
    "00080056": lambda _found: ["ONLINE"],
    "00080060": lambda found: [found.series.modality],
    "00080061": lambda found: found.study.modalities,
    "00080062": lambda found: found.study.sop_classes,
    "00083002": lambda found: [found.instance.syntax],
    "00200011": lambda found: [found.series.number],
    "00200013": lambda found: [found.instance.number],
    "00201206": lambda found: [len(found.study.series)],
    "00201208": lambda found: [found.study.instance_count],
    "00201209": lambda found: [len(found.series.instances)],
    "00280008": lambda found: [found.instance.frames or None],
    "00280010": lambda found: [found.instance.rows or None],
    "00280011": lambda found: [found.instance.columns or None],
}
# Of a file of one frame, NumberOfFrames is told only if it has it.
_IN_FILE: Final = frozenset(("00280008", "00280010", "00280011"))
_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Results:
    """Makes the results of a search. ``services`` is the URL of the DICOMweb services."""

    def __init__(self, target: DicomwebTarget, query: DicomQuery, services: str) -> None:
        self._level = LEVELS[target.level]
        # Whoever searches below no study or series is told what is known of it.
        above = {Level.STUDY: target.study, Level.SERIES: target.series}
        levels = {level for level in Level if level <= self._level and not above.get(level)}
        wanted = (*UIDS[: self._level + 1], *attributes.of_results(levels), *query.include)
        self._tags = frozenset((*wanted, *_OF_ANY))
        self._has_all = query.has_all
        self._services = services

    def encode(self, found: Found, record: Instance) -> bytes:
        """A result as a JSON object, its attributes in the order of their tags."""
        metadata = _DECODER.decode(record.metadata)
        tags = self._tags | set(self._of_level(metadata)) if self._has_all else self._tags
        elements = ((tag, self._element(tag, found, metadata)) for tag in sorted(tags))
        return msgspec.json.encode({tag: e for tag, e in elements if e is not None})

    def _of_level(self, metadata: Mapping[str, msgspec.Raw]) -> Iterator[str]:
        for tag in (*metadata, *KNOWN):
            if attributes.of_tag(tag).level <= self._level:
                yield tag

    def _element(
        self, tag: str, found: Found, metadata: Mapping[str, msgspec.Raw]
    ) -> msgspec.Raw | Element | None:
        attribute = attributes.of_tag(tag)
        if tag == _RETRIEVE_URL:
            return Element(attribute.vr, [self._url(found)])
        if tag in KNOWN and tag not in _IN_FILE:
            return _known(attribute, KNOWN[tag](found))
        return metadata.get(tag) or (Element(attribute.vr) if attribute.is_required else None)

    def _url(self, found: Found) -> str:
        names = ("/studies/", "/series/", "/instances/")
        uids = found.uids(self._level)
        return self._services + "".join(map("".join, zip(names, uids, strict=False)))


def _known(attribute: Attribute, values: list[Any]) -> Element:
    return Element(attribute.vr, [value for value in values if value not in ("", None)] or None)
