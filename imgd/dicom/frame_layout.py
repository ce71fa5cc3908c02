"""Where the frames of an instance are in its file, and what their bytes are.

Nothing is decoded: frames that are not compressed are ranges of the file, of those that are the
fragments are joined (DICOM PS3.5 sections 8.2 and A.4, PS3.18 section 8.7.3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imgd.core.ranges import Slice
from imgd.dicom.model import IndexedInstance
from imgd.errors import ImgdError, NotFound
from imgd.pictures.instances import Instance

BYTES: Final = "application/octet-stream"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"  # little endian; the bytes of pixels are the same in both
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
# By Transfer Syntax UID: PS3.18 tables 8.7.3-4 and 8.7.3-5.
_MEDIA_TYPES: Final = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)), "image/jls"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112)), "image/jxl"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)), "image/jphc"),
}
# Of one sample or three; of two if two pixels share their colour. A file whose pixels are more
# than its header says has none of these.
_BYTES_PER_PIXEL: Final = frozenset({1, 2, 3, 4, 6, 8})
_INSTEAD: Final = "the rendered resource of the instance can be had instead."


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """``media_type`` is what the bytes of a frame are, ``syntax`` the Transfer Syntax UID that they
    are in. Native frames are ``length`` bytes each from ``offset``; others have ``fragments`` as
    ``imgd.pictures.instances.Pixels`` has them.
    """

    count: int
    media_type: str
    syntax: str
    offset: int = 0
    length: int = 0
    fragments: Sequence[Sequence[int]] = ()

    def slices(self, number: int) -> tuple[Slice, ...]:
        """The bytes of a frame, counted from 1; NotFound if there is none of this number."""
        if number > self.count:
            frames = "1 frame" if self.count == 1 else f"{self.count} frames"
            raise NotFound(f"There is no frame {number}: the instance has {frames}.")
        if not self.fragments:
            return (Slice(self.offset + (number - 1) * self.length, self.length),)
        numbers = self.fragments[number - 1]
        return tuple(map(Slice, numbers[::2], numbers[1::2]))


def of_indexed(instance: IndexedInstance) -> FrameLayout | None:
    """By what memory keeps of an instance; None if only its record says where its frames are."""
    pixels = instance.rows * instance.columns * instance.frames
    if instance.syntax not in (IMPLICIT, EXPLICIT) or pixels < 4:
        return None
    bytes_per_pixel, rest = divmod(instance.length, pixels)
    if bytes_per_pixel not in _BYTES_PER_PIXEL or rest > 1:  # one may make the length even
        return None
    length = instance.rows * instance.columns * bytes_per_pixel
    return FrameLayout(instance.frames, BYTES, EXPLICIT, instance.offset, length)


def of_record(record: Instance, *, is_swapped: bool = True) -> FrameLayout:
    """By what the index keeps of an instance. ``is_swapped``: in a big endian file, bytes are in
    words of 16 bits. NotFound if it has no frames, an ImgdError of status 406 if their bytes cannot
    be given as they are.
    """
    pixels = record.pixels
    if record.note and record.syntax == DEFLATED:
        raise ImgdError.of(406, f"The file is deflated, so that no frame lies in it: {_INSTEAD}")
    if record.note:
        raise ImgdError.of(406, record.note)
    if pixels is None or not record.frames:
        raise NotFound("The instance has no frames.")
    if pixels.fragments:
        return _compressed(record, pixels.fragments)
    if record.syntax == BIG_ENDIAN and (record.bits_allocated > 8 or is_swapped):
        raise ImgdError.of(406, f"The file is big endian, and nothing is converted: {_INSTEAD}")
    if record.syntax not in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
        raise ImgdError.of(406, f"The frames cannot be told apart in this file: {_INSTEAD}")
    return FrameLayout(record.frames, BYTES, EXPLICIT, pixels.offset, _native_length(record))


def _compressed(record: Instance, fragments: Sequence[Sequence[int]]) -> FrameLayout:
    if len(fragments) < record.frames:
        raise ImgdError.of(406, f"The frames cannot be told apart in this file: {_INSTEAD}")
    media_type = _MEDIA_TYPES.get(record.syntax, BYTES)
    return FrameLayout(record.frames, media_type, record.syntax, fragments=fragments)


def _native_length(record: Instance) -> int:
    bits = record.rows * record.columns * record.samples * record.bits_allocated
    if record.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3  # two pixels share their colour (PS3.3 section C.7.6.3.1.2)
    if bits % 8 and record.frames > 1:
        raise ImgdError.of(406, f"Its frames do not begin at whole bytes: {_INSTEAD}")
    length = (bits + 7) // 8
    if not length or record.pixels is None or length * record.frames > record.pixels.length:
        raise ImgdError.of(406, f"The file has fewer pixels than its header says: {_INSTEAD}")
    return length
