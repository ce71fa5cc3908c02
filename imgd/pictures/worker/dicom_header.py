"""The header of a DICOM file (DICOM PS3.10): what a picture needs of it, and where its pixels are.

Of the patient nothing is read: only the tags named here are.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from imgd.pictures.worker.source import NotAPicture, PictureError, SourceFile

PREAMBLE: Final = 128  # bytes before DICM
MAX_READ: Final = 400 << 20  # bytes that are read at once, which is a frame
MAX_INFLATED: Final = 128 << 20  # bytes of a deflated file
MAX_VALUE: Final = 8 << 20  # bytes; larger values are skipped, none that is needed is so large

# An allow list of numbers and codes: geometry and acquisition, none of DICOM PS3.15 table E.1-1.
FACTS: Final = (
    *("Modality", "ImageType", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"),
    *("SliceThickness", "SpacingBetweenSlices", "SliceLocation", "ImagePositionPatient"),
    *("ImageOrientationPatient", "PatientPosition", "PatientOrientation", "ImageLaterality"),
    *("Laterality", "ViewPosition", "BodyPartExamined", "GantryDetectorTilt"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept"),
    *("RescaleType", "KVP", "XRayTubeCurrent", "ExposureTime", "Exposure", "CTDIvol"),
    *("ReconstructionDiameter", "DistanceSourceToDetector", "DistanceSourceToPatient"),
    *("SpiralPitchFactor", "MagneticFieldStrength", "RepetitionTime", "EchoTime"),
    *("InversionTime", "FlipAngle", "EchoTrainLength", "NumberOfAverages", "ImagingFrequency"),
    *("PixelBandwidth", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("MRAcquisitionType", "DiffusionBValue", "FrameTime", "CineRate", "DoseUnits"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "PresentationLUTShape"),
)
_NEEDED: Final = (
    *("SOPClassUID", "HighBit", "PlanarConfiguration", "PixelPaddingValue"),
    *("PixelPaddingRangeLimit", "DoseGridScaling", "ModalityLUTSequence", "VOILUTSequence"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
    *("AlphaPaletteColorLookupTableDescriptor", "AlphaPaletteColorLookupTableData"),
    *("SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData"),
    *("SegmentedBluePaletteColorLookupTableData", "PixelPresentation"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
# Plain numbers: pydicom's own class compares them three times as slowly.
_TAGS: Final[list[BaseTag | int]] = [
    tag for tag in map(tag_for_keyword, (*FACTS, *_NEEDED)) if tag is not None
]
UNDEFINED: Final = 0xFFFFFFFF  # length of an element that a delimiter ends
_PIXELS: Final = {
    0x7FE00010: "PixelData",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
}
# A file without its preamble begins with an element of group 2 or 8, and names a UID of DICOM soon.
_FIRST_GROUPS: Final = (b"\x02\0", b"\x08\0", b"\0\x08")
_UID_ROOT: Final = b"1.2.840.10008."
_META: Final = 4096  # bytes in which the transfer syntax is told
_DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()

# What pydicom logs quotes values of the file.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


class BoundedFile:
    """A binary file of which no read allocates more than the file holds, whatever is claimed."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self.size = file, size
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, length: int = -1) -> bytes:
        """At most ``length`` bytes; PictureError if it is more than a frame may take."""
        left = max(self.size - self._file.tell(), 0)
        if length < 0 or length > left:
            length = left
        if length > MAX_READ:
            raise PictureError(422, "It takes too much memory.")
        return self._file.read(length)


Readable = BoundedFile | io.BytesIO


class Parsed(NamedTuple):
    """A file that was read up to its pixels. Of a deflated file, ``file`` is what was deflated,
    and ``syntax`` that of what it holds.
    """

    dataset: Dataset
    syntax: UID
    file: Readable
    is_deflated: bool


class PixelPlace(NamedTuple):
    """Where the value of the element ``keyword`` begins; ``length`` as the file has it, in bytes,
    UNDEFINED if it is encapsulated.
    """

    offset: int
    keyword: str
    vr: str
    length: int


