"""Headers of NIfTI-1, as nibabel and SimpleITK read them."""

from __future__ import annotations

import math
import os
import random

import nibabel
import numpy as np
import SimpleITK
from nibabel.nifti1 import Nifti1Image

from imgd.dicom import nifti_header
from imgd.dicom.volume_files import NotAVolume
from imgd.dicom.volume_grid import Vector, VolumeGrid, cross, scale
from imgd.dicom.voxel_rules import Rescaling, VoxelType
from tests.dicom.volume_case import VolumeCase

SIGNED_16 = VoxelType(4, 16)
NONE = Rescaling()
TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))


def rotation(numbers: random.Random) -> tuple[Vector, Vector]:
    """A row and a column of a random rotation."""
    axes, _ = np.linalg.qr([[numbers.gauss(0, 1) for _ in range(3)] for _ in range(3)])
    return tuple(axes[:, 0].tolist()), tuple(axes[:, 1].tolist())


def grid(row: Vector, column: Vector, step: Vector, volumes: int = 1) -> VolumeGrid:
    return VolumeGrid(5, 4, 3, volumes, row, column, step, (-10.5, 20.25, 30.0), (0.75, 0.5))


def affine_of(of: VolumeGrid) -> np.ndarray:
    """As DICOM PS3.3 section C.7.6.2.1.1 has it, turned to RAS."""
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(of.row) * of.pixel[0]
    matrix[:3, 1] = np.array(of.column) * of.pixel[1]
    matrix[:3, 2], matrix[:3, 3] = of.step, of.origin
    return TO_RAS @ matrix


class HeaderTests(VolumeCase):
    def read(self, of: VolumeGrid, rescaling: Rescaling = NONE) -> Nifti1Image:
        """The image of nibabel of a file with this header, whose voxels are 0."""
        header = nifti_header.header(of, SIGNED_16, rescaling, (-160.0, 240.0), "MR by imgd")
        self.assertEqual(len(header), 352)
        self.path = os.path.abspath(self.mktemp()) + ".nii"
        with open(self.path, "wb") as file:
            file.write(header + bytes(2 * 5 * 4 * 3 * of.volumes))
        image = nibabel.load(self.path)
        assert isinstance(image, Nifti1Image)
        return image

    def test_rotations(self) -> None:
        """Of any rotation, and of both directions of the slices, sform and qform say the same."""
        numbers = random.Random(12)
        pairs = [rotation(numbers) for _ in range(200)]
        axes = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
        signed = [scale(axis, sign) for axis in axes for sign in (1.0, -1.0)]
        pairs += [(a, b) for a in signed for b in signed if not np.dot(a, b)]
        for row, column in pairs:
            for direction in (2.5, -2.5):
                of = grid(row, column, scale(cross(row, column), direction))
                header = self.read(of).header
                self.assertEqual((header["qform_code"], header["sform_code"]), (1, 1))
                np.testing.assert_allclose(header.get_sform(), affine_of(of), atol=1e-5)
                # a is computed of float32 b, c and d: the format has no better.
                np.testing.assert_allclose(header.get_qform(), affine_of(of), atol=2e-3)
                self.assertEqual(header["pixdim"][0], math.copysign(1, direction))

    def test_itk(self) -> None:
        """SimpleITK reads the geometry that ITK has in LPS."""
        row, column = rotation(random.Random(3))
        of = grid(row, column, scale(cross(row, column), 2.5))
        self.read(of)
        image = SimpleITK.ReadImage(self.path)
        np.testing.assert_allclose(image.GetOrigin(), of.origin, atol=1e-4)
        np.testing.assert_allclose(image.GetSpacing(), of.spacing, atol=1e-4)
        np.testing.assert_allclose(
            np.reshape(image.GetDirection(), (3, 3)), np.array(of.directions), atol=1e-4
        )

    def test_sheared(self) -> None:
        """A tilted gantry is in the sform alone, as no quaternion can say it."""
        of = grid((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.8, 2.4))
        header = self.read(of).header
        self.assertEqual((header["qform_code"], header["sform_code"]), (0, 1))
        np.testing.assert_allclose(header.get_best_affine(), affine_of(of), atol=1e-5)
        self.assertAlmostEqual(header["pixdim"][3], math.hypot(0.8, 2.4), 5)

    def test_fields(self) -> None:
        """Units, window, rescale and description are where nibabel looks for them."""
        of = grid((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 2.5))
        image = self.read(of, Rescaling(2.0, -1024.0))
        header = image.header
        self.assertEqual(header.get_data_shape(), (5, 4, 3))
        # nibabel takes the rescale out of the header, and applies it to the voxels, which are 0.
        self.assertEqual(np.unique(image.get_fdata()), [-1024])
        self.assertEqual((header["cal_min"], header["cal_max"]), (-160, 240))
        self.assertEqual(header["descrip"].item(), b"MR by imgd")
        self.assertEqual(header.get_xyzt_units(), ("mm", "unknown"))
        header = self.read(of._replace(volumes=2, volume_time=1.5)).header
        self.assertEqual(header.get_data_shape(), (5, 4, 3, 2))
        self.assertEqual(header.get_xyzt_units(), ("mm", "sec"))
        self.assertEqual(header["pixdim"][4], 1.5)
        self.assertEqual(self.read(of._replace(volumes=2)).header["pixdim"][4], 0)

    def test_too_large(self) -> None:
        """A number that the header cannot hold is an error, and no infinity in it."""
        of = grid((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 2.5))
        for rescaling in (Rescaling(1e300), Rescaling(1.0, math.nan), Rescaling(1.0, -1e39)):
            self.assertRaises(NotAVolume, nifti_header.header, of, SIGNED_16, rescaling, None, "")
