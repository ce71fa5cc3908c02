from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures.worker.asking import ask, itk_in_ras, one, shown
from tests.pictures.worker.test_metaimage import ItkCase, random_image

HEADER = """NRRD0004
# A comment: nothing
type: uchar
dimension: 3
space: left-posterior-superior
sizes: 3 4 5
space directions: (1,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
encoding: raw
space origin: (0,0,0)
a key:=a value: with a colon

"""


class NrrdTests(ItkCase):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def test_all(self, data: Any) -> None:
        """Every type, orientation and packing shows SimpleITK's values."""
        path = self.folder / f"a.{data.draw(st.sampled_from(('nrrd', 'nhdr')))}"
        is_packed = data.draw(st.booleans())
        SimpleITK.WriteImage(random_image(data.draw), path, useCompression=is_packed)
        voxels = path.with_suffix(".raw.gz" if is_packed else ".raw")
        self.check(path, beside=(voxels,) if path.suffix == ".nhdr" else ())

    def test_colours(self) -> None:
        """Three or four bytes a voxel are colours."""
        for channels in (3, 4):
            array = np.random.default_rng(2).integers(0, 255, (4, 5, 6, channels), np.uint8)
            path = self.folder / "a.nrrd"
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=True), path)
            text = path.read_bytes()
            kind = b"RGB-color" if channels == 3 else b"RGBA-color"
            path.write_bytes(text.replace(b"kinds: vector", b"kinds: " + kind))
            self.check(path)

    def write(self, *changes: tuple[str, str], data: bytes = bytes(range(60))) -> Path:
        text = HEADER
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / "a.nrrd"
        path.write_bytes(text.encode() + data)
        return path

    def test_spaces(self) -> None:
        """The world's axes are those of the header's space."""
        space = "space: left-posterior-superior"
        for name, code in (
            ("right-anterior-superior", "RAS"), ("LAS", "LAS"), ("LPS", "LPS"),
            ("left-anterior-superior-time", "LAS"), ("scanner-xyz", "LPS"),
        ):  # fmt: skip
            path = self.write((space, f"space: {name}"))
            self.assertEqual(one(path, "info").json()["orientation"], code)
        self.check(self.write((space, "space: right-anterior-superior")))
        self.check(self.write((space, "space: left-anterior-superior")))

    def test_byte_order(self) -> None:
        """The most significant byte may come first."""
        array = np.arange(60, dtype=">i2")
        change = ("type: uchar", "type: signed short\nendian: big")
        self.check(self.write(change, data=array.tobytes()))

    def test_frames_first(self) -> None:
        """Frames may be stored voxel by voxel, as those of diffusion are."""
        array = np.arange(2 * 3 * 4 * 5, dtype="u1").reshape(2, 3, 4, 5, order="F")
        path = self.write(
            ("dimension: 3", "dimension: 4"), ("sizes: ", "sizes: 2 "),
            ("directions: ", "directions: none "), ("kinds: ", "kinds: list "),
            data=array.tobytes("F"),
        )  # fmt: skip
        self.assertEqual(one(path, "info").json()["frames"], 2)
        ras = array[:, ::-1, ::-1]
        for t in (0, 1):
            for plane, index in (("axial", 4), ("coronal", 0), ("sagittal", 2)):
                values = one(path, f"slice={plane}:{index}&depth=16&t={t}").values()
                np.testing.assert_array_equal(values, shown(ras[t], plane, index))

    def test_colours_last(self) -> None:
        """Colours may be stored as three volumes, one after the other."""
        array = np.random.default_rng(1).integers(0, 255, (3, 4, 5, 3), np.uint8)
        path = self.write(
            ("dimension: 3", "dimension: 4"), ("3 4 5", "3 4 5 3"),
            ("(0,0,1)", "(0,0,1) none"), ("kinds: domain domain domain",
            "kinds: domain domain domain RGB-color"), data=array.tobytes("F"),
        )  # fmt: skip
        ras = array[::-1, ::-1]
        for plane, index in (("axial", 4), ("coronal", 0), ("sagittal", 2)):
            pixels = one(path, f"slice={plane}:{index}").pixels()
            np.testing.assert_array_equal(pixels, shown(ras, plane, index))

    def test_more_axes(self) -> None:
        """Along axes that are neither in space, nor frames, the first is shown, which is said."""
        path = self.write(
            ("dimension: 3", "dimension: 5"), ("sizes: 3 4 5", "sizes: 2 3 4 5 2"),
            ("directions: ", "directions: none "), ("(0,0,1)", "(0,0,1) none"),
            ("kinds: ", "kinds: vector "), ("domain domain domain", "domain domain domain time"),
            data=bytes(240),
        )  # fmt: skip
        facts = one(path, "info").json()
        self.assertEqual(
            (facts["frames"], facts["notes"]), (2, ["Only the first along axis 5 is shown."])
        )

    def test_spacings(self) -> None:
        """Without directions the spacings say how large voxels are."""
        path = self.write(
            ("space: left-posterior-superior\n", ""),
            ("space directions: (1,0,0) (0,1,0) (0,0,1)", "spacings: 2 nan 4"),
            ("space origin: (0,0,0)\n", ""),
        )
        self.assertEqual(one(path, "info").json()["voxel_size"], [2, 1, 4])

    def test_two_dimensions(self) -> None:
        """A picture in this format is a volume of one slice."""
        array = np.arange(20, dtype="u2").reshape(4, 5)
        path = self.folder / "a.nrrd"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), path)
        np.testing.assert_array_equal(one(path, "slice=axial&depth=16").values(), array)

    def test_skipped_bytes(self) -> None:
        """Bytes before the voxels may be skipped; -1: all but the voxels."""
        for skip in (7, -1):
            path = self.write(
                ("encoding", f"byte skip: {skip}\nencoding"), data=bytes(7) + bytes(range(60))
            )
            values = one(path, "slice=axial:0&depth=16").values()
            np.testing.assert_array_equal(values, np.arange(12).reshape(4, 3))

    def test_gzip(self) -> None:
        """The voxels, or the whole file, may be gzip."""
        whole = self.write()
        expected = one(whole, "slice=coronal:1&depth=16").values()
        packed = self.folder / "a.nrrd.gz"
        packed.write_bytes(gzip.compress(whole.read_bytes()))
        np.testing.assert_array_equal(one(packed, "slice=coronal:1&depth=16").values(), expected)
        inner = self.write(("raw", "gzip"), data=gzip.compress(bytes(range(60))))
        np.testing.assert_array_equal(one(inner, "slice=coronal:1&depth=16").values(), expected)
        packed.write_bytes(gzip.compress(inner.read_bytes()))
        self.assertIn("compressed twice", one(packed, "thumb").detail)

    def test_refused(self) -> None:
        """What is broken or not supported is said."""
        for changes, why in (
            ([("type: uchar", "type: block")], "a type that is not shown"),
            ([("type: uchar\n", "")], "a type that is not shown"),
            ([("type: uchar", "type: short")], "order of bytes"),
            ([("dimension: 3", "dimension: 4")], "other than 'dimension' sizes"),
            ([("dimension: 3\n", "")], "'dimension' is not"),
            ([("sizes: 3 4 5", "sizes: 3 4 0")], "sizes are none"),
            ([("sizes: 3 4 5", "sizes: 3 4 z")], "'sizes' is not a whole number"),
            ([("sizes: 3 4 5", "sizes: 1000000 1000000 1000")], "claims 1000000000000000 bytes"),
            ([("(0,0,1)\n", "\n")], "how it lies"),
            ([("(0,0,1)", "(0,x,1)")], "are not numbers"),
            ([("encoding: raw", "encoding: bzip2")], "neither raw nor gzip"),
            ([("encoding: raw\n", "")], "neither raw nor gzip"),
            ([("encoding", "byte skip: -2\nencoding")], "where the voxels begin"),
            ([("encoding", "line skip: 2\nencoding")], "lines of text"),
            ([("encoding", "data file: ../a.raw\nencoding")], "another folder"),
            ([("encoding", "data file: a.raw\nencoding")], "file of its voxels"),
            ([("encoding", "datafile: a%d.raw 1 5 1\nencoding")], "many files"),
            ([("encoding", "data file: LIST\nencoding")], "many files"),
            ([("kinds: domain domain domain", "kinds: list list list")], "in space"),
            ([("encoding: raw", "encoding: gzip")], "broken"),
        ):
            reply = one(self.write(*changes), "slice=axial")
            self.assertEqual(reply.status, 415, changes)
            self.assertIn(why, reply.detail)
        self.assertIn("cut off", one(self.write(data=bytes(59)), "thumb").detail)

    def test_odd_numbers(self) -> None:
        """Sizes and places that are none do not keep a volume from being shown."""
        for change in (
            ("(1,0,0) (0,1,0)", "(0,0,0) (0,0,0)"),
            ("(1,0,0) (0,1,0)", "(nan,0,0) (0,inf,0)"),
            ("(1,0,0) (0,1,0)", "(1) (1e300,1,1,1)"),
            ("space origin: (0,0,0)", "space origin: nan"),
        ):
            for reply in ask(self.write(change), "slice=axial", "thumb", "info"):
                self.assertEqual(reply.status, 200, change)

    def test_long_header(self) -> None:
        """A header may be as long as those of diffusion, and not much longer."""
        comment = "# " + "x" * 998 + "\n"
        self.check(self.write(("# A comment: nothing\n", comment * 300)))
        path = self.write(("# A comment: nothing\n", comment * 1100))
        self.assertIn("too long", one(path, "info").detail)

    def test_values_of_vectors(self) -> None:
        """Vectors that are no colours are shown as frames."""
        array = np.random.default_rng(2).normal(size=(4, 5, 6, 3)).astype("f4")
        path = self.folder / "a.nrrd"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=True), path)
        data, _ = itk_in_ras(SimpleITK.ReadImage(path))
        reply = one(path, "slice=axial:1&t=2&depth=16")
        np.testing.assert_allclose(reply.values(), shown(data[..., 2], "axial", 1), atol=1e-3)
