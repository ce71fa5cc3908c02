"""Pictures of the formats that Pillow reads: thumbnails, pages, and facts."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image

from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import colours, frames, windows
from imgd.pictures.worker.encoding import JPEG, JSON, jpeg
from imgd.pictures.worker.formats import HEAD_SIZE, format_name, picture_format
from imgd.pictures.worker.reduction import orientation, shown, turned
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, SourceFile, Sources

_PAGES: Final = "pages"
_TYPES: Final = {
    **{"1": "bit", "L": "uint8", "P": "palette", "I": "int32", "F": "float32", "RGB": "rgb24"},
    **{"RGBA": "rgba32", "LA": "la16", "CMYK": "cmyk32", "YCbCr": "ycbcr24", "LAB": "lab24"},
}


# What Pillow logs is said in answers, in words of ours.
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)


def detect(head: bytes) -> bool:
    """Whether a file begins as one of the formats does."""
    return picture_format(head) is not None


def make(sources: Sources) -> Iterator[Made]:
    """Every view of the job."""
    picture = RasterFile(sources.file, sources.job.max_pixels)
    return frames.answers(sources.job.views, picture.make)


class RasterFile:
    """A picture's file, which is opened anew for every view: decoding it smaller changes it."""

    def __init__(self, source: SourceFile, max_pixels: int) -> None:
        self._source = source
        self._max_pixels = max_pixels
        self._format = picture_format(source.read(0, HEAD_SIZE)) or ""

    def make(self, view: View) -> Made:
        """Raises PictureError."""
        if view.kind is ViewKind.COMPANION:
            return frames.no_companions(view)
        kinds = {
            ViewKind.THUMB: _thumb,
            ViewKind.SLICE: self._page,
            ViewKind.MOSAIC: self._mosaic,
            ViewKind.INFO: self._info,
        }
        with self._explained(), self._source.open() as file:
            image = Image.open(file, formats=(self._format,))
            self._check(image)
            return kinds[view.kind](view, image)

    def _page(self, view: View, image: Image.Image) -> Made:
        """A page as it is, without loss; ``depth=16`` gives the values of grey pictures."""
        self._seek(image, frames.index_of(view, _pages(image), _PAGES))
        if view.depth == 16 and (colours.is_deep(image) or image.mode == "L"):
            return _values(view, image)
        size = (view.size, view.size) if view.size else None
        return frames.png_of(view, shown(image, size, view.window).image)

    def _mosaic(self, view: View, image: Image.Image) -> Made:
        numbers = frames.spread(view, _pages(image), _PAGES)
        return frames.mosaic(view, (self._tile(image, view, number) for number in numbers))

    def _tile(self, image: Image.Image, view: View, number: int) -> Image.Image:
        self._seek(image, number)
        return shown(image.copy(), frames.tile_size(view), view.window).image

    def _info(self, view: View, image: Image.Image) -> Made:
        facts: dict[str, Any] = {
            "kind": "picture",
            "format": format_name(self._format),
            "size": image.size[::-1] if orientation(image) >= 5 else image.size,
            "type": _type(image),
            "is_colour": not (colours.is_deep(image) or image.mode in ("1", "L", "LA")),
            "pages": _pages(image),
        }
        if colours.is_deep(image):
            facts |= _range(np.asarray(image))
        return Made.of(view, JSON, msgspec.json.encode(facts))

    def _seek(self, image: Image.Image, number: int) -> None:
        image.seek(number)
        self._check(image)

    def _check(self, image: Image.Image) -> None:
        if image.width * image.height > self._max_pixels:
            raise self._too_many()

    def _too_many(self) -> PictureError:
        return PictureError(413, f"It has more than {self._max_pixels:,} pixels.")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What Pillow raises, in words of ours: its own may tell paths, or nothing."""
        name = format_name(self._format)
        Image.MAX_IMAGE_PIXELS = self._max_pixels
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise self._too_many() from None
        except MemoryError:
            raise PictureError(422, "It takes too much memory.") from None
        except PictureError:
            raise
        except Exception as error:  # Pillow's plugins raise whatever the data leads them to
            raise NotAPicture(f"its {name} data is {self._fault(str(error))}.") from None

    def _fault(self, message: str) -> str:
        text = message.lower()
        if "truncated" in text or "not enough" in text or "unexpected end" in text:
            return "cut short"
        if "not supported" in text or "unsupported" in text or "cannot handle" in text:
            return "of a kind that is not decoded"
        if self._format == "JPEG2000":  # its library tells no difference
            return "broken, or takes too much memory"
        return "broken"


def _thumb(view: View, image: Image.Image) -> Made:
    small, is_label_map = shown(image, (view.size, view.size), "")
    if is_label_map or small.mode == "RGBA":
        return frames.png_of(view, small)
    return Made.of(view, JPEG, jpeg(small))


def _values(view: View, image: Image.Image) -> Made:
    lies = orientation(image)
    if view.size:
        image.thumbnail((view.size, view.size), Image.Resampling.NEAREST, None)
    return frames.values_png(view, np.asarray(turned(image, lies)))


def _pages(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _type(image: Image.Image) -> str:
    return "uint16" if image.mode.startswith("I;16") else _TYPES.get(image.mode, image.mode)


def _range(values: NDArray[Any]) -> dict[str, Any]:
    """The values of a grey picture, and the window that opens best, for a viewer."""
    low, high = windows.limits(values, "min-max")
    p2, p98 = windows.limits(values, "p2-98")
    return {
        "range": {"min": low, "max": high, "p2": p2, "p98": p98},
        "window": [(p2 + p98) / 2, p98 - p2],
    }


def warm() -> None:
    """Load the plugins of these formats, and no other's."""
    for name in ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Png", "Tiff", "WebP"):
        import_module(f"PIL.{name}ImagePlugin")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # in a sandbox no thread can be started
    Image.preinit()
