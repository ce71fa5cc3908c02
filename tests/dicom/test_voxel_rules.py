"""Whose pixels can be the voxels of a NIfTI-1 file as they are."""

from __future__ import annotations

from typing import Any

from imgd.pictures.instances import Pixels
from tests.dicom.volume_case import OFFSET, VolumeCase, file, nifti, pieces, plane, stack

SIZE = 4 * 3


def of_type(keyword: str, bits: int, is_signed: bool) -> dict[str, Any]:
    is_float = keyword != "PixelData"
    return {
        **{"pixels": Pixels(keyword, OFFSET, SIZE * bits // 8), "is_signed": is_signed},
        **{"bits_allocated": bits, "bits_stored": 0 if is_float else bits},
        "high_bit": 0 if is_float else bits - 1,
    }


class TypeTests(VolumeCase):
    def test_types(self) -> None:
        """Each type of DICOM's pixels that NIfTI has is told as nibabel reads it."""
        for keyword, bits, is_signed, dtype in (
            *(("PixelData", 8, False, "uint8"), ("PixelData", 8, True, "int8")),
            *(("PixelData", 16, False, "uint16"), ("PixelData", 16, True, "int16")),
            *(("PixelData", 32, False, "uint32"), ("PixelData", 32, True, "int32")),
            *(("FloatPixelData", 32, False, "float32"),),
            *(("DoubleFloatPixelData", 64, False, "float64"),),
        ):
            made = self.accepted(stack(**of_type(keyword, bits, is_signed)))
            self.assertEqual(nifti(made).get_data_dtype().name, dtype)
            self.assertEqual(nifti(made)["bitpix"], bits)
            self.assertEqual(sum(p.part.length for p in pieces(made)), 4 * SIZE * bits // 8)

    def test_no_type(self) -> None:
        """Bits that NIfTI has no type of are refused."""
        for keyword, bits in (("PixelData", 1), ("PixelData", 64), ("FloatPixelData", 16)):
            self.refused(stack(**of_type(keyword, bits, False)), "'folder/0'", f"{bits} bits")

    def test_mixed_types(self) -> None:
        """The file whose type is another is named, and both types."""
        odd = file("odd", plane(8.0), is_signed=True)
        self.refused([*stack(), odd], "'folder/odd' has 16 bits a pixel with a sign", "without")
        self.refused(
            [*stack(), file("odd", plane(8.0), photometric="MONOCHROME1")],
            *("'folder/odd' is MONOCHROME1", "MONOCHROME2"),
        )
        floats = file("odd", plane(8.0), **of_type("FloatPixelData", 32, False))
        self.refused([*stack(), floats], "'folder/odd' has floating-point values of 32 bits")


class PixelTests(VolumeCase):
    def odd(self, *words: str, **facts: Any) -> None:
        """A file with these facts in a series of good ones is named and refused."""
        self.refused([*stack(), file("odd", plane(8.0), **facts)], "'folder/odd'", *words)

    def test_syntaxes(self) -> None:
        """What is not plain little endian is refused by its name, with what to do."""
        for syntax, words in (
            ("1.2.840.10008.1.2.2", "big endian"),
            ("1.2.840.10008.1.2.1.99", "deflated"),
            ("1.2.840.10008.1.2.4.90", "compressed (JPEG 2000 Lossless)"),
            ("1.2.840.10008.1.2.5", "dcm2niix"),
            ("1.2.3<b>", "a transfer syntax whose pixels are not plain values"),
            ("", "a transfer syntax whose"),
        ):
            self.odd(words, syntax=syntax, pixels=None)
        self.accepted(stack(syntax="1.2.840.10008.1.2"))

    def test_colour(self) -> None:
        """Colours and palettes are refused."""
        self.odd("in colour", samples=3, photometric="RGB")
        self.odd("palette", photometric="PALETTE COLOR")
        self.odd("in colour", photometric="YBR_FULL")
        self.accepted(stack(photometric="MONOCHROME1"))

    def test_other_bits(self) -> None:
        """Values that do not fill their bits alone are refused."""
        self.odd("12 of 16 bits", has_other_bits=True)
        self.odd("12 of 16 bits", high_bit=15)

    def test_cut_short(self) -> None:
        """Pixels that are not all there are refused; more bytes than pixels are not."""
        self.odd("cut short", size=OFFSET + 2 * SIZE - 1)
        self.odd("cut short", pixels=Pixels("PixelData", OFFSET, 2 * SIZE - 1))
        self.odd("cut short", pixels=Pixels("PixelData", -1, 2 * SIZE))
        self.odd("cut short", pixels=Pixels("PixelData", 2**70, 2 * SIZE))
        self.odd("cannot be found", pixels=None)
        self.odd("be used: a table is broken.", pixels=None, note="A table is broken.")
        self.odd("no pixels", frames=0)
        more = Pixels("PixelData", OFFSET, 2 * SIZE + 2)
        made = self.accepted(stack(pixels=more, size=OFFSET + 2 * SIZE + 2))
        self.assertEqual(sum(p.part.length for p in pieces(made)), 4 * 2 * SIZE)

    def test_sizes(self) -> None:
        """NIfTI-1 keeps sizes in 16 bits; none is 0."""
        self.refused(stack(rows=32768, columns=1), "1 x 32768")
        self.refused(stack(columns=0), "0 x 4")
        made = self.accepted(stack(rows=32767, columns=1))
        self.assertEqual(nifti(made).get_data_shape(), (1, 32767, 4))


class RescaleTests(VolumeCase):
    def test_rescale(self) -> None:
        """One rescale of all files is the header's; there is none without one."""
        pairs = [file(str(z), plane(z, slope=2.5, intercept=-1024.0)) for z in (0.0, 2.0)]
        self.assertEqual(nifti(self.accepted(pairs)).get_slope_inter(), (2.5, -1024))
        self.assertEqual(nifti(self.accepted(stack())).get_slope_inter(), (1, 0))

    def test_differing(self) -> None:
        """Another rescale in one file, or in one frame, is refused, as is a slope of 0."""
        odd = file("odd", plane(8.0, slope=2.0))
        self.refused([*stack(), odd], "'folder/odd' has another rescale")
        enhanced = file("many", plane(0.0), plane(1.0, intercept=1.0))
        self.refused([enhanced], "'folder/many' has frames of different rescale")
        self.refused([file("zero", plane(slope=0.0))], "'folder/zero'", "slope of 0")
        self.accepted([*stack(), file("same", plane(8.0, slope=1.0, intercept=0.0))])

    def test_lookup_table(self) -> None:
        """A Modality LUT makes other values of the stored ones than a slope can."""
        odd = file("odd", plane(8.0), metadata=b'{"00283000":{"vr":"SQ"}}')
        self.refused([*stack(), odd], "'folder/odd' has a Modality LUT")
