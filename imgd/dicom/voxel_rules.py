"""Whether the pixels of a series can be the voxels of a NIfTI-1 file as they stand in their files.

Nothing is decoded, so that every file must have what NIfTI-1 can say: plain little endian grey
values of one type, with one rescale for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from imgd.dicom.volume_files import NotAVolume, VolumeFile, odd_one
from imgd.pictures.instances import Instance

MAX_SIZE: Final = 32767  # NIfTI-1 keeps sizes in 16 bits with a sign
_PLAIN: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_COMPRESSED: Final = {
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.100": "MPEG-2",
    "1.2.840.10008.1.2.4.102": "MPEG-4",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}


class VoxelType(NamedTuple):
    """How NIfTI-1 calls a type of values, and how many bits one takes."""

    code: int
    bits: int


# By the element, the bits allocated, and whether they have a sign.
_TYPES: Final = {
    ("PixelData", 8, False): VoxelType(2, 8),
    ("PixelData", 8, True): VoxelType(256, 8),
    ("PixelData", 16, False): VoxelType(512, 16),
    ("PixelData", 16, True): VoxelType(4, 16),
    ("PixelData", 32, False): VoxelType(768, 32),
    ("PixelData", 32, True): VoxelType(8, 32),
    ("FloatPixelData", 32, False): VoxelType(16, 32),
    ("DoubleFloatPixelData", 64, False): VoxelType(64, 64),
}


class Rescaling(NamedTuple):
    """What makes the values of a modality of stored ones, such as HU (PS3.3 section C.11.1)."""

    slope: float = 1.0
    intercept: float = 0.0


def check(files: Sequence[VolumeFile]) -> tuple[VoxelType, Rescaling]:
    """The type of all voxels and their rescale; NotAVolume."""
    for file in files:
        _check_one(file)
    _check_same(files)
    return _type_of(files[0].record), _rescaling(files)


def frame_size(record: Instance) -> int:
    """Bytes of a frame of plain pixels."""
    return record.rows * record.columns * (record.bits_allocated // 8)


def _check_one(file: VolumeFile) -> None:
    for why in _faults(file.record, file.indexed.facts.size):
        raise NotAVolume(f"{file.name} {why}.")


def _faults(record: Instance, size: int) -> Iterator[str]:
    if not record.frames:
        yield "has no pixels"
    yield from _syntax_faults(record.syntax)
    if record.samples != 1 or record.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        yield (
            "is in colours of a palette, and a .nii has grey values alone"
            if record.photometric == "PALETTE COLOR"
            else "is in colour, and a .nii has grey values alone"
        )
    if not (0 < record.rows <= MAX_SIZE and 0 < record.columns <= MAX_SIZE):
        yield f"has {record.columns} x {record.rows} pixels, and a .nii has 1 to {MAX_SIZE} a side"
    pixels = record.pixels
    if pixels is None:
        note = record.note or "They cannot be found in it."
        yield f"has pixels that cannot be used: {note[:1].lower()}{note[1:].rstrip('.')}"
        return
    if _kind(record) not in _TYPES:
        yield f"has {record.bits_allocated} bits a pixel, which a .nii cannot hold as they are"
    yield from _bit_faults(record)
    needed = frame_size(record) * record.frames
    if pixels.offset < 0 or pixels.length < needed or pixels.offset + needed > size:
        yield "is cut short: some of its pixels are missing"


def _syntax_faults(syntax: str) -> Iterator[str]:
    if syntax in _PLAIN:
        return
    if syntax == _BIG_ENDIAN:
        yield "has its pixels in big endian, and a .nii made of files has little endian alone"
    elif syntax == _DEFLATED:
        yield "is deflated, so that its pixels do not stand in it as they are"
    elif syntax in _COMPRESSED:
        yield (
            f"is compressed ({_COMPRESSED[syntax]}), and nothing is decoded for a .nii: dcm2niix "
            "converts such files, and DICOMweb's 'rendered' shows their frames"
        )
    else:
        yield "is in a transfer syntax whose pixels are not plain values"


def _bit_faults(record: Instance) -> Iterator[str]:
    if record.pixels is None or record.pixels.keyword != "PixelData" or not record.bits_stored:
        return
    if record.has_other_bits or record.high_bit != record.bits_stored - 1:
        yield (
            f"stores {record.bits_stored} of {record.bits_allocated} bits, and something else "
            "beside them"
        )


def _kind(record: Instance) -> tuple[str, int, bool]:
    keyword = record.pixels.keyword if record.pixels else ""
    return keyword, record.bits_allocated, record.is_signed and keyword == "PixelData"


def _type_of(record: Instance) -> VoxelType:
    return _TYPES[_kind(record)]


def _check_same(files: Sequence[VolumeFile]) -> None:
    if types := odd_one(files, lambda file: _kind(file.record)):
        file, kind, usual_kind = types
        raise NotAVolume(
            f"{file.name} has {_in_words(kind)}, "
            f"and other files of the series {_in_words(usual_kind)}."
        )
    if photometric := odd_one(files, lambda file: file.record.photometric):
        file, name, usual_name = photometric
        raise NotAVolume(f"{file.name} is {name}, and other files of the series {usual_name}.")


def _in_words(kind: tuple[str, int, bool]) -> str:
    keyword, bits, is_signed = kind
    if keyword != "PixelData":
        return f"floating-point values of {bits} bits"
    return f"{bits} bits a pixel {'with' if is_signed else 'without'} a sign"


def _rescaling(files: Sequence[VolumeFile]) -> Rescaling:
    for file in files:
        if file.has_modality_lut:
            raise NotAVolume(f"{file.name} has a Modality LUT, and a .nii has a slope alone.")
    of_files = {file.name: _rescalings(file.record) for file in files}
    if odd := odd_one(files, lambda file: of_files[file.name]):
        raise NotAVolume(f"{odd[0].name} has another rescale than other files of the series.")
    rescalings = of_files[files[0].name]
    if len(rescalings) > 1:
        raise NotAVolume(f"{files[0].name} has frames of different rescale.")
    rescaling = next(iter(rescalings))
    if not rescaling.slope:
        raise NotAVolume(f"{files[0].name} has a rescale slope of 0.")
    return rescaling


def _rescalings(record: Instance) -> frozenset[Rescaling]:
    found = frozenset(
        Rescaling(
            1.0 if plane.slope is None else plane.slope,
            0.0 if plane.intercept is None else plane.intercept,
        )
        for plane in record.planes
    )
    return found or frozenset((Rescaling(),))
