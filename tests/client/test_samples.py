"""The demo's images, read by the programs that people read such images with."""

from __future__ import annotations

import gzip
import io
import os

import nibabel
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from imgd.client import samples
from imgd.client.demo import make_images


class Samples(SynchronousTestCase):
    def test_frames(self) -> None:
        """Frames are PNGs, each different."""
        frames = [samples.frame(number, 5, 60, 40) for number in range(5)]
        self.assertEqual(len(set(frames)), 5)
        for frame in frames:
            image = Image.open(io.BytesIO(frame))
            image.load()
            self.assertEqual((image.format, image.mode, image.size), ("PNG", "RGB", (60, 40)))

    def test_volume(self) -> None:
        """The volume is NIfTI-1: two spheres, in millimetres."""
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(samples.volume(16)))
        data = image.get_fdata()
        self.assertEqual((data.shape, image.header.get_zooms()), ((16,) * 3, (2.0,) * 3))
        self.assertEqual((data[8, 8, 8], data[8, 8, 3], data[0, 0, 0]), (220, 110, 0))
        self.assertEqual(image.header.get_xyzt_units()[0], "mm")
        self.assertEqual(list(image.affine[:, 3]), [-16, -16, -16, 1])

    def test_folders(self) -> None:
        """A folder of frames and one with a volume."""
        folder = self.mktemp()
        make_images(folder)
        self.assertEqual(len(os.listdir(os.path.join(folder, "frames"))), 24)
        self.assertEqual(os.listdir(os.path.join(folder, "volumes")), ["spheres.nii.gz"])
