"""Where frames lie: of slices, of enhanced files of many frames, of doses, of nuclear medicine."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import FramePlane
from tests.pictures.worker.indexed import instance
from tests.pictures.worker.test_dicom import FILES, all_files, ct, several, written
from tests.pictures.worker.test_dicom_index import parsed

# Doses, whose frames are tested below, and a file that is cut short.
UNREAD = ("rtdose", "badVR", "MR_truncated")


def of(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, [value] if isinstance(value, Dataset) else value)
    return dataset


def enhanced(count: int) -> Any:
    """As an enhanced MR: two echoes and b-values at each place; the orientation is of all."""
    dataset = several(count)
    dataset.SOPClassUID = EnhancedMRImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    dataset.SharedFunctionalGroupsSequence = [
        of(
            PlaneOrientationSequence=of(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
            PixelMeasuresSequence=of(PixelSpacing=[0.5, 0.75], SliceThickness=3),
            PixelValueTransformationSequence=of(RescaleSlope=2, RescaleIntercept=-7),
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        of(
            PlanePositionSequence=of(ImagePositionPatient=[1.5 * (frame // 2), 2, 3]),
            FrameContentSequence=of(
                TemporalPositionIndex=frame + 1, DimensionIndexValues=[1, frame + 1]
            ),
            MREchoSequence=of(EffectiveEchoTime=30.5 + frame % 2),
            MRDiffusionSequence=of(DiffusionBValue=1000.0 * (frame % 2)),
            FrameVOILUTSequence=of(WindowCenter=40 + frame, WindowWidth=400),
        )
        for frame in range(count)
    ]
    return dataset


class SliceTests(SynchronousTestCase):
    def test_slices(self) -> None:
        """The planes of slices are SimpleITK's."""
        compared = 0
        for path in all_files():
            dataset = parsed(path)
            if "ImagePositionPatient" not in dataset or path.name.startswith(UNREAD):
                continue
            [plane] = instance(path.read_bytes()).planes
            image = SimpleITK.ReadImage(str(path))
            assert plane.position
            assert plane.orientation
            assert plane.spacing
            row, column = np.reshape(plane.orientation, (2, 3))
            down, along = plane.spacing
            for i, j in ((0, 0), (9, 0), (0, 7)):
                point = plane.position + row * i * along + column * j * down
                theirs = image.TransformIndexToPhysicalPoint((i, j, 0))
                self.assertLess(np.abs(point - theirs).max(), 1e-3, path)
            compared += 1
        self.assertGreater(compared, 30)

    def test_values(self) -> None:
        """What tells the volumes of a series apart, and how values are scaled."""
        dataset = ct()
        dataset.TemporalPositionIdentifier, dataset.EchoTime = 4, 12.5
        dataset.EchoNumbers, dataset.DiffusionBValue = 2, 800.0
        [plane] = instance(written(dataset)).planes
        self.assertEqual((plane.time, plane.echo, plane.b_value), (4, 12.5, 800.0))
        self.assertEqual((plane.slope, plane.intercept), (1.0, -1024.0))
        del dataset.EchoTime
        self.assertEqual(instance(written(dataset)).planes[0].echo, 2.0)

    def test_none(self) -> None:
        """A file without geometry has no plane; one with half of it has what there is."""
        dataset = ct()
        dataset.ImagePositionPatient = dataset.PixelSpacing = None
        self.assertEqual(instance(written(dataset)).planes, [])
        dataset = ct()
        dataset.ImageOrientationPatient = [1, 0, 0]
        [plane] = instance(written(dataset)).planes
        self.assertIsNone(plane.orientation)
        self.assertEqual(plane.spacing, [0.661468, 0.661468])


class FrameTests(SynchronousTestCase):
    def test_enhanced(self) -> None:
        """Each frame has what is its own, and what all share."""
        found = instance(written(enhanced(6)))
        expected = [
            FramePlane(
                position=[1.5 * (frame // 2), 2.0, 3.0],
                orientation=[0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
                spacing=[0.5, 0.75],
                time=frame + 1,
                echo=30.5 + frame % 2,
                b_value=1000.0 * (frame % 2),
                slope=2.0,
                intercept=-7.0,
            )
            for frame in range(6)
        ]
        self.assertEqual(found.planes, expected)
        self.assertEqual((found.thickness, found.window), (3.0, [40.0, 400.0]))

    def test_undefined_lengths(self) -> None:
        """The same, if items and sequences end by delimiters."""
        dataset = enhanced(4)
        for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            dataset[keyword].is_undefined_length = True
            for item in dataset[keyword].value:
                item.is_undefined_length_sequence_item = True
        found = instance(written(dataset))
        self.assertEqual(found.planes, instance(written(enhanced(4))).planes)
        self.assertEqual(len(found.planes), 4)

    def test_own_before_shared(self) -> None:
        dataset = enhanced(2)
        own = of(PixelSpacing=[9, 9])
        dataset.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = Sequence([own])
        first, second = instance(written(dataset)).planes
        self.assertEqual((first.spacing, second.spacing), ([0.5, 0.75], [9.0, 9.0]))

    def test_outside_of_groups(self) -> None:
        """What no group has is looked for where files of one frame have it."""
        dataset = enhanced(2)
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        dataset.PixelSpacing = [4, 5]
        self.assertEqual(instance(written(dataset)).planes[1].spacing, [4.0, 5.0])

    def test_other_count(self) -> None:
        """Groups of more or fewer frames than there are say nothing of any."""
        dataset = enhanced(4)
        del dataset.PerFrameFunctionalGroupsSequence[3]
        self.assertEqual(instance(written(dataset)).planes, [])

    def test_dose(self) -> None:
        """The frames of a dose are SimpleITK's, by offsets or by places along z."""
        path = FILES / "rtdose.dcm"
        planes = instance(path.read_bytes()).planes
        image = SimpleITK.ReadImage(str(path))
        self.assertEqual(len(planes), 15)
        for index, plane in enumerate(planes):
            assert plane.position
            theirs = image.TransformIndexToPhysicalPoint((0, 0, index))
            self.assertLess(np.abs(np.array(plane.position) - theirs).max(), 1e-3)
        dataset = parsed(path)
        z = dataset.ImagePositionPatient[2]
        dataset.GridFrameOffsetVector = [z + offset for offset in dataset.GridFrameOffsetVector]
        absolute = instance(written(dataset, dataset.file_meta.TransferSyntaxUID)).planes
        for ours, theirs in zip(absolute, planes, strict=True):
            assert ours.position
            assert theirs.position
            self.assertLess(np.abs(np.subtract(ours.position, theirs.position)).max(), 1e-9)

    def test_nuclear_medicine(self) -> None:
        """The slices of a reconstruction are evenly apart along the detector's normal."""
        dataset = several(3)
        plane = of(ImagePositionPatient=[10, 20, 30], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        dataset.DetectorInformationSequence = [plane]
        del dataset.ImagePositionPatient
        del dataset.ImageOrientationPatient
        dataset.SpacingBetweenSlices, dataset.SliceVector = 4, [1, 2, 3]
        positions = [found.position for found in instance(written(dataset)).planes]
        self.assertEqual(positions, [[10.0, 20.0, z] for z in (30.0, 34.0, 38.0)])
        dataset.SliceVector = [1, 2]
        self.assertEqual(instance(written(dataset)).planes, [])
