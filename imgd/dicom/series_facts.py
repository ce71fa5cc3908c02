"""What is told of a series before anybody opens it: its size, and whether it may be one volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from imgd.dicom.model import IndexedInstance, IndexedSeries
from imgd.pictures.instances import FramePlane, Instance

# Transfer syntaxes whose pixels are those of a volume: implicit and explicit, little endian.
_NATIVE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_SAME: Final = 1e-4  # difference of cosines
_EVEN: Final = 0.01  # of a gap
_KEEPS: Final = ("time", "echo", "b_value")  # the same in all slices of one 3-D volume


class PatientFacts(NamedTuple):
    """What only a daemon with ``--patient-data`` tells; "" for what a file does not say."""

    name: str = ""
    id: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""


class SeriesFacts(NamedTuple):
    """``shape`` has columns, rows and frames, ``voxel_size`` mm in the same order; None for what is
    not known, or not the same in all. ``why_no_volume`` is "" if nothing is known against one.
    """

    shape: tuple[int, int, int] | None
    voxel_size: tuple[float, float, float | None] | None
    frames: int
    why_no_volume: str = ""
    patient: PatientFacts = PatientFacts()


def samples(series: IndexedSeries) -> list[IndexedInstance]:
    """The instances whose records ``facts`` needs: the first two and the last with pixels."""
    seen = [instance for instance in series.instances if instance.frames] or series.instances[:1]
    return [*seen[:2], *seen[2:][-1:]]


def facts(series: IndexedSeries, records: Sequence[Instance], *, has_patient: bool) -> SeriesFacts:
    """The facts of a series by the records of its ``samples``."""
    frames = sum(instance.frames for instance in series.instances)
    sizes = {(i.columns, i.rows) for i in series.instances if i.frames}
    planes = [plane for record in records if record.frames for plane in _planes(record)]
    return SeriesFacts(
        (*sizes.pop(), frames) if len(sizes) == 1 else None,
        _voxel_size(planes, frames),
        frames,
        _why_no_volume(series, records, planes),
        _patient(records[0]) if has_patient and records else PatientFacts(),
    )


def _planes(record: Instance) -> Sequence[FramePlane]:
    """Those of the first two frames and the last."""
    return [*record.planes[:2], *record.planes[2:][-1:]]


def _voxel_size(
    planes: Sequence[FramePlane], frames: int
) -> tuple[float, float, float | None] | None:
    spacing = planes[0].spacing if planes else None
    if spacing is None:
        return None
    between_rows, between_columns = spacing
    gap = _gap(planes[0], planes[1], planes[-1], frames - 1) if len(planes) > 1 else None
    return between_columns, between_rows, gap


def _gap(first: FramePlane, second: FramePlane, last: FramePlane, gaps: int) -> float | None:
    """The distance of slices in mm, if that of the first two is the mean of all."""
    if any(getattr(first, key) != getattr(last, key) for key in _KEEPS):
        return None
    near, far = _distance(first, second), _distance(first, last)
    if not near or far is None or gaps < 1:
        return None
    return round(near, 6) if abs(far / gaps - near) <= _EVEN * near else None


def _distance(one: FramePlane, other: FramePlane) -> float | None:
    """How far apart along their normal two parallel frames are, in mm."""
    if one.position is None or other.position is None or one.orientation is None:
        return None
    if not _are_parallel(one, other):
        return None
    a, b, c, d, e, f = one.orientation
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    steps = zip(normal, one.position, other.position, strict=True)
    return abs(sum(length * (end - start) for length, start, end in steps))


def _are_parallel(one: FramePlane, other: FramePlane) -> bool:
    if one.orientation is None or other.orientation is None:
        return False
    cosines = zip(one.orientation, other.orientation, strict=True)
    return all(abs(a - b) <= _SAME for a, b in cosines)


def _why_no_volume(
    series: IndexedSeries, records: Sequence[Instance], planes: Sequence[FramePlane]
) -> str:
    pictures = [instance for instance in series.instances if instance.frames]
    first = records[0] if records else None
    if not pictures or first is None:
        return "It has no pixels."
    if len({(i.columns, i.rows) for i in pictures}) > 1:
        return "Its pictures are not all of one size."
    if any(i.syntax not in _NATIVE or not i.length for i in pictures):
        return "Its pixels are compressed, or not little endian."
    if first.samples != 1 or not first.photometric.startswith("MONOCHROME"):
        return "It is in colour."
    if not planes or any(plane.position is None for plane in planes):
        return "Its pictures have no position in space."
    if not all(_are_parallel(planes[0], plane) for plane in planes):
        return "Its pictures are not parallel."
    return ""


class _Attribute(msgspec.Struct, frozen=True):
    values: list[Any] = msgspec.field(name="Value", default_factory=list)

    def text(self) -> str:
        value = self.values[0] if self.values else ""
        return str(value.get("Alphabetic", "") if isinstance(value, dict) else value or "")


_MISSING: Final = _Attribute()


class _Named(msgspec.Struct):
    name: _Attribute = msgspec.field(name="00100010", default=_MISSING)
    id: _Attribute = msgspec.field(name="00100020", default=_MISSING)
    study_date: _Attribute = msgspec.field(name="00080020", default=_MISSING)
    study_description: _Attribute = msgspec.field(name="00081030", default=_MISSING)
    series_description: _Attribute = msgspec.field(name="0008103E", default=_MISSING)


def _patient(record: Instance) -> PatientFacts:
    named = msgspec.json.decode(record.metadata, type=_Named)
    return PatientFacts(*(getattr(named, key).text() for key in PatientFacts._fields))
