"""What a worker tells of DICOM files for the index: where their pixels are, how they lie, and their
metadata.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAX_BATCH: Final = 16  # files of one job
MAX_METADATA: Final = 8 << 20  # bytes of one file
# Bytes of an answer, if it is of more than one file: that with which it would have more is left to
# the next.
MAX_ANSWER: Final = 16 << 20


class Pixels(msgspec.Struct, omit_defaults=True, gc=False):
    """Where the pixels are in the file, in bytes. ``keyword`` is the element's: PixelData,
    FloatPixelData or DoubleFloatPixelData. Native: ``offset`` and ``length`` of all frames.
    Encapsulated: ``fragments`` has for each frame the offset and the length of each of its
    fragments in turn, ``[[offset, length, offset, length], ...]``.
    """

    keyword: str
    offset: int
    length: int
    fragments: list[list[int]] = []


class FramePlane(msgspec.Struct, omit_defaults=True, gc=False):
    """A frame in space, in mm of the patient's LPS: ``position`` of the centre of its first pixel,
    ``orientation`` (of a row, then of a column, 6 numbers), ``spacing`` (between rows, between
    columns). Then what tells volumes of a 4-D series apart, and how values are rescaled.
    """

    position: list[float] | None = None
    orientation: list[float] | None = None
    spacing: list[float] | None = None
    time: int | None = None  # Temporal Position Identifier or Index
    echo: float | None = None  # Echo Time in ms, else Echo Numbers
    b_value: float | None = None  # s/mm2
    slope: float | None = None
    intercept: float | None = None


class Instance(msgspec.Struct, omit_defaults=True, tag="instance", gc=False):
    """What the index keeps of a DICOM file. ``planes`` has one for each frame, or one for a file of
    one frame; none if it has no geometry. ``metadata`` is a JSON object of DICOM PS3.18 annex F,
    made by the allow list, without pixels; with the patient if that was asked for.
    """

    study: str
    series: str
    uid: str
    sop_class: str = ""
    syntax: str = ""  # Transfer Syntax UID
    modality: str = ""
    series_number: int | None = None
    number: int | None = None
    acquisition: int | None = None
    frames: int = 0  # 0: it has no pixels
    rows: int = 0
    columns: int = 0
    samples: int = 1
    photometric: str = ""
    bits_allocated: int = 0
    bits_stored: int = 0
    high_bit: int = 0
    is_signed: bool = False
    has_other_bits: bool = False  # bits beside those that are stored hold something else
    window: list[float] | None = None  # centre and width
    thickness: float | None = None  # mm
    pixels: Pixels | None = None  # None: it has none, or ``note`` says why they cannot be found
    planes: list[FramePlane] = []
    note: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class Broken(msgspec.Struct, tag="broken"):
    """A file that says it is DICOM and cannot be indexed; ``why`` is one sentence of imgd's."""

    why: str


class Ignored(msgspec.Struct, tag="ignored"):
    """A DICOMDIR: a catalogue of files, and no instance."""


Indexed = Instance | Broken | Ignored


def parse(body: bytes) -> list[Indexed]:
    """What a worker answered about the files of a job, in their order: about the first at least,
    and not about all if the answer would be too long. msgspec.DecodeError.
    """
    return msgspec.json.decode(body, type=list[Indexed])
