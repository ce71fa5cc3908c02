"""Where the frames of encapsulated pixels are, against what pydicom wrote and reads."""

from __future__ import annotations

import struct
from typing import Any

from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import JPEG2000Lossless
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import Instance
from tests.pictures.worker.indexed import instance, told
from tests.pictures.worker.test_dicom import all_files, several, written
from tests.pictures.worker.test_dicom_index import parsed

FRAMES = [b"\xff\x4f" + bytes([number]) * (10 * number) + b"\xff\xd9" for number in range(1, 6)]
BEGIN = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


def file(pixels: bytes, frames: int = len(FRAMES), **more: Any) -> bytes:
    dataset = several(1)
    dataset.NumberOfFrames = frames
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return written(dataset, JPEG2000Lossless)


def frames_of(data: bytes, found: Instance) -> list[bytes]:
    """The frames, by what is told of their fragments."""
    assert found.pixels is not None, found.note
    return [
        b"".join(data[at : at + length] for at, length in zip(flat[::2], flat[1::2], strict=True))
        for flat in found.pixels.fragments
    ]


class FragmentTests(SynchronousTestCase):
    def found(self, data: bytes) -> list[bytes]:
        """Without the byte that fills a fragment up."""
        return [frame[: frame.rindex(b"\xff\xd9") + 2] for frame in frames_of(data, instance(data))]

    def test_table(self) -> None:
        """By a basic offset table, of one or several fragments a frame."""
        for number in (1, 2, 3):
            data = file(encapsulate(FRAMES, fragments_per_frame=number, has_bot=True))
            self.assertEqual(self.found(data), FRAMES)

    def test_one_each(self) -> None:
        """Without a table, a fragment is a frame if there are as many."""
        data = file(encapsulate(FRAMES, has_bot=False))
        self.assertEqual(self.found(data), FRAMES)

    def test_one_frame(self) -> None:
        """All fragments are those of the only frame, whatever its table says."""
        for number in (1, 3):
            for has_table in (False, True):
                pixels = encapsulate(FRAMES[4:], fragments_per_frame=number, has_bot=has_table)
                self.assertEqual(self.found(file(pixels, 1)), FRAMES[4:])

    def test_markers(self) -> None:
        """Without a table, several fragments a frame are told by the ends of codestreams."""
        data = file(encapsulate(FRAMES, fragments_per_frame=3, has_bot=False))
        self.assertEqual(self.found(data), FRAMES)

    def test_extended_table(self) -> None:
        """Its lengths are those of the frames themselves."""
        pixels, offsets, lengths = encapsulate_extended(FRAMES)
        data = file(pixels, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)
        self.assertEqual(frames_of(data, instance(data)), FRAMES)

    def test_pydicom(self) -> None:
        """Of each of pydicom's files, the frames are those that pydicom finds."""
        compared = 0
        for path in all_files():
            data = path.read_bytes()
            [found] = told(data)
            if isinstance(found, Instance) and found.pixels and found.pixels.fragments:
                pixels = parsed(path).PixelData
                expected = list(generate_frames(pixels, number_of_frames=found.frames))
                self.assertEqual(frames_of(data, found), expected, path)
                compared += 1
        self.assertGreater(compared, 25)


