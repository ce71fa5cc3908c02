"""Volumes: which format a file is, by its content, and every view of it in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from imgd.pictures.messages import Progress
from imgd.pictures.views import ViewKind
from imgd.pictures.worker import encoding, halves, metaimage, mgh, nifti, nrrd
from imgd.pictures.worker.orientation import orientation
from imgd.pictures.worker.source import Made, NotAPicture, SourceFile, Sources
from imgd.pictures.worker.streams import is_gzip, uncompressed
from imgd.pictures.worker.volume import Volume, checked, head_of
from imgd.pictures.worker.volume_display import Display
from imgd.pictures.worker.volume_pass import views_of

Reader = Callable[[SourceFile, SourceFile | None], Volume]

_HEAD: Final = 8192  # bytes by which a format is known


def detect(head: bytes, source: SourceFile) -> Reader | None:
    """Who reads a file that begins like this; None if it is no volume. gzip is looked into."""
    if is_gzip(head):
        head = uncompressed(source, _HEAD)
    if nifti.kind(head):
        return nifti.read
    if nrrd.is_one(head):
        return nrrd.read
    if metaimage.may_be_one(head) and metaimage.is_one(head_of(source, metaimage.MOST_HEADER)):
        return metaimage.read
    return _read_mgh if mgh.is_one(head) else None


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
        display = Display(volume, orientation(volume))
        yield from views_of(display, sources.job.views, sources.job.max_pixels)