class Header(NamedTuple):
    """``offset`` is where the value of the element ``keyword`` begins in ``pixels``, a file of
    ``size`` bytes.
    """

    dataset: Dataset
    syntax: UID
    pixels: Readable
    size: int
    offset: int
    keyword: str
    vr: str


def detect(head: bytes) -> bool:
    """Whether a file that begins so is DICOM for certain."""
    if head[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    return head[:2] in _FIRST_GROUPS and head[3:4] in b"\0\x05\x08\x16" and _UID_ROOT in head


def read(source: SourceFile) -> Header:
    """Everything before the pixels; NotAPicture if there are none."""
    parsed = parse(BoundedFile(source.open(), source.size), _TAGS, MAX_VALUE)
    place = find_pixels(parsed)
    if place is None:
        raise NotAPicture(_without_pixels(parsed.dataset))
    size = len(parsed.file.getbuffer()) if isinstance(parsed.file, io.BytesIO) else source.size
    return Header(parsed.dataset, parsed.syntax, parsed.file, size, *place[:3])


def parse(file: Readable, tags: list[BaseTag | int] | None, most: int) -> Parsed:
    """The elements of these tags (None: all) that are before the pixels, where the file stands
    then, or at its end if it has none. Values of more than ``most`` bytes are None.
    """
    begin = file.read(_META)
    if begin[PREAMBLE : PREAMBLE + 4] == b"DICM" and _DEFLATED in begin:
        file.seek(PREAMBLE + 4)
        if _meta(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _inflated(file, tags, most)
    file.seek(0)
    dataset = read_partial(
        cast(BinaryIO, file), _is_of_pixels, defer_size=most, force=True, specific_tags=tags
    )
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return Parsed(dataset, UID(syntax) if syntax else _guessed(dataset), file, False)


def _is_of_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag in _PIXELS


def _meta(file: Readable) -> Dataset:
    """The group before the data set, which ``file`` stands at (PS3.10 section 7.1)."""
    return read_dataset(
        cast(BinaryIO, file),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
        defer_size=MAX_VALUE,
    )


def _inflated(file: Readable, tags: list[BaseTag | int] | None, most: int) -> Parsed:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(file.read(), MAX_INFLATED)
    except zlib.error:
        raise NotAPicture("its compressed data is broken.") from None
    if inflater.unconsumed_tail:
        raise PictureError(422, "It takes too much memory.")
    inner = io.BytesIO(data)
    dataset = read_dataset(
        cast(BinaryIO, inner),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=_is_of_pixels,
        defer_size=most,
        specific_tags=tags,
    )
    return Parsed(dataset, ExplicitVRLittleEndian, inner, True)


def _guessed(dataset: Dataset) -> UID:
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def find_pixels(parsed: Parsed) -> PixelPlace | None:
    """The element at which reading stopped (PS3.5 section 7.1); None if it was the end."""
    is_implicit, is_little = parsed.dataset.original_encoding
    order = "<" if is_little else ">"
    begin = parsed.file.read(12)
    group, element = struct.unpack(f"{order}HH", begin[:4].ljust(4, b"\0"))
    keyword = _PIXELS.get(group << 16 | element)
    if keyword is None or len(begin) < 12:
        return None
    # Explicit: VR, two bytes that are reserved, and the length; implicit: the length alone.
    is_implicit = bool(is_implicit) or not begin[4:6].isalpha()
    position = 4 if is_implicit else 8
    (length,) = struct.unpack_from(f"{order}I", begin, position)
    offset = parsed.file.seek(parsed.file.tell() - 12 + position + 4)
    vr = "OW" if is_implicit else begin[4:6].decode("latin-1")
    return PixelPlace(offset, keyword, vr, length)


def _without_pixels(dataset: Dataset) -> str:
    name = uid_name(dataset.get("SOPClassUID"))
    return f"it is DICOM without pixels{f' ({name})' if name else ''}, or cut short before them."


def uid_name(uid: Any) -> str | None:
    """The name that the standard has for a UID. None for every other text that a file may hold."""
    name = UID(uid).name if isinstance(uid, str) else None
    return None if name == uid else name