class BrokenTests(SynchronousTestCase):
    def note(self, data: bytes) -> str:
        """The file is an instance, and this is why its frames are nowhere."""
        found = instance(data)
        self.assertIsNone(found.pixels)
        self.assertEqual(found.frames, len(FRAMES))
        return found.note

    def test_tables(self) -> None:
        """A table that does not lead to every frame is not believed."""
        good = encapsulate(FRAMES, has_bot=True)
        starts = struct.unpack_from("<5I", good, 8)
        elsewhere = "Its table of offsets names places where no frame is."
        for wrong, why in (
            ((0, *starts[2:], 1 << 31), elsewhere),
            ((starts[1], *starts[1:]), elsewhere),
            ((0, 1, *starts[2:]), elsewhere),
            ((0, starts[2], starts[1], *starts[3:]), "Its table of offsets is in no order."),
            ((0, starts[1], starts[1], *starts[3:]), "Its table of offsets is in no order."),
        ):
            table = struct.pack("<5I", *wrong)
            self.assertEqual(self.note(file(good[:8] + table + good[28:])), why)

    def test_length_of_table(self) -> None:
        pixels = encapsulate(FRAMES[:4], has_bot=True)
        why = "Its table of offsets has not one for each frame."
        self.assertEqual(self.note(file(pixels)), why)

    def test_extended_tables(self) -> None:
        pixels, offsets, lengths = encapsulate_extended(FRAMES)
        for wrong_offsets, wrong_lengths, why in (
            (offsets[:-8], lengths, "Its table of offsets has not one for each frame."),
            (offsets[8:] + offsets[:8], lengths, "Its table of offsets names places where no"),
            (offsets, bytes(7) + b"\x80" + lengths[8:], "Its table of offsets names places where"),
            (b"\1" * 40, lengths, "Its table of offsets names places where no frame is."),
        ):
            data = file(
                pixels,
                ExtendedOffsetTable=wrong_offsets,
                ExtendedOffsetTableLengths=wrong_lengths,
            )
            self.assertIn(why, self.note(data))

    def test_no_frames(self) -> None:
        """Fragments that cannot be told apart, or are missing."""
        untold = "Which of its fragments are of which frame is not told."
        fewer = encapsulate(FRAMES[:4], has_bot=False)
        self.assertEqual(self.note(file(fewer)), untold)
        without_ends = [frame[:-2] for frame in FRAMES]
        pixels = encapsulate(without_ends, fragments_per_frame=2, has_bot=False)
        self.assertEqual(self.note(file(pixels)), untold)
        only_a_table = encapsulate(FRAMES, has_bot=False)[:8]
        self.assertEqual(self.note(file(only_a_table)), "It has no fragments of pixels.")

    def test_broken_items(self) -> None:
        """A length that leads beyond the file, none at all, and what is no item."""
        data = file(encapsulate(FRAMES, has_bot=False))
        first = data.index(BEGIN) + len(BEGIN) + 8
        for item, why in (
            (b"\xfe\xff\x00\xe0\xff\xff\xff\x7f", "Its pixels are cut short."),
            (b"\xfe\xff\x00\xe0\xff\xff\xff\xff", "Its fragments of pixels are broken."),
            (b"\x08\x00\x05\x00\x00\x00\x00\x00", "Its fragments of pixels are broken."),
        ):
            self.assertEqual(self.note(data[:first] + item + data[first + 8 :]), why)
        self.assertEqual(self.note(data[: first + 30]), "Its pixels are cut short.")

    def test_without_end(self) -> None:
        """The delimiter at the end may be missing, as far as the fragments are there."""
        data = file(encapsulate(FRAMES, has_bot=False))
        cut = data[: data.rindex(b"\xfe\xff\xdd\xe0")]
        self.assertEqual(self.note(cut + b"\xfe\xff"), "Its pixels are cut short.")
        found = instance(cut)
        assert found.pixels
        self.assertEqual(len(found.pixels.fragments), 5)

    def test_too_many(self) -> None:
        """A file of empty fragments is not read to its end."""
        pixels = encapsulate([b"xx"]) + b"\xfe\xff\x00\xe0\0\0\0\0" * 100_001
        self.assertEqual(self.note(file(pixels)), "Its pixels are in more than 100000 fragments.")

    def test_native_of_undefined_length(self) -> None:
        native = b"1.2.840.10008.1.2.1".ljust(22, b"\0")
        data = file(encapsulate(FRAMES)).replace(JPEG2000Lossless.encode(), native)
        self.assertEqual(self.note(data), "The length of its pixels is not given.")

    def test_another_syntax(self) -> None:
        """Fragments are fragments in a syntax that nobody knows."""
        other = b"1.2.840.10008.1.2.4.77"
        found = instance(file(encapsulate(FRAMES)).replace(JPEG2000Lossless.encode(), other))
        assert found.pixels, found.note
        self.assertEqual((len(found.pixels.fragments), found.syntax), (5, other.decode()))
