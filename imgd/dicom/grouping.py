"""Instances by study and series, in the order in which people read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from imgd.core import natural_order
from imgd.dicom.model import (
    DicomIndex,
    IndexedInstance,
    IndexedSeries,
    IndexEntry,
    UnindexedFile,
)
from imgd.host.workers import JobProgress

_LAST: Final = 1 << 62  # sorts after every number of a series or an instance


def group(
    entries: Iterable[tuple[str, IndexEntry]], version: bytes, progress: JobProgress
) -> DicomIndex:
    """The index of these files, each with its name, in the order of their names.

    Of an SOP instance that is there twice in a series the first that has pixels counts: another may
    be a part of a file. ``version`` is of what the store keeps: it is part of the tag.
    """
    digest = hashlib.sha256(version)
    instances: dict[tuple[str, str], dict[str, IndexedInstance]] = {}
    unindexed = []
    for name, entry in entries:
        progress.step()
        digest.update(_identity(name, entry))
        if not isinstance(entry, IndexedInstance):
            if entry.why:
                unindexed.append(UnindexedFile(tuple(name.split("/")), entry.why))
            continue
        series = instances.setdefault((entry.study, entry.series), {})
        first = series.setdefault(entry.uid, entry)
        if first is not entry:
            kept, other = (entry, first) if entry.frames and not first.frames else (first, entry)
            series[entry.uid] = kept
            why = f"The same instance as {'/'.join(kept.names)}."
            unindexed.append(UnindexedFile(other.names, why))
    return DicomIndex(_studies(instances, progress), unindexed, digest.hexdigest()[:32])


def _identity(name: str, entry: IndexEntry) -> bytes:
    facts = entry.facts
    text = f"{name}\0{facts.size} {facts.mtime_ns} {facts.inode}\0"
    return text.encode("utf-8", "surrogateescape")


def _studies(
    instances: dict[tuple[str, str], dict[str, IndexedInstance]], progress: JobProgress
) -> dict[str, dict[str, IndexedSeries]]:
    studies: dict[str, list[IndexedSeries]] = {}
    for (study, uid), of_series in instances.items():
        progress.step()
        studies.setdefault(study, []).append(_series(study, uid, list(of_series.values())))
    ordered = {}
    for study in sorted(studies, key=_natural):
        series = sorted(studies[study], key=lambda s: (_number(s.number), _natural(s.uid)))
        ordered[study] = {each.uid: each for each in series}
    return ordered


def _series(study: str, uid: str, instances: Sequence[IndexedInstance]) -> IndexedSeries:
    """``instances`` come in the order of their names, which a stable sort keeps."""
    first = instances[0]
    ordered = tuple(sorted(instances, key=lambda instance: _number(instance.number)))
    return IndexedSeries(study, uid, first.modality, first.series_number, ordered)


def _number(number: int | None) -> Any:
    return _LAST if number is None else number


def _natural(text: str) -> bytes:
    return natural_order.key(text.encode("utf-8", "surrogatepass"))
