"""Volumes: which format a file is, by its content, and every view of it in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from imgd.pictures.messages import Progress
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import encoding, halves, metaimage, mgh, nifti, nrrd
from imgd.pictures.worker.orientation import orientation
from imgd.pictures.worker.slicing import Target, gather
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, SourceFile, Sources
from imgd.pictures.worker.streams import is_gzip, uncompressed
from imgd.pictures.worker.volume import Volume, checked
from imgd.pictures.worker.volume_display import AXES, Display
from imgd.pictures.worker.volume_pictures import made

Reader = Callable[[SourceFile, SourceFile | None], Volume]

_HEAD: Final = 8192  # bytes by which a format is known
# Neighbours of a slice of a compressed volume, made with it: a pass costs far more than they do.
_NEIGHBOURS: Final = 8  # on each side
_MOST_NEIGHBOURS: Final = 48  # of all slices of a job
_NEIGHBOUR_BYTES: Final = 24 << 20  # of voxels held for them


def detect(head: bytes, source: SourceFile) -> Reader | None:
    """Who reads a file that begins like this; None if it is no volume. gzip is looked into."""
    if is_gzip(head):
        head = uncompressed(source, _HEAD)
    if nifti.kind(head):
        return nifti.read
    if nrrd.is_nrrd(head):
        return nrrd.read
    if metaimage.is_metaimage(head):
        return metaimage.read
    return _read_mgh if mgh.is_mgh(head) else None


def _read_mgh(file: SourceFile, _data_file: SourceFile | None) -> Volume:
    return mgh.read(file)


def make(sources: Sources, reader: Reader) -> Iterator[Made | Progress]:
    """Every view of a volume in one file, and neighbours of slices."""
    return _make(sources, reader, sources.file, None)


def make_of_halves(sources: Sources) -> Iterator[Made | Progress]:
    """Every view of a volume in two files, or which the other file is."""
    companion = next((view for view in sources.job.views if view.kind is ViewKind.COMPANION), None)
    if companion is not None:
        return iter([Made.of(companion, encoding.JSON, halves.names(sources.file))])
    header, data = halves.header_and_data(sources)
    reader = detect(header.read(0, _HEAD), header)
    if reader is None:
        raise NotAPicture("the header beside it is none.")
    return _make(sources, reader, header, data)


def _make(
    sources: Sources, reader: Reader, header: SourceFile, data: SourceFile | None
) -> Iterator[Made | Progress]:
    yield Progress(is_volume=True)
    with np.errstate(all="ignore"):  # numbers that are none are judged by what becomes of them
        volume = checked(reader(header, data))
        yield from _Job(Display(volume, orientation(volume)), sources.job.max_pixels).run(
            sources.job.views
        )


class _Pending:
    """A view, and those of its slices that are there."""

    def __init__(self, view: View, targets: list[Target]) -> None:
        self.view, self.targets = view, targets
        self.missing = set(targets)
        self.slices: dict[Target, NDArray[Any]] = {}

    def give(self, target: Target, pixels: NDArray[Any]) -> bool:
        """Whether this was the last."""
        self.slices[target] = pixels
        self.missing.discard(target)
        return not self.missing


class _Job:
    """The views of one volume."""

    def __init__(self, display: Display, max_pixels: int) -> None:
        self._display, self._max_pixels = display, max_pixels

    def run(self, views: list[View]) -> Iterator[Made]:
        """Those that were asked for as soon as their slices are there, then the neighbours."""
        asked = []
        for view in views:
            try:
                asked.append(_Pending(view, self._display.targets(view, self._max_pixels)))
            except PictureError as error:
                yield Made.failed(view, error)
        left, later = len(asked), list[_Pending]()
        neighbours = self._neighbours([pending.view for pending in asked])
        try:
            for pending in self._complete([*asked, *neighbours]):
                later.append(pending)
                if pending in asked:
                    left -= 1
                    yield self._made(later.pop())
                while later and not left:
                    yield self._made(later.pop())
        except PictureError:
            if left:  # else it is broken where nobody looked
                raise

    def _complete(self, pendings: list[_Pending]) -> Iterator[_Pending]:
        """Each as soon as its last slice is there."""
        waiting: dict[Target, list[_Pending]] = {}
        for pending in pendings:
            for target in pending.missing:
                waiting.setdefault(target, []).append(pending)
        for target, pixels in gather(self._display.volume, waiting):
            for pending in waiting.pop(target):
                if pending.give(target, pixels):
                    yield pending

    def _made(self, pending: _Pending) -> Made:
        slices = [pending.slices[target] for target in pending.targets]
        try:
            return made(self._display, pending.view, slices, self._max_pixels)
        except PictureError as error:
            return Made.failed(pending.view, error)

    def _neighbours(self, views: list[View]) -> Iterator[_Pending]:
        """Of the slices of a compressed volume, the nearest first: they pass by anyway."""
        volume = self._display.volume
        slices = [view for view in views if view.kind is ViewKind.SLICE]
        if not slices or not volume.data.compression:
            return
        room, number = _NEIGHBOUR_BYTES, _MOST_NEIGHBOURS
        for distance in range(1, _NEIGHBOURS + 1):
            for view in slices:
                for index in (
                    self._display.index_of(view) - distance,
                    self._display.index_of(view) + distance,
                ):
                    neighbour = msgspec.structs.replace(view, index=index)
                    size = self._display.shape[AXES[view.plane]]
                    if not 0 <= index < size or neighbour in views:
                        continue
                    pending = _Pending(
                        neighbour, self._display.targets(neighbour, self._max_pixels)
                    )
                    room -= self._display.bytes_of(pending.targets[0])
                    number -= 1
                    if room < 0 or number < 0:
                        return
                    yield pending
