from __future__ import annotations

import gzip
import itertools
import struct
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from twisted.trial.unittest import SynchronousTestCase

from tests import samples
from tests.pictures.worker.asking import ask, one, shown

PLANES = ("sagittal", "coronal", "axial")
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
CODES = [
    "".join(code)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for code in itertools.product(*axes)
]


def canonical(path: Path, t: int = 0) -> NDArray[np.float64]:
    """Of nibabel, the volume in the nearest RAS."""
    data = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj, float)
    return data[..., t] if data.ndim == 4 else data.reshape(*data.shape[:3])


def affine_of(code: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Of a volume whose axes run as the code says."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (letter, step) in enumerate(zip(code, (1.5, 2.0, 2.5), strict=True)):
        row = next(row for row, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        affine[row, axis] = step if letter in "RAS" else -step
        affine[row, 3] = 0 if letter in "RAS" else step * (shape[axis] - 1)
    return affine


class NiftiCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check_slices(self, path: Path, t: int = 0, rtol: float = 1e-6) -> None:
        """The middle slices are nibabel's."""
        data = canonical(path, t)
        middle = [size // 2 for size in data.shape]
        queries = [
            f"slice={plane}:{index}&t={t}&depth=16"
            for plane, index in zip(PLANES, middle, strict=True)
        ]
        for plane, index, reply in zip(PLANES, middle, ask(path, *queries), strict=True):
            self.assertEqual(reply.status, 200, reply.detail)
            expected = shown(data, plane, index)
            tolerance = rtol * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(reply.values(), expected, atol=tolerance, err_msg=plane)


class OrientationTests(NiftiCase):
    def test_codes(self) -> None:
        """Volumes of all 48 orientations show nibabel's slices, from sform and qform."""
        self.assertEqual(len(set(CODES)), 48)
        data = np.arange(5 * 6 * 7, dtype="<i2").reshape(5, 6, 7)
        for number, code in enumerate(CODES):
            image = nibabel.Nifti1Image(data, affine_of(code, data.shape))
            image.set_qform(image.affine, number % 2)
            image.set_sform(image.affine, 1 - number % 2)
            path = self.folder / f"{code}.nii"
            nibabel.save(image, path)
            self.check_slices(path)
            self.assertEqual(one(path, "info").json()["orientation"], code)

    def test_sform_first(self) -> None:
        """The sform is believed before the qform, and that before the sizes of voxels."""
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "<i2"), None)
        image.header.set_zooms((2, 3, 4))
        path = self.folder / "a.nii"
        for name, sform, qform in (("RAS", 1, 1), ("LPI", 0, 1), ("LAS", 0, 0)):
            image.set_sform(affine_of("RAS", (3, 4, 5)), sform)
            image.set_qform(affine_of("LPI", (3, 4, 5)), qform)
            image.header["sform_code"], image.header["qform_code"] = sform, qform
            nibabel.save(image, path)
            self.assertEqual(one(path, "info").json()["orientation"], name)

    def test_useless_sform(self) -> None:
        """A sform that is not a place in space is passed over."""
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "<i2"), affine_of("PSR", (3, 4, 5)))
        image.set_qform(image.affine, 1)
        for useless in (np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), 1e30)):
            for row, name in enumerate("xyz"):
                image.header[f"srow_{name}"] = useless[row]
            path = self.folder / "a.nii"
            path.write_bytes(image.header.binaryblock + b"\0" * 4 + bytes(120))
            self.assertEqual(one(path, "info").json()["orientation"], "PSR")

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.floats(-1, 1, width=32), min_size=9, max_size=9))
    def test_oblique(self, numbers: list[float]) -> None:
        """Oblique and sheared volumes lie as nibabel says."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(numbers).reshape(3, 3)
        if abs(np.linalg.det(affine)) < 0.05:
            return
        data = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)
        path = self.folder / "oblique.nii"
        nibabel.save(nibabel.Nifti1Image(data, affine), path)
        facts = one(path, "info").json()
        self.assertEqual(facts["orientation"], "".join(nibabel.aff2axcodes(affine)))
        expected = nibabel.as_closest_canonical(nibabel.load(path)).affine
        np.testing.assert_allclose(facts["display_affine"], expected, atol=1e-5)
        self.check_slices(path)


class ValueTests(NiftiCase):
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.data())
    def test_all(self, data: Any) -> None:
        """Every type, order of bytes, version, number of dimensions, and packing shows nibabel's
        values.
        """
        draw = data.draw
        shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=5)))
        dtype = np.dtype(draw(st.sampled_from(TYPES))).newbyteorder(draw(st.sampled_from("<>")))
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        array = rng.integers(0, 100, shape).astype(dtype)
        maker = draw(st.sampled_from((nibabel.Nifti1Image, nibabel.Nifti2Image)))
        header = maker.header_class(endianness=dtype.byteorder if dtype.itemsize > 1 else "<")
        code = draw(st.sampled_from(CODES))
        image = maker(array, affine_of(code, (*shape, 1)[:3]), header=header, dtype=dtype)
        image.header.set_slope_inter(*draw(st.sampled_from(((1, 0), (0.5, -3), (2, 7)))))
        suffix = draw(st.sampled_from((".nii", ".nii.gz")))
        path = self.folder / f"a{suffix}"
        nibabel.save(image, path)
        array = canonical_of_any(path)
        frames = array.shape[3]
        t = draw(st.integers(0, frames - 1))
        for plane, axis in zip(PLANES, range(3), strict=True):
            index = draw(st.integers(0, array.shape[axis] - 1))
            reply = one(path, f"slice={plane}:{index}&depth=16&t={t}")
            self.assertEqual(reply.status, 200, reply.detail)
            expected = shown(array[:, :, :, t], plane, index)
            np.testing.assert_allclose(reply.values(), expected, atol=0.01, err_msg=plane)

    def test_slope(self) -> None:
        """No slope, a slope of 0, and one that is no number are none."""
        array = np.arange(8 * 8 * 8, dtype="<i2").reshape(8, 8, 8)
        image = nibabel.Nifti1Image(array, np.eye(4))
        for slope, intercept, factor, more in (
            (0.0, 5.0, 1, 0),
            (np.nan, np.nan, 1, 0),
            (np.inf, 1.0, 1, 0),
            (2.0, np.nan, 2, 0),
            (-2.0, 1.0, -2, 1),
        ):
            head = bytearray(image.header.binaryblock)
            struct.pack_into("<2f", head, 112, slope, intercept)
            struct.pack_into("<f", head, 108, 352)
            path = self.folder / "a.nii"
            path.write_bytes(bytes(head) + b"\0" * 4 + array.tobytes("F"))
            values = one(path, "slice=axial:3&depth=16").values()
            np.testing.assert_array_equal(values, shown(array, "axial", 3) * float(factor) + more)

    def test_complex(self) -> None:
        """Of complex numbers the magnitude is shown."""
        array = (np.arange(60).reshape(3, 4, 5) * (0.6 + 0.8j)).astype("c8")
        path = self.folder / "a.nii"
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        values = one(path, "slice=axial:2&depth=16").values()
        np.testing.assert_allclose(values, shown(np.abs(array), "axial", 2), atol=1e-3)

    def test_colours(self) -> None:
        """RGB volumes are shown in their colours, at 16 bits too."""
        array = np.random.default_rng(1).integers(0, 255, (5, 6, 7, 3), np.uint8)
        packed = array.view([("R", "u1"), ("G", "u1"), ("B", "u1")]).reshape(5, 6, 7)
        path = self.folder / "a.nii.gz"
        nibabel.save(nibabel.Nifti1Image(packed, np.diag([-1, 1, 1, 1])), path)
        for more in ("", "&depth=16", "&window=1,2"):
            reply = one(path, "slice=coronal:2" + more)
            expected = array[::-1, 2].swapaxes(0, 1)[::-1, ::-1]
            np.testing.assert_array_equal(reply.pixels(), expected)
        facts = one(path, "info").json()
        self.assertEqual((facts["type"], facts["is_colour"]), ("rgb24", True))
        self.assertEqual(one(path, "thumb").media_type, "image/jpeg")
        self.assertEqual(one(path, "mosaic=2x2").image().mode, "RGB")

    def test_colours_with_alpha(self) -> None:
        """RGBA volumes keep their alpha."""
        array = np.random.default_rng(1).integers(0, 255, (5, 6, 7, 4), np.uint8)
        packed = array.view([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")]).reshape(5, 6, 7)
        path = self.folder / "a.nii"
        nibabel.save(nibabel.Nifti1Image(packed, np.eye(4)), path)
        expected = array[:, :, 3].swapaxes(0, 1)[::-1, ::-1]
        np.testing.assert_array_equal(one(path, "slice=axial").pixels(), expected)
        self.assertEqual(one(path, "thumb").media_type, "image/png")

    def test_fifth(self) -> None:
        """Of a volume of vectors the first is shown, which is said."""
        array = np.arange(3 * 4 * 5 * 3, dtype="<f4").reshape(3, 4, 5, 1, 3)
        path = self.folder / "a.nii"
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        np.testing.assert_allclose(
            one(path, "slice=axial:1&depth=16").values(),
            shown(array[..., 0, 0], "axial", 1),
            atol=0.01,
        )
        self.assertEqual(
            one(path, "info").json()["notes"], ["Only the first along axis 5 is shown."]
        )


def canonical_of_any(path: Path) -> NDArray[np.float64]:
    """As ``canonical``, with frames as a fourth axis, and the first along a fifth."""
    image: Any = nibabel.load(path)
    data: NDArray[np.float64] = np.asarray(image.dataobj, float)
    data = data.reshape(*data.shape, *(1,) * (5 - data.ndim))[..., 0]
    ornt = nibabel.io_orientation(image.affine)
    return np.asarray(nibabel.apply_orientation(data, ornt))


class SampleTests(NiftiCase):
    def test_nibabels_own(self) -> None:
        """nibabel's own files show its values."""
        for name in ("anatomical.nii", "functional.nii", "standard.nii.gz", "example4d.nii.gz",
                     "example_nifti2.nii.gz", "reoriented_anat_moved.nii"):  # fmt: skip
            path = samples.volume(name)
            frames = one(path, "info").json()["frames"]
            for t in {0, frames - 1}:
                self.check_slices(path, t, 2e-5)

    def test_cifti(self) -> None:
        """A matrix of the brain's surface in a NIfTI-2 file is answered, not an error."""
        reply = one(samples.volume("row_major.dconn.nii"), "info")
        self.assertEqual(reply.status, 200, reply.detail)

    def test_facts(self) -> None:
        """info has what the header says, in RAS order of the axes."""
        path = samples.volume("example4d.nii.gz")
        facts = one(path, "info").json()
        image = nibabel.as_closest_canonical(nibabel.load(path))
        self.assertEqual(facts["shape"], list(image.shape[:3]))
        self.assertEqual(facts["frames"], image.shape[3])
        np.testing.assert_allclose(facts["voxel_size"], image.header.get_zooms()[:3], rtol=1e-4)
        np.testing.assert_allclose(facts["display_affine"], image.affine, atol=1e-4)
        self.assertEqual(facts["type"], "int16")
        self.assertTrue(facts["is_oblique"])
        self.assertEqual(facts["units"], {"space": "mm", "time": "s"})

    def test_micrometres(self) -> None:
        """Other units of length become millimetres."""
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "<i2"), np.diag([10.0, 20, 30, 1]))
        path = self.folder / "a.nii"
        for unit, factor in (("micron", 0.001), ("meter", 1000), ("mm", 1)):
            image.header.set_xyzt_units(unit)
            nibabel.save(image, path)
            sizes = one(path, "info").json()["voxel_size"]
            np.testing.assert_allclose(sizes, np.array([10, 20, 30]) * factor)

    def test_analyze(self) -> None:
        """ANALYZE 7.5 is shown as nibabel has it, with a warning about its sides."""
        array = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)
        header, data = self.folder / "a.hdr", self.folder / "a.img"
        nibabel.save(nibabel.Spm99AnalyzeImage(array, None), header)
        reply = one(header, "slice=axial:1&depth=16", beside=(data,))
        np.testing.assert_array_equal(reply.values(), shown(canonical(data), "axial", 1))
        facts = one(header, "info", beside=(data,)).json()
        self.assertEqual(facts["format"], "ANALYZE 7.5")
        self.assertIn("left", facts["notes"][0])


