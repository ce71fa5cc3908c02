"""JPEG 2000 at a part of its size."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.jpeg2000 import reduce
from tests.pictures.worker.decoded import image, saved


def opened(picture: Image.Image, **options: int) -> Image.Image:
    return Image.open(io.BytesIO(saved(picture, "JPEG2000", **options)))


class ReduceTests(SynchronousTestCase):
    def test_decoded_smaller(self) -> None:
        """It is decoded as small as it may be, never smaller."""
        noise = Image.effect_noise((1024, 768), 60)
        for least, expected in (
            ((256, 192), (256, 192)),
            ((257, 192), (512, 384)),
            ((700, 1), (1024, 768)),
            ((1, 1), (32, 24)),  # it can be halved five times
        ):
            picture = opened(noise)
            reduce(picture, least)
            self.assertEqual(picture.size, expected)

    def test_not_told(self) -> None:
        """A picture that is stored in one size is decoded in this."""
        picture = opened(Image.effect_noise((64, 64), 60), num_resolutions=1)
        reduce(picture, (1, 1))
        self.assertEqual(picture.size, (64, 64))

    def test_other_formats(self) -> None:
        """Other formats are left as they are."""
        picture = Image.open(io.BytesIO(saved(Image.new("L", (64, 64)), "PNG")))
        reduce(picture, (1, 1))
        self.assertEqual(np.asarray(picture).shape, (64, 64))

    def test_every_size(self) -> None:
        """Whatever its size, it is shown and looks like itself."""
        for side in (*range(500, 530, 3), 1537, 2048, 3001):
            original = Image.radial_gradient("L").resize((side, side + 3))
            small = image(saved(original, "JPEG2000"), "thumb")
            expected = original.resize(small.size)
            self.assertEqual(max(small.size), 256)
            difference = np.asarray(small, np.int16) - np.asarray(expected)
            self.assertLess(np.abs(difference).mean(), 2, side)
