"""Headers of NIfTI-1, NIfTI-2 and ANALYZE 7.5: nifti1.h and nifti2.h of the NIfTI working group."""

from __future__ import annotations

import math
import struct
from typing import Final, NamedTuple

import numpy as np

from imgd.pictures.worker.source import NotAPicture, SourceFile
from imgd.pictures.worker.volume import (
    Data,
    Floats,
    Volume,
    affine_of,
    head_of,
    is_usable,
    length_or_one,
    whole_or_gzip,
)

_TYPES: Final = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1",
    512: "u2", 768: "u4", 1024: "i8", 1280: "u8", 1792: "c16",
}  # fmt: skip
_COLOURS: Final = {128: 3, 2304: 4}  # channels of one byte each
_REFUSED: Final = {1: "single bits", 1536: "128-bit floats", 2048: "256-bit complex numbers"}
_METRE, _MICROMETRE = 1, 3
_TO_MM: Final = {_METRE: 1000.0, _MICROMETRE: 0.001}
_TIME_UNITS: Final = {8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s"}
_HEAD: Final = 544


class _Layout(NamedTuple):
    """The fields of a header: ``struct`` codes without byte order, and offsets in bytes."""

    dims: tuple[str, int]
    datatype: int
    pixdim: tuple[str, int]
    offset: tuple[str, int]
    scaling: tuple[str, int]  # slope, intercept
    shown: tuple[str, int]  # cal_max, cal_min
    units: tuple[str, int]
    forms: tuple[str, int]  # qform_code, sform_code
    quaternion: tuple[str, int]  # b, c, d, then the offsets x, y, z
    rows: tuple[str, int]  # of the sform
    data_after: int  # where the voxels of a single file begin at the earliest


_NIFTI_1: Final = _Layout(
    ("8h", 40), 70, ("8f", 76), ("f", 108), ("2f", 112), ("2f", 124), ("b", 123), ("2h", 252),
    ("6f", 256), ("12f", 280), 352,
)  # fmt: skip
_NIFTI_2: Final = _Layout(
    ("8q", 16), 12, ("8d", 104), ("q", 168), ("2d", 176), ("2d", 192), ("i", 500), ("2i", 344),
    ("6d", 352), ("12d", 400), 544,
)  # fmt: skip


class _NiftiHeader:
    """The fields of one header."""

    def __init__(self, head: bytes, layout: _Layout, order: str) -> None:
        self._head, self._order = head, order
        self.layout = layout
        self.dims = self.numbers(layout.dims)
        self.datatype = int(self.numbers(("h", layout.datatype))[0])
        self.pixdim = self.numbers(layout.pixdim)

    def numbers(self, field: tuple[str, int]) -> tuple[float, ...]:
        code, offset = field
        return struct.unpack_from(self._order + code, self._head, offset)


def kind(head: bytes) -> str:
    """ "NIfTI-1", "NIfTI-2" or "ANALYZE 7.5"; "" for what is none of them."""
    if len(head) < 348:
        return ""
    sizes = [int.from_bytes(head[:4], order) for order in ("little", "big")]
    if 540 in sizes and head[4:8] in (b"n+2\0", b"ni2\0") and len(head) >= 540:
        return "NIfTI-2"
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI-1"
    is_analyze = 348 in sizes and any(1 <= head[40 + byte] <= 7 for byte in (0, 1))
    return "ANALYZE 7.5" if is_analyze else ""


def has_data_apart(head: bytes) -> bool:
    """Whether the voxels are in another file."""
    return kind(head) == "ANALYZE 7.5" or head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0"


def read(file: SourceFile, data_file: SourceFile | None) -> Volume:
    """The volume of a header; ``data_file`` holds the voxels of one that is apart."""
    head = head_of(file, _HEAD)
    name = kind(head)
    layout = _NIFTI_2 if name == "NIfTI-2" else _NIFTI_1
    header = _NiftiHeader(head, layout, _byte_order(head, layout))
    dims, roles, notes = _dims(header)
    channels = _COLOURS.get(header.datatype)
    code = "u1" if channels else _TYPES.get(header.datatype)
    if code is None:
        what = _REFUSED.get(header.datatype, f"type {header.datatype}")
        raise NotAPicture(f"its voxels are {what}, which are not shown.")
    if channels:
        dims, roles = (channels, *dims), "c" + roles
    dtype = np.dtype(code).newbyteorder("<" if header._order == "<" else ">")
    affine = _affine(header, (*dims[roles.index("x") :],), is_nifti=name != "ANALYZE 7.5")
    if name == "ANALYZE 7.5":
        notes = (*notes, "ANALYZE 7.5 does not say which side is left.")
    slope, intercept = _scaling(header, is_colour=bool(channels))
    unit = int(header.numbers(layout.units)[0])
    return Volume(
        name, dims, roles, dtype, affine, _data(head, header, file, data_file, dims, dtype),
        slope, intercept, _shown(header), _TIME_UNITS.get(unit & 0x38, ""), notes,
    )  # fmt: skip


def _byte_order(head: bytes, layout: _Layout) -> str:
    """ "<" or ">": that in which the number of dimensions is one, and the header's size if both
    are.
    """
    code, offset = layout.dims
    orders = [
        order for order in "<>" if 1 <= struct.unpack_from(order + code[-1], head, offset)[0] <= 7
    ]
    if not orders:
        raise NotAPicture("its header does not have 1 to 7 dimensions.")
    return orders[0]


def _dims(header: _NiftiHeader) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """Sizes, roles, and what is not shown. Sizes past the number of dimensions do not count."""
    number = int(header.dims[0])
    sizes = [int(size) for size in header.dims[1 : number + 1]]
    sizes += [1] * (3 - number)
    if min(sizes) < 1:
        raise NotAPicture(f"a side of it is {min(sizes)} voxels long.")
    rest = sizes[4:]
    more = [axis + 5 for axis, size in enumerate(rest) if size > 1]
    notes = tuple(f"Only the first along axis {axis} is shown." for axis in more)
    return tuple(sizes), "xyzt"[: len(sizes)] + "-" * len(rest), notes


def _scaling(header: _NiftiHeader, is_colour: bool) -> tuple[float, float]:
    slope, intercept = header.numbers(header.layout.scaling)
    if is_colour or not slope or not math.isfinite(slope):
        return 1.0, 0.0
    return slope, intercept if math.isfinite(intercept) else 0.0


def _shown(header: _NiftiHeader) -> tuple[float, float] | None:
    most, least = header.numbers(header.layout.shown)
    return (least, most) if math.isfinite(least) and math.isfinite(most) and least < most else None


def _data(
    head: bytes,
    header: _NiftiHeader,
    file: SourceFile,
    data_file: SourceFile | None,
    dims: tuple[int, ...],
    dtype: np.dtype[np.generic],
) -> Data:
    offset = header.numbers(header.layout.offset)[0]
    if not math.isfinite(offset) or not 0 <= offset < 1 << 62:
        raise NotAPicture("its header does not say where the voxels begin.")
    if has_data_apart(head):
        if data_file is None:
            raise NotAPicture("the file of its voxels is not here.")
        return whole_or_gzip(data_file, int(offset), math.prod(dims) * dtype.itemsize)
    return whole_or_gzip(file, max(int(offset), header.layout.data_after))


def _affine(header: _NiftiHeader, shape: tuple[int, ...], is_nifti: bool) -> Floats:
    """The sform, else the qform, else the sizes of the voxels alone, with x to the left as in
    ANALYZE; in mm.
    """
    code = int(header.numbers(header.layout.units)[0]) & 0x07
    to_mm = _TO_MM.get(code, 1.0) if is_nifti else 1.0
    qform_code, sform_code = header.numbers(header.layout.forms) if is_nifti else (0, 0)
    affine = None
    if sform_code > 0:
        affine = _sform(header)
    if (affine is None or not is_usable(affine)) and qform_code > 0:
        affine = _qform(header)
    if affine is None or not is_usable(affine):
        affine = _of_voxels(header, shape)
    affine[:3] *= to_mm
    return affine


def _sform(header: _NiftiHeader) -> Floats:
    affine = np.eye(4)
    affine[:3] = np.array(header.numbers(header.layout.rows), float).reshape(3, 4)
    return affine


def _qform(header: _NiftiHeader) -> Floats:
    """Method 2 of nifti1.h; a quaternion longer than 1 is shortened."""
    b, c, d, *origin = header.numbers(header.layout.quaternion)
    norm = math.sqrt(b * b + c * c + d * d)
    if norm > 1:
        b, c, d = b / norm, c / norm, d / norm
    a = math.sqrt(max(0.0, 1 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    x, y, z = map(length_or_one, header.pixdim[1:4])
    z = -z if header.pixdim[0] < 0 else z
    return affine_of((rotation * (x, y, z)).T.tolist(), origin)


def _of_voxels(header: _NiftiHeader, shape: tuple[int, ...]) -> Floats:
    x, y, z = map(length_or_one, header.pixdim[1:4])
    steps = (-x, y, z)
    origin = [-step * (size - 1) / 2 for step, size in zip(steps, shape[:3], strict=True)]
    return affine_of(np.diag(steps).tolist(), origin)
