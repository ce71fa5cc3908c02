"""Series as the index knows them, made of numbers alone, and the volumes of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import nibabel
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.core.joined_file import FileSlice
from imgd.core.ranges import Slice
from imgd.dicom.model import IndexedInstance
from imgd.dicom.series_volume import SeriesVolume, VolumeDraft
from imgd.pictures.instances import FramePlane, Instance, Pixels

ROWS, COLUMNS = 4, 3
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OFFSET = 1000  # of the pixels in each file
Pair = tuple[IndexedInstance, Instance]


def plane(
    z: float = 0.0,
    *,
    x: float = -10.0,
    y: float = -20.0,
    directions: Sequence[float] = AXIAL,
    **more: Any,
) -> FramePlane:
    facts = {"position": [x, y, z], "orientation": list(directions), "spacing": [0.5, 0.75]}
    return FramePlane(**{**facts, **more})


def file(name: str, *planes: FramePlane, size: int | None = None, **more: Any) -> Pair:
    """A file of 16 bits without a sign, with a frame for each plane; ``more`` are facts of it."""
    facts: dict[str, Any] = {
        **{"study": "1", "series": "1.2", "uid": f"1.2.{name}", "syntax": "1.2.840.10008.1.2.1"},
        **{"modality": "MR", "frames": len(planes), "rows": ROWS, "columns": COLUMNS},
        **{"photometric": "MONOCHROME2", "bits_allocated": 16, "bits_stored": 12, "high_bit": 11},
        **{"planes": list(planes), "thickness": 2.5},
        **more,
    }
    record = Instance(**facts)
    length = record.frames * record.rows * record.columns * record.bits_allocated // 8
    if "pixels" not in more:
        record = msgspec.structs.replace(record, pixels=Pixels("PixelData", OFFSET, length))
    inode = hash(name) & 0xFFFFFF
    indexed = IndexedInstance(
        names=("folder", name),
        facts=FileFacts(OFFSET + length if size is None else size, 1, 1, inode),
        row=1,
        study=record.study,
        series=record.series,
        uid=record.uid,
        sop_class="",
        syntax=record.syntax,
        modality=record.modality,
        number=None,
        frames=record.frames,
        rows=record.rows,
        columns=record.columns,
    )
    return indexed, record


def stack(depths: Iterable[float] = (0.0, 2.0, 4.0, 6.0), **more: Any) -> list[Pair]:
    """A file ``0``, ``1`` ... for each depth along z."""
    return [file(str(number), plane(z), **more) for number, z in enumerate(depths)]


def volume(pairs: Iterable[Pair]) -> SeriesVolume:
    draft = VolumeDraft()
    for indexed, record in pairs:
        draft.add([indexed], [record])
    return draft.finish()


def names(made: SeriesVolume) -> str:
    """The names of the files in the order of the volume."""
    return " ".join(frames.instance.names[-1] for frames in made.frames)


def header(made: SeriesVolume) -> bytes:
    """The header of its NIfTI-1 file."""
    assert made.nifti is not None
    [part] = made.nifti.cut([Slice(0, 352)])
    assert isinstance(part, bytes)
    return part


def pieces(made: SeriesVolume) -> list[FileSlice]:
    """What follows the header."""
    assert made.nifti is not None
    found = list(made.nifti.cut([Slice(352, made.nifti.size - 352)]))
    return [piece for piece in found if isinstance(piece, FileSlice)]


def nifti(made: SeriesVolume) -> Any:
    """The header as nibabel reads it."""
    return nibabel.Nifti1Header.from_fileobj(io.BytesIO(header(made)))


class VolumeCase(SynchronousTestCase):
    def refused(self, pairs: Iterable[Pair], *words: str) -> None:
        """These files are no volume, and the one sentence why has these words."""
        made = volume(pairs)
        self.assertIsNone(made.nifti)
        self.assertTrue(made.why.endswith("."), made.why)
        self.assertNotIn("\n", made.why)
        for word in words:
            self.assertIn(word, made.why)

    def accepted(self, pairs: Iterable[Pair]) -> SeriesVolume:
        made = volume(pairs)
        self.assertEqual(made.why, "")
        self.assertIsNotNone(made.nifti)
        return made
