"""Where frames are, by the index alone and by a file's record."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.core.ranges import Slice
from imgd.dicom import frame_layout
from imgd.dicom.frame_layout import BIG_ENDIAN, BYTES, DEFLATED, EXPLICIT, IMPLICIT, FrameLayout
from imgd.dicom.model import IndexedInstance
from imgd.errors import ImgdError, NotFound
from imgd.pictures.instances import Instance, Pixels

RLE = "1.2.840.10008.1.2.5"
PRIVATE = "1.2.3.4"


def indexed(length: int, syntax: str = EXPLICIT, frames: int = 1, rows: int = 4) -> IndexedInstance:
    facts = FileFacts(1, 1, 1, 1)
    what = ("1", "2", "3", "4", syntax, "CT")
    return IndexedInstance(("a",), facts, 1, *what, None, frames, rows, 5, 100, length)


def record(**more: Any) -> Instance:
    """A native file of two frames of 4 x 5 pixels of 16 bits."""
    fields = {"syntax": EXPLICIT, "frames": 2, "rows": 4, "columns": 5, "bits_allocated": 16}
    pixels = Pixels("PixelData", 100, 80)
    return Instance(**{"study": "1", "series": "2", "uid": "3", "pixels": pixels, **fields, **more})


class IndexedTests(SynchronousTestCase):
    def test_native(self) -> None:
        """Frames are as long as the pixels and their number tell, whatever a pixel has."""
        cases = (
            (indexed(20), 20, 1),
            (indexed(40), 40, 1),
            (indexed(60, IMPLICIT), 60, 1),
            (indexed(80, frames=2), 40, 2),
            (indexed(16, rows=3), 15, 1),
        )
        for instance, length, count in cases:
            layout = frame_layout.of_indexed(instance)
            self.assertEqual(layout, FrameLayout(count, BYTES, EXPLICIT, 100, length), instance)

    def test_left_to_the_record(self) -> None:
        """If that could be otherwise, the record is asked."""
        for instance in (
            *(indexed(0), indexed(3), indexed(30), indexed(19), indexed(42), indexed(600)),
            *(indexed(40, RLE), indexed(40, BIG_ENDIAN), indexed(40, ""), indexed(40, frames=0)),
        ):
            self.assertIsNone(frame_layout.of_indexed(instance), instance)


class RecordTests(SynchronousTestCase):
    def check_refused(self, *words: str, status: int = 406, **more: Any) -> None:
        error = self.assertRaises(ImgdError, frame_layout.of_record, record(**more))
        self.assertEqual(error.status, status)
        for word in words:
            self.assertIn(word, error.detail)

    def test_native(self) -> None:
        """By rows, columns, samples and bits."""
        for more, length in (
            ({}, 40),
            ({"syntax": IMPLICIT}, 40),
            ({"bits_allocated": 8}, 20),
            ({"bits_allocated": 8, "samples": 2}, 40),
            ({"bits_allocated": 8, "samples": 3, "photometric": "YBR_FULL_422"}, 40),
            ({"bits_allocated": 12}, 30),
            ({"bits_allocated": 1, "rows": 8}, 5),
            ({"bits_allocated": 1, "frames": 1}, 3),
        ):
            layout = frame_layout.of_record(record(**more))
            found = (layout.media_type, layout.syntax, layout.slices(1))
            self.assertEqual(found, (BYTES, EXPLICIT, (Slice(100, length),)), more)
        self.assertEqual(frame_layout.of_record(record()).slices(2), (Slice(140, 40),))

    def test_compressed(self) -> None:
        """The fragments of each frame, and the media type of their syntax."""
        fragments = [[10, 5, 20, 6], [30, 7]]
        pixels = Pixels("PixelData", 10, 0, fragments)
        for syntax, media_type in (
            (RLE, "image/dicom-rle"),
            ("1.2.840.10008.1.2.4.50", "image/jpeg"),
            ("1.2.840.10008.1.2.4.80", "image/jls"),
            ("1.2.840.10008.1.2.4.90", "image/jp2"),
            ("1.2.840.10008.1.2.4.93", "image/jpx"),
            ("1.2.840.10008.1.2.4.110", "image/jxl"),
            ("1.2.840.10008.1.2.4.201", "image/jphc"),
            ("1.2.840.10008.1.2.4.102", BYTES),
            (PRIVATE, BYTES),
        ):
            layout = frame_layout.of_record(record(syntax=syntax, pixels=pixels))
            self.assertEqual((layout.media_type, layout.syntax), (media_type, syntax))
            self.assertEqual(layout.slices(1), (Slice(10, 5), Slice(20, 6)))
            self.assertEqual(layout.slices(2), (Slice(30, 7),))

    def test_numbers(self) -> None:
        """A frame that is not there is a 404 with the number of those that are."""
        layout = frame_layout.of_record(record())
        error = self.assertRaises(NotFound, layout.slices, 3)
        self.assertEqual(error.detail, "There is no frame 3: the instance has 2 frames.")
        error = self.assertRaises(NotFound, frame_layout.of_record(record(frames=1)).slices, 2)
        self.assertEqual(error.detail, "There is no frame 2: the instance has 1 frame.")

    def test_refused(self) -> None:
        """What cannot be given as it is has a sentence."""
        self.check_refused("no frames", status=404, pixels=None)
        self.check_refused("no frames", status=404, frames=0)
        self.check_refused(
            "Its pixels are cut short.", pixels=None, note="Its pixels are cut short."
        )
        self.check_refused("deflated", "rendered", pixels=None, syntax=DEFLATED, note="x")
        self.check_refused("big endian", "rendered", syntax=BIG_ENDIAN)
        self.check_refused("big endian", syntax=BIG_ENDIAN, bits_allocated=8)
        self.check_refused("told apart", syntax=PRIVATE)
        one = Pixels("PixelData", 10, 0, [[10, 5]])
        self.check_refused("told apart", syntax=RLE, pixels=one)
        self.check_refused("whole bytes", bits_allocated=1)
        self.check_refused("fewer pixels", rows=5)
        self.check_refused("fewer pixels", rows=0)
        self.check_refused("fewer pixels", bits_allocated=0)

    def test_big_endian_bytes(self) -> None:
        """Pixels of 8 bits that are not in words are the same in either order."""
        eight = record(syntax=BIG_ENDIAN, bits_allocated=8)
        layout = frame_layout.of_record(eight, is_swapped=False)
        self.assertEqual((layout.syntax, layout.slices(2)), (EXPLICIT, (Slice(120, 20),)))
        wide = record(syntax=BIG_ENDIAN)
        self.assertRaises(ImgdError, frame_layout.of_record, wide, is_swapped=False)
