"""Pictures made smaller, as they are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from PIL import ExifTags, Image, ImageFile

from imgd.pictures.worker import colours, jpeg2000

# JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which is at least this many times what is asked.
REDUCING_GAP: Final = 1.5
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by the orientation of EXIF (CIPA DC-008 section 4.6.4)


class Shown(NamedTuple):
    """A picture of mode L, RGB or RGBA; ``is_label_map``: its values must not be mixed."""

    image: Image.Image
    is_label_map: bool


def orientation(image: Image.Image) -> int:
    """How the picture lies, from 1 to 8, by EXIF. Pillow turns TIFF itself."""
    data = image.info.get("exif")
    if image.format == "TIFF" or not data:
        return 1
    exif = Image.Exif()
    with suppress(Exception):  # whatever the data leads Pillow to: then it lies upright
        exif.load(data)
        value = exif.get(ExifTags.Base.Orientation)
        return value if value in _TURNS else 1
    return 1


def turned(image: Image.Image, lies: int) -> Image.Image:
    """The picture upright."""
    return image.transpose(_TURNS[lies]) if lies in _TURNS else image


def shown(image: Image.Image, size: tuple[int, int] | None, window: str) -> Shown:
    """A picture that fits ``size`` in pixels, never enlarged; None: as large as it is."""
    lies = orientation(image)
    if size and lies >= 5:
        size = size[::-1]
    is_label_map = colours.is_label_map(image)
    if is_label_map:
        image = _fitted(image, size, Image.Resampling.NEAREST)
        image = colours.spread_labels(image)
        window = window or ("min-max" if colours.is_deep(image) else "")
    else:
        if size:
            jpeg2000.reduce(image, _least(image.size, size))
        image = _fitted(colours.resizable(image), size, Image.Resampling.BICUBIC)
    upright = turned(colours.shown(image, window), lies)
    if isinstance(upright, ImageFile.ImageFile):
        upright = upright.copy()  # Pillow would ask for the working folder when this is saved
    upright.info = {}  # comments of the file, which Pillow would write into a JPEG
    return Shown(upright, is_label_map)


def _least(own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """What a picture must measure before it is made to fit ``size``."""
    scale = REDUCING_GAP * min(most / side for most, side in zip(size, own, strict=True))
    return max(1, round(own[0] * scale)), max(1, round(own[1] * scale))


def _exceeds(own: tuple[int, int], size: tuple[int, int]) -> bool:
    return own[0] > size[0] or own[1] > size[1]


def _fitted(
    image: Image.Image, size: tuple[int, int] | None, resampling: Image.Resampling
) -> Image.Image:
    """The picture itself, made smaller."""
    if size:
        is_nearest = resampling is Image.Resampling.NEAREST
        if not is_nearest and _exceeds(image.size, size):
            # thumbnail() would ask for the square, and so decode twice as wide as is needed.
            image.draft(None, _least(image.size, size))
            image.load()
        image.thumbnail(size, resampling, None if is_nearest else REDUCING_GAP)
    return image
