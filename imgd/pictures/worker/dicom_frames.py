"""The pixels of one frame of a DICOM file: nothing else of it is read or decoded."""

from __future__ import annotations

from typing import Any, BinaryIO, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless

from imgd.pictures.worker import codestreams
from imgd.pictures.worker.dicom_grey import with_modality_table
from imgd.pictures.worker.dicom_header import Header, uid_name
from imgd.pictures.worker.dicom_values import raw, whole
from imgd.pictures.worker.source import NotAPicture, PictureError

_BITS: Final = (1, 8, 16, 32, 64)
_FLOAT_BITS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


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
    options = _options(header)
    try:
        decoder = get_decoder(header.syntax)
    except NotImplementedError:
        raise _not_decoded(header.syntax) from None
    if not decoder.is_available:
        raise _not_decoded(header.syntax)
    if header.syntax == JPEGExtended12Bit and options["bits_stored"] > 8:
        raise NotAPicture("JPEG Extended with 12 bits is not decoded here.")
    if not header.syntax.is_encapsulated and _end(options, index) > header.size - header.offset:
        raise NotAPicture("its DICOM data is cut short.")
    header.pixels.seek(header.offset)
    pixels = cast(BinaryIO, header.pixels)
    if header.syntax.is_encapsulated:
        return _decompressed(decoder, pixels, index, options)
    values, facts = decoder.as_array(pixels, index=index, **options)
    return values, dict(facts)


def _decompressed(
    decoder: Decoder, pixels: BinaryIO, index: int, options: dict[str, Any]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """A frame in fragments. One that claims another size for itself is broken: some hundred bytes
    could keep a decoder busy for seconds.
    """
    offsets = options.pop("extended_offsets", None)
    count = options["number_of_frames"]
    frame = get_frame(pixels, index, extended_offsets=offsets, number_of_frames=count)
    claimed = codestreams.size(frame)
    if claimed is not None and claimed != (options["rows"], options["columns"]):
        raise NotAPicture("its frame has another size than its DICOM header says.")
    options["number_of_frames"] = 1
    values, facts = decoder.as_array(encapsulate([frame]), index=0, **options)
    return values, dict(facts)


def _options(header: Header) -> dict[str, Any]:
    """The image pixel module (DICOM PS3.3 section C.7.6.3) as pydicom's decoders take it."""
    dataset = header.dataset
    allocated = whole(dataset, "BitsAllocated", _FLOAT_BITS.get(header.keyword, 0))
    options: dict[str, Any] = {
        "rows": whole(dataset, "Rows"),
        "columns": whole(dataset, "Columns"),
        "number_of_frames": count(header),
        "samples_per_pixel": whole(dataset, "SamplesPerPixel", 1),
        "planar_configuration": whole(dataset, "PlanarConfiguration"),
        "photometric_interpretation": str(
            raw(dataset, "PhotometricInterpretation") or "MONOCHROME2"
        ),
        "bits_allocated": allocated,
        "bits_stored": whole(dataset, "BitsStored", allocated),
        "pixel_representation": whole(dataset, "PixelRepresentation"),
        "pixel_keyword": header.keyword,
        "pixel_vr": header.vr,
        "transfer_syntax_uid": header.syntax,
    }
    offsets, lengths = (
        raw(dataset, "ExtendedOffsetTable"),
        raw(dataset, "ExtendedOffsetTableLengths"),
    )
    if offsets and lengths:
        options["extended_offsets"] = (offsets, lengths)
    return options


def _end(options: dict[str, Any], index: int) -> int:
    """How many bytes of pixels a file holds at least that has this frame."""
    bits = options["rows"] * options["columns"] * options["samples_per_pixel"]
    bits *= options["bits_allocated"]
    if options["photometric_interpretation"] == "YBR_FULL_422":
        bits = bits // 3 * 2
    return int(-(-bits * (index + 1) // 8))


def _not_decoded(syntax: UID) -> NotAPicture:
    return NotAPicture(f"{uid_name(syntax) or 'its transfer syntax'} is not decoded here.")


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