class RefusalTests(NiftiCase):
    def refused(self, changes: dict[tuple[str, int], tuple[Any, ...]], data: bytes = b"") -> str:
        """Why a sound header with these changes is refused."""
        head = bytearray(
            nibabel.Nifti1Image(np.zeros((4, 4, 4), "<i2"), np.eye(4)).header.binaryblock
        )
        struct.pack_into("<f", head, 108, 352)
        for (code, offset), numbers in changes.items():
            struct.pack_into("<" + code, head, offset, *numbers)
        content = bytes(head) + b"\0" * 4 + (data or bytes(128))
        for packed in (content, gzip.compress(content)):
            path = self.folder / "a.nii"
            path.write_bytes(packed)
            for query in ("slice=axial", "thumb", "info", "mosaic=2x2"):
                reply = one(path, query)
                self.assertEqual(reply.status, 415, changes)
                self.assertTrue(reply.detail.startswith("Not a picture that can be shown: "))
        return reply.detail.partition(": ")[2]

    def test_dims(self) -> None:
        """Sizes that are none, or more than the file can hold, are refused."""
        self.assertIn("1 to 7 dimensions", self.refused({("8h", 40): (9, 4, 4, 4, 1, 1, 1, 1)}))
        self.assertIn("-4 voxels long", self.refused({("8h", 40): (3, 4, -4, 4, 1, 1, 1, 1)}))
        self.assertIn("0 voxels long", self.refused({("8h", 40): (4, 4, 4, 4, 0, 1, 1, 1)}))
        claim = {("8h", 40): (3, 10000, 10000, 10000, 1, 1, 1, 1)}
        self.assertIn("claims 2000000000000 bytes", self.refused(claim))
        self.assertIn("more voxels than", self.refused({("8h", 40): (7, *(32767,) * 7)}))

    def test_types(self) -> None:
        """Types that no decoder has are refused by name."""
        self.assertIn("128-bit floats", self.refused({("h", 70): (1536,)}))
        self.assertIn("single bits", self.refused({("h", 70): (1,)}))
        self.assertIn("type 77", self.refused({("h", 70): (77,)}))

    def test_offsets(self) -> None:
        """Voxels that begin nowhere are refused."""
        for offset in (float("nan"), float("inf"), -1.0, 1e30):
            self.assertIn("where the voxels begin", self.refused({("f", 108): (offset,)}))
        self.assertIn("cut off", self.refused({("f", 108): (1e6,)}))

    def test_odd_numbers(self) -> None:
        """Other numbers that are none change nothing: the file is shown."""
        nan = float("nan")
        head = bytearray(nibabel.Nifti1Image(np.zeros((4, 4, 4), "<i2"), None).header.binaryblock)
        for code, offset, numbers in (
            ("8f", 76, (nan,) * 8), ("8f", 76, (0.0,) * 8), ("8f", 76, (1e38,) * 8),
            ("2f", 124, (nan, nan)), ("6f", 256, (nan,) * 6), ("6f", 256, (9.0,) * 6),
            ("12f", 280, (1e38,) * 12), ("12f", 280, (1e-38,) * 12), ("8f", 76, (1e-38,) * 8),
        ):  # fmt: skip
            for forms in ((0, 0), (1, 0), (0, 1), (1, 1), (-1, -1)):
                changed = bytearray(head)
                struct.pack_into("<" + code, changed, offset, *numbers)
                struct.pack_into("<2h", changed, 252, *forms)
                struct.pack_into("<f", changed, 108, 352)
                path = self.folder / "a.nii"
                path.write_bytes(bytes(changed) + bytes(132))
                for query in ("slice=axial", "slice=coronal&size=512", "thumb", "info"):
                    self.assertEqual(one(path, query).status, 200, (numbers, forms, query))
