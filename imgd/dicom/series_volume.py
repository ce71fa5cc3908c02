"""A series as one volume: in which order its slices are, where they lie, and of which bytes of its
files a NIfTI-1 file of it is made; or why there can be none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

import msgspec

from imgd.core.joined_file import FileSlice, JoinedFile, digest
from imgd.core.ranges import Slice
from imgd.dicom import nifti_header, slice_gaps, slice_order, voxel_rules
from imgd.dicom.acquisition import CODE, DOSE_SCALING, Fact, SharedFacts, facts
from imgd.dicom.model import IndexedInstance
from imgd.dicom.slice_order import PlacedFrame, Volumes
from imgd.dicom.volume_files import NotAVolume, VolumeFile
from imgd.dicom.volume_grid import VolumeGrid
from imgd.dicom.voxel_rules import MAX_SIZE, Rescaling, VoxelType
from imgd.pictures.instances import FramePlane, Instance

T = TypeVar("T")
Order = list[tuple[int, int]]  # the numbers of a file and of a frame in it, from 0
# Frames of a file without places that are told: files claim as many as they like.
MAX_TOLD: Final = 100_000
_NO_METADATA: Final = msgspec.Raw(b"{}")
_MODALITY_LUT: Final = b'"00283000"'


class FramesOfFile(NamedTuple):
    """Frames of a file that follow one another in a volume; ``numbers`` count from 0. None if it
    has none, or claims too many.
    """

    instance: IndexedInstance
    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class SeriesVolume:
    """``nifti`` is its NIfTI-1 file; None if there can be none, and ``why``. ``modified`` is when
    the newest of its files was, in ns since the epoch; ``tag`` changes with every change of them.
    ``frames`` are in the order of the volume; if that is not known, in the order of the series.
    ``volumes`` is what tells those of a series of several apart. ``window`` is a centre and a
    width, of rescaled values.
    """

    frames: Sequence[FramesOfFile]
    grid: VolumeGrid | None
    window: tuple[float, float] | None
    acquisition: Mapping[str, Fact]
    volumes: Sequence[Mapping[str, float]] = ()
    why: str = ""
    nifti: JoinedFile | None = None
    modified: int = 0
    tag: str = ""


class VolumeDraft:
    """Makes the volume of a series, whose files may come in pieces and in any order."""

    def __init__(self) -> None:
        self._files: list[VolumeFile] = []
        self._facts = SharedFacts()

    def add(self, instances: Sequence[IndexedInstance], records: Sequence[Instance]) -> None:
        """Add files. Their metadata are not kept, as they are most of what a series takes."""
        for instance, record in zip(instances, records, strict=True):
            metadata = bytes(record.metadata)
            told = facts(metadata)
            self._facts.add(told)
            planes = _scaled(record.planes, told.get(DOSE_SCALING))
            kept = msgspec.structs.replace(record, metadata=_NO_METADATA, planes=planes)
            self._files.append(VolumeFile(instance, kept, _MODALITY_LUT in metadata))

    def finish(self) -> SeriesVolume:
        """The volume of all files that were added: at least one."""
        files, shared = self._files, self._facts
        laid_out, why = _attempt(lambda: _lay_out(files, shared.volume_time()))
        stored, why_not_stored = _attempt(lambda: voxel_rules.check(files))
        order = _along_normal(files) if laid_out is None else _one_after_another(laid_out.volumes)
        middle = files[order[len(order) // 2][0] if order else len(files) // 2].record
        volume = SeriesVolume(
            frames=_by_file(order, files) if order else list(map(_all_frames, files)),
            grid=laid_out and laid_out.grid,
            window=_window(middle),
            acquisition=shared.found or {},
            volumes=() if laid_out is None else _told_apart(laid_out),
            why=why or why_not_stored,
        )
        if laid_out is None or stored is None:
            return volume
        made, why = _attempt(lambda: _as_nifti(volume, laid_out.grid, stored, order, files))
        return replace(volume, why=why) if made is None else made


def _scaled(planes: list[FramePlane], dose: Fact | None) -> list[FramePlane]:
    """The planes of a file, whose rescale may be that of a dose."""
    if not isinstance(dose, int | float):
        return planes
    return [
        msgspec.structs.replace(plane, slope=float(dose)) if plane.slope is None else plane
        for plane in planes
    ]


class _LaidOut(NamedTuple):
    volumes: Volumes
    dimension: str
    grid: VolumeGrid


def _attempt(make: Callable[[], T]) -> tuple[T | None, str]:
    """What is made, or why it is not."""
    try:
        return make(), ""
    except NotAVolume as error:
        return None, error.why


def _lay_out(files: Sequence[VolumeFile], volume_time: float) -> _LaidOut:
    frames, upwards = slice_order.along_normal(slice_order.place(files), files)
    slice_gaps.check_pixels(frames, files)
    volumes, dimension = slice_order.into_volumes(frames, upwards, files)
    first = volumes[0][0]
    record = files[first.file].record
    if max(len(volumes), len(volumes[0])) > MAX_SIZE:
        raise NotAVolume(f"The series has more than {MAX_SIZE} slices or volumes.")
    grid = VolumeGrid(
        *(record.columns, record.rows, len(volumes[0]), len(volumes)),
        *(first.row, first.column, slice_gaps.step(volumes, files, record.thickness)),
        *(first.position, first.pixel),
        volume_time if dimension in ("time", "acquisition") else 0.0,
    )
    return _LaidOut(volumes, dimension, grid)


def _along_normal(files: Sequence[VolumeFile]) -> Order:
    """Empty if there is no normal."""
    try:
        frames, _upwards = slice_order.along_normal(slice_order.place(files), files)
    except NotAVolume:
        return []
    return _one_after_another([frames])


def _all_frames(file: VolumeFile) -> FramesOfFile:
    frames = file.record.frames
    return FramesOfFile(file.indexed, tuple(range(frames if frames <= MAX_TOLD else 0)))


def _one_after_another(volumes: Volumes) -> Order:
    return [(frame.file, frame.number) for volume in volumes for frame in volume]


def _by_file(order: Order, files: Sequence[VolumeFile]) -> list[FramesOfFile]:
    return [
        FramesOfFile(files[number].indexed, tuple(frame for _, frame in frames))
        for number, frames in groupby(order, key=itemgetter(0))
    ]


def _window(record: Instance) -> tuple[float, float] | None:
    window = record.window or []
    if len(window) != 2 or not all(map(math.isfinite, window)) or window[1] <= 0:
        return None
    return window[0], window[1]


def _told_apart(laid_out: _LaidOut) -> list[dict[str, float]]:
    """For each volume what it has and not all others, of its first frame."""
    if not laid_out.dimension:
        return []
    told = [_tells(volume[0]) for volume in laid_out.volumes]
    differing = [name for name in told[0] if len({values[name] for values in told}) > 1]
    return [
        {name: value for name in differing if (value := values[name]) is not None}
        for values in told
    ]


def _tells(frame: PlacedFrame) -> dict[str, float | None]:
    plane = frame.plane
    return {
        "temporal_position": plane.time,
        "echo": plane.echo,
        "b_value": plane.b_value,
        "acquisition": frame.acquisition,
    }


def _as_nifti(
    volume: SeriesVolume,
    grid: VolumeGrid,
    stored: tuple[VoxelType, Rescaling],
    order: Order,
    files: Sequence[VolumeFile],
) -> SeriesVolume:
    centre, width = volume.window or (0.0, 0.0)
    window = (centre - width / 2, centre + width / 2)
    modality = files[order[0][0]].record.modality
    modality = modality if CODE.fullmatch(modality) else "DICOM"
    header = nifti_header.header(grid, *stored, window, f"{modality} as stored, by imgd")
    pieces = list(_pieces(order, files))
    layout = " ".join(f"{p.part.offset}+{p.part.length}" for p in pieces)
    return replace(
        volume,
        nifti=JoinedFile([header, *pieces]),
        modified=max(piece.facts.mtime_ns for piece in pieces),
        tag=digest((piece.facts for piece in pieces), header, layout.encode("ascii")),
    )


def _pieces(order: Order, files: Sequence[VolumeFile]) -> Iterator[FileSlice]:
    for number, frames in groupby(order, key=itemgetter(0)):
        file = files[number]
        begin = file.record.pixels.offset if file.record.pixels else 0
        size = voxel_rules.frame_size(file.record)
        where = file.indexed.names, file.indexed.facts
        for first, count in _runs([frame for _, frame in frames]):
            yield FileSlice(*where, Slice(begin + first * size, count * size))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Numbers that follow one another, as the first and how many they are."""
    first = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            yield numbers[first], index - first
            first = index
