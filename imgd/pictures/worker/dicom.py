"""DICOM files as pictures: thumbnails, frames, mosaics of frames, and facts without the patient."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import dicom_frames, dicom_header, frames
from imgd.pictures.worker.dicom_facts import facts
from imgd.pictures.worker.dicom_grey import rescale, to_grey
from imgd.pictures.worker.dicom_header import Header, detect
from imgd.pictures.worker.dicom_values import pixel_aspect, raw, whole
from imgd.pictures.worker.encoding import JPEG, JSON, jpeg
from imgd.pictures.worker.reduction import REDUCING_GAP
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, Sources

__all__ = ["detect", "make"]

_FRAMES: Final = "frames"


def make(sources: Sources) -> Iterator[Made]:
    """Every view of the job."""
    max_pixels = sources.job.max_pixels
    with _explained(max_pixels):
        header = dicom_header.read(sources.file)
        dicom_frames.check(header, max_pixels)
        picture = DicomPicture(header, max_pixels)
    return frames.answers(sources.job.views, picture.make)


class DicomPicture:
    """The frames of a file as pictures."""

    def __init__(self, header: Header, max_pixels: int) -> None:
        self._header = header
        self._max_pixels = max_pixels
        self._count = dicom_frames.count(header)

    def make(self, view: View) -> Made:
        """Raises PictureError."""
        kinds = {
            ViewKind.THUMB: self._thumb,
            ViewKind.SLICE: self._slice,
            ViewKind.MOSAIC: self._mosaic,
            ViewKind.INFO: self._info,
            ViewKind.COMPANION: frames.no_companions,
        }
        with _explained(self._max_pixels):
            return kinds[view.kind](view)

    def _thumb(self, view: View) -> Made:
        image = self._shown(view, self._count // 2, (view.size, view.size))
        if self._is_mask():
            return frames.png_of(view, image)
        return Made.of(view, JPEG, jpeg(image))

    def _slice(self, view: View) -> Made:
        index = frames.index_of(view, self._count, _FRAMES)
        frame = dicom_frames.read(self._header, index)
        if view.depth == 16 and not frame.is_colour:
            values = frame.values
            if view.size:
                values = _nearest(values, self._fitted(frame, index, (view.size, view.size)))
            linear = rescale(self._header.dataset, index)
            return frames.values_png(view, self._sided(view, values), *linear)
        size = (view.size, view.height or view.size) if view.size else None
        image = self._shown(view, index, size)
        if view.quality:
            return Made.of(view, JPEG, jpeg(image, view.quality))
        return frames.png_of(view, image)

    def _mosaic(self, view: View) -> Made:
        indices = frames.spread(view, self._count, _FRAMES)
        size = frames.tile_size(view)
        return frames.mosaic(view, (self._shown(view, index, size) for index in indices))

    def _info(self, view: View) -> Made:
        return Made.of(view, JSON, facts(self._header, self._count))

    def _shown(self, view: View, index: int, size: tuple[int, int] | None) -> Image.Image:
        """A frame in square pixels that fits ``size``, never enlarged beyond them."""
        frame = dicom_frames.read(self._header, index)
        pixels = frame.values
        if not frame.is_colour:
            pixels = to_grey(pixels, self._header.dataset, index, view.window)
        image = Image.fromarray(np.ascontiguousarray(self._sided(view, pixels)))
        target = self._fitted(frame, index, size)
        if image.size == target:
            return image
        if self._is_mask():
            return image.resize(target, Image.Resampling.NEAREST)
        return image.resize(target, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)

    def _fitted(
        self, frame: dicom_frames.Frame, index: int, size: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Width and height in which pixels are square, within ``size``."""
        height, width = frame.values.shape[:2]
        stretch = pixel_aspect(self._header.dataset, index)
        natural = (width * max(1 / stretch, 1), height * max(stretch, 1))
        fits = [most / side for most, side in zip(size or (), natural, strict=False)]
        scale = min((1.0, *fits))
        return max(round(natural[0] * scale), 1), max(round(natural[1] * scale), 1)

    def _sided(self, view: View, pixels: NDArray[Any]) -> NDArray[Any]:
        """The patient's left at the left, if that is asked for and the file tells the sides."""
        is_known = raw(self._header.dataset, "ImageOrientationPatient") is not None
        return pixels[:, ::-1] if view.is_neurological and is_known else pixels

    def _is_mask(self) -> bool:
        return whole(self._header.dataset, "BitsAllocated") == 1


def _nearest(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The same values in fewer or more pixels, none of them mixed."""
    width, height = size
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    return values[np.ix_(rows, columns)]


@contextmanager
def _explained(max_pixels: int) -> Iterator[None]:
    """What pydicom and decoders raise, in words of ours: theirs may quote the file."""
    Image.MAX_IMAGE_PIXELS = max_pixels  # some frames are decoded by Pillow
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(422, "It takes too much memory.") from None
    except Exception:  # they raise whatever the data leads them to
        raise NotAPicture("its DICOM data is broken or cut short.") from None
