"""An index made by hand: what is found depends on nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from imgd.core.conditional import FileFacts
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexedSeries
from imgd.pictures.instances import Instance


def element(vr: str, *values: Any) -> dict[str, Any]:
    """An attribute in DICOM JSON."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def indexed(study: str, series: str, uid: str, **more: Any) -> IndexedInstance:
    """An instance as memory keeps it."""
    facts = FileFacts(1, 2, 3, 4)
    kept: dict[str, Any] = {
        **{"sop_class": "1.2.840.10008.5.1.4.1.1.2", "syntax": "1.2.840.10008.1.2.1"},
        **{"modality": "CT", "number": 1, "frames": 1, "rows": 8, "columns": 6},
        **more,
    }
    return IndexedInstance((uid,), facts, 0, study, series, uid, **kept)


def series_of(*instances: IndexedInstance, number: int | None = 1) -> IndexedSeries:
    """A series of these instances."""
    first = instances[0]
    return IndexedSeries(first.study, first.series, first.modality, number, instances)


def index_of(*series: IndexedSeries) -> DicomIndex:
    """An index of these series."""
    studies: dict[str, dict[str, IndexedSeries]] = {}
    for one in series:
        studies.setdefault(one.study, {})[one.uid] = one
    return DicomIndex(studies, tag="of-a-test")


def record(kept: IndexedInstance, **metadata: Any) -> Instance:
    """What the store keeps of an instance; ``metadata`` by tag, with an underscore before it."""
    raw = msgspec.Raw(msgspec.json.encode({tag[1:]: value for tag, value in metadata.items()}))
    return Instance(kept.study, kept.series, kept.uid, metadata=raw)
