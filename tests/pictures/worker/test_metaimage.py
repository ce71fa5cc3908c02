from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures.worker.asking import ask, itk_in_ras, one, shown

PLANES = ("sagittal", "coronal", "axial")
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = 3 4 5
ElementType = MET_UCHAR
ElementDataFile = LOCAL
"""


def rotation(angles: tuple[float, float, float]) -> list[float]:
    transform = SimpleITK.Euler3DTransform()
    transform.SetRotation(*angles)
    return list(transform.GetMatrix())


def random_image(draw: Any) -> Any:
    """An image of SimpleITK, however it lies."""
    shape = tuple(draw(st.lists(st.integers(2, 6), min_size=3, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(0, 100, shape).astype(draw(st.sampled_from(TYPES)))
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(draw(st.sampled_from(((1, 1, 1), (0.5, 2, 3.25)))))
    image.SetOrigin((-10.5, 3, 77))
    angles = st.sampled_from((0, 0.3, 1.5707963267948966, 2.5, 3.141592653589793, -1.2))
    image.SetDirection(rotation((draw(angles), draw(angles), draw(angles))))
    return image


class ItkCase(SynchronousTestCase):
    """Images that SimpleITK writes and reads."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, path: Path, beside: tuple[Path, ...] = ()) -> None:
        """The middle slices, and where they lie, are SimpleITK's."""
        array, affine = itk_in_ras(SimpleITK.ReadImage(path))
        middle = [size // 2 for size in array.shape[:3]]
        queries = [
            f"slice={plane}:{index}&depth=16" for plane, index in zip(PLANES, middle, strict=True)
        ]
        replies = ask(path, *queries, beside=beside)
        for plane, index, reply in zip(PLANES, middle, replies, strict=True):
            self.assertEqual(reply.status, 200, reply.detail)
            values: NDArray[Any] = reply.values() if array.ndim == 3 else reply.pixels()
            np.testing.assert_allclose(values, shown(array, plane, index), atol=0.01)
        facts = one(path, "info", beside=beside).json()
        np.testing.assert_allclose(facts["display_affine"], affine, atol=1e-5)


class MetaImageTests(ItkCase):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def test_all(self, data: Any) -> None:
        """Every type, orientation and packing shows SimpleITK's values."""
        path = self.folder / f"a.{data.draw(st.sampled_from(('mha', 'mhd')))}"
        is_packed = data.draw(st.booleans())
        SimpleITK.WriteImage(random_image(data.draw), path, useCompression=is_packed)
        voxels = path.with_suffix(".zraw" if is_packed else ".raw")
        self.check(path, beside=(voxels,) if path.suffix == ".mhd" else ())

    def test_colours(self) -> None:
        """Three bytes a voxel are colours."""
        array = np.random.default_rng(2).integers(0, 255, (4, 5, 6, 3), np.uint8)
        path = self.folder / "a.mha"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=True), path)
        self.check(path)

    def test_vectors(self) -> None:
        """Other vectors are shown as frames."""
        array = np.random.default_rng(2).normal(size=(4, 5, 6, 2)).astype("f4")
        path = self.folder / "a.mha"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=True), path)
        data, _ = itk_in_ras(SimpleITK.ReadImage(path))
        reply = one(path, "slice=axial:1&t=1&depth=16")
        np.testing.assert_allclose(reply.values(), shown(data[..., 1], "axial", 1), atol=1e-3)

    def test_frames(self) -> None:
        """A fourth dimension is frames."""
        array = np.random.default_rng(2).integers(0, 999, (3, 4, 5, 6)).astype("i2")
        path = self.folder / "a.mha"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), path)
        self.assertEqual(one(path, "info").json()["frames"], 3)
        data, _ = itk_in_ras(SimpleITK.ReadImage(path))
        reply = one(path, "slice=coronal:1&t=2&depth=16")
        np.testing.assert_array_equal(reply.values(), shown(data[..., 2], "coronal", 1))

    def test_two_dimensions(self) -> None:
        """A picture in this format is a volume of one slice."""
        array = np.arange(20, dtype="u2").reshape(4, 5)
        path = self.folder / "a.mha"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), path)
        reply = one(path, "slice=axial&depth=16")
        # In LPS columns run left and rows posterior: as a radiologist sees them.
        np.testing.assert_array_equal(reply.values(), array)

    def write(self, *changes: tuple[str, str], data: bytes = bytes(60)) -> Path:
        text = HEADER
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / "a.mha"
        path.write_bytes(text.encode() + data)
        return path

    def test_byte_order(self) -> None:
        """The most significant byte may come first."""
        array = np.arange(60, dtype=">i2")
        path = self.write(
            ("OrderMSB = False", "OrderMSB = True"),
            ("MET_UCHAR", "MET_SHORT"),
            data=array.tobytes(),
        )
        self.check(path)

    def test_orientation_by_letters(self) -> None:
        """Without a matrix the letters of the axes are believed: from where each comes."""
        matrix = "TransformMatrix = 1 0 0 0 1 0 0 0 1"
        for letters, code in (("RAI", "LPS"), ("ASL", "PIR"), ("LPS", "RAI"), ("???", "LPS")):
            path = self.write((matrix, f"AnatomicalOrientation = {letters}"))
            self.assertEqual(one(path, "info").json()["orientation"], code)

    def test_skipped_bytes(self) -> None:
        """HeaderSize says how many bytes of a data file are skipped; -1: all before the voxels."""
        voxels = self.folder / "a.raw"
        voxels.write_bytes(bytes(7) + bytes(range(60)))
        header = self.folder / "a.mhd"
        for size in (7, -1):
            text = HEADER.replace("LOCAL", "a.raw").replace(
                "DimSize", f"HeaderSize = {size}\nDimSize"
            )
            header.write_text(text)
            reply = one(header, "slice=axial:0&depth=16", beside=(voxels,))
            np.testing.assert_array_equal(reply.values(), np.arange(12).reshape(4, 3))

    def test_refused(self) -> None:
        """What is broken or not supported is said."""
        size = "DimSize = 3 4 5"
        for changes, why in (
            ([("MET_UCHAR", "MET_STRING")], "a type that is not shown"),
            ([(size, "DimSize = 3 4")], "DimSize"),
            ([(size, "DimSize = 3 4 -5")], "DimSize"),
            ([(size, "DimSize = 3 4 x")], "DimSize"),
            ([(size, "DimSize = 3 4 " + "9" * 30)], "DimSize"),
            ([(size, "DimSize = 99999 99999 999")], "claims 9989800200999 bytes"),
            ([(size, "DimSize = 3 4 6")], "claims 72 bytes of voxels, and the file can hold 60"),
            ([("NDims = 3", "NDims = 99")], "DimSize"),
            ([("1 0 0 0 1 0 0 0 1", "1 0 0 0")], "TransformMatrix"),
            ([("1 0 0 0 1 0 0 0 1", "a b")], "TransformMatrix"),
            ([("ElementType", "ElementNumberOfChannels = 0\nElementType")], "0 voxels long"),
            ([("BinaryData = True", "BinaryData = False")], "as text"),
            ([("LOCAL", "LIST")], "many files"),
            ([("LOCAL", "a%03d.raw")], "many files"),
            ([("LOCAL", "../a.raw")], "another folder"),
            ([("LOCAL", "/etc/passwd")], "another folder"),
            ([("LOCAL", "a.raw")], "file of its voxels"),
            ([("CompressedData = False", "CompressedData = True")], "broken"),
            ([("ElementDataFile = LOCAL", "AnElementDataFile = LOCAL")], "ElementDataFile"),
        ):
            reply = one(self.write(*changes), "slice=axial")
            self.assertEqual(reply.status, 415, changes)
            self.assertIn(why, reply.detail)

    def test_odd_numbers(self) -> None:
        """Sizes and places that are none do not keep a volume from being shown."""
        for change in (
            ("1 0 0 0 1 0 0 0 1", "0 0 0 0 0 0 0 0 0"),
            ("1 0 0 0 1 0 0 0 1", "nan nan nan 0 0 0 0 0 1e300"),
            ("ElementSpacing = 1 1 1", "ElementSpacing = 0 -1 nan"),
            ("ElementSpacing = 1 1 1", "ElementSpacing = 1"),
            ("Offset = 0 0 0", "Offset = inf 1e308 0"),
        ):
            for reply in ask(self.write(change), "slice=axial", "thumb", "info"):
                self.assertEqual(reply.status, 200, change)

    def test_cut_off(self) -> None:
        """Compressed voxels that end too early are refused."""
        path = self.write(
            ("CompressedData = False", "CompressedData = True"),
            data=zlib.compress(np.random.default_rng(0).bytes(40)),
        )
        self.assertIn("cut off", one(path, "slice=axial:4").detail)
        self.assertEqual(one(path, "slice=axial:1").status, 200)
