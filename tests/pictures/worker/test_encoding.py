from __future__ import annotations

import io

import numpy as np
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker import encoding


class PngTests(SynchronousTestCase):
    def test_png(self) -> None:
        """Pillow reads the same pixels, of every kind, size and order in memory."""
        rng = np.random.default_rng(5)
        for shape in ((1, 1), (5, 3), (7, 1), (1, 9), (5, 3, 3), (5, 3, 4), (2, 1, 3)):
            pixels = rng.integers(0, 256, shape, np.uint8)
            for each in (pixels, pixels[::-1, ::-1], np.asfortranarray(pixels)):
                image = Image.open(io.BytesIO(encoding.png(each)))
                np.testing.assert_array_equal(np.asarray(image), each)
            image.close()
            if len(shape) == 2:
                deep = rng.integers(0, 65536, shape, np.uint16)
                image = Image.open(io.BytesIO(encoding.png(deep.astype(">u2"), {"a": "b c"})))
                np.testing.assert_array_equal(np.asarray(image), deep)
                self.assertEqual(image.text, {"a": "b c"})  # type: ignore[attr-defined]

    def test_jpeg(self) -> None:
        """JPEG without metadata."""
        data = encoding.jpeg(Image.new("RGB", (9, 7), (200, 0, 0)))
        image = Image.open(io.BytesIO(data))
        self.assertEqual((image.size, image.mode), ((9, 7), "RGB"))
        self.assertNotIn(b"Exif", data)
