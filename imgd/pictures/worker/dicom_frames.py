"""The pixels of one frame of a DICOM file: nothing else of it is read or decoded."""

from __future__ import annotations

from typing import Any, BinaryIO, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless

from imgd.pictures.worker.dicom_grey import with_modality_table
from imgd.pictures.worker.dicom_header import Header
from imgd.pictures.worker.dicom_values import whole
from imgd.pictures.worker.source import NotAPicture, PictureError

_BITS: Final = (1, 8, 16, 32, 64)


class Frame(NamedTuple):
    """``values`` are (rows, columns) of what is stored, or (rows, columns, 3) uint8 of colours."""

    values: NDArray[Any]
    is_colour: bool


def count(header: Header) -> int:
    """Frames of the file, at least 1."""
    return max(whole(header.dataset, "NumberOfFrames", 1), 1)


def check(header: Header, max_pixels: int) -> None:
    """PictureError if a frame is too large or cannot be described."""
    rows, columns = whole(header.dataset, "Rows"), whole(header.dataset, "Columns")
    if rows < 1 or columns < 1:
        raise NotAPicture("its DICOM header does not say how large it is.")
    if rows * columns > max_pixels:
        raise PictureError(413, f"It has more than {max_pixels:,} pixels.")
    if header.keyword == "PixelData" and whole(header.dataset, "BitsAllocated") not in _BITS:
        raise NotAPicture("its DICOM header claims pixels of a strange number of bits.")


def read(header: Header, index: int) -> Frame:
    """One frame, decoded."""
    values, facts = _decoded(header, index)
    values = values.reshape(values.shape[-3:] if facts["samples_per_pixel"] > 1 else values.shape)
    meaning = str(facts["photometric_interpretation"])
    if meaning == "PALETTE COLOR":
        return Frame(_in_8_bits(apply_color_lut(values, header.dataset), None), True)
    if values.ndim == 3:
        return Frame(_in_8_bits(values[..., :3], whole(header.dataset, "BitsStored", 8)), True)
    if not header.syntax.is_encapsulated or header.syntax == RLELossless:
        values = _meaningful(values, header)
    return Frame(with_modality_table(values, header.dataset), False)


def _decoded(header: Header, index: int) -> tuple[NDArray[Any], dict[str, Any]]:
    options = as_pixel_options(header.dataset, pixel_keyword=header.keyword)
    options |= {"transfer_syntax_uid": header.syntax, "number_of_frames": count(header)}
    header.pixels.seek(header.offset)
    try:
        decoder = get_decoder(header.syntax)
    except NotImplementedError:
        raise _not_decoded(header.syntax) from None
    if not decoder.is_available:
        raise _not_decoded(header.syntax)
    if header.syntax == JPEGExtended12Bit and options.get("bits_stored", 8) > 8:
        raise NotAPicture("JPEG Extended with 12 bits is not decoded here.")
    values, facts = decoder.as_array(cast(BinaryIO, header.pixels), index=index, **options)
    return values, dict(facts)


def _not_decoded(syntax: UID) -> NotAPicture:
    name = syntax.name
    is_known = not name[:1].isdigit()
    return NotAPicture(f"{name if is_known else 'its transfer syntax'} is not decoded here.")


def _meaningful(values: NDArray[Any], header: Header) -> NDArray[Any]:
    """Values without the bits beside them, which may hold an overlay (PS3.5 section 8.1.1)."""
    if values.dtype.kind not in "iu":
        return values
    allocated = whole(header.dataset, "BitsAllocated")
    stored = whole(header.dataset, "BitsStored", allocated)
    high = whole(header.dataset, "HighBit", stored - 1)
    if not 0 < stored < allocated or not stored - 1 <= high < allocated:
        return values
    kind = values.dtype.type
    shifted: NDArray[Any] = values << kind(allocated - 1 - high)
    return cast(NDArray[Any], shifted >> kind(allocated - stored))


def _in_8_bits(colours: NDArray[Any], stored: int | None) -> NDArray[np.uint8]:
    bits = 8 * colours.itemsize if stored is None else stored
    return (colours[..., :3] >> max(bits - 8, 0)).astype(np.uint8)
