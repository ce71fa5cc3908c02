from __future__ import annotations

import gzip
import struct
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from tests import samples
from tests.pictures.worker.asking import ask, one, shown
from tests.pictures.worker.test_nifti import CODES, PLANES, affine_of


class MghTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, path: Path, t: int = 0) -> None:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        # Not nibabel.load, which leaves files of this format open.
        image = nibabel.as_closest_canonical(nibabel.MGHImage.from_bytes(content))
        data = np.asarray(image.dataobj, float)
        data = data[..., t] if data.ndim == 4 else data
        for axis, plane in enumerate(PLANES):
            index = data.shape[axis] // 2
            reply = one(path, f"slice={plane}:{index}&depth=16&t={t}")
            np.testing.assert_allclose(reply.values(), shown(data, plane, index), atol=0.01)
        np.testing.assert_allclose(
            one(path, "info").json()["display_affine"], image.affine, atol=1e-4
        )

    def test_all(self) -> None:
        """Every type, packing and orientation shows nibabel's values."""
        rng = np.random.default_rng(4)
        for number, code in enumerate(CODES):
            dtype = (">u1", ">i2", ">i4", ">f4")[number % 4]
            shape = (4, 5, 6, 2) if number % 3 else (4, 5, 6)
            path = self.folder / ("a.mgh" if number % 5 else "a.mgz")
            array = rng.integers(0, 100, shape).astype(dtype)
            nibabel.save(nibabel.MGHImage(array, affine_of(code, shape)), path)
            self.check(path, t=len(shape) - 3)
            self.assertEqual(one(path, "info").json()["orientation"], code)

    def test_nibabels_own(self) -> None:
        """nibabel's own file shows its values."""
        self.check(samples.volume("test.mgz"))

    def write(
        self, *numbers: int, directions: int = 0, floats: tuple[float, ...] = (0.0,) * 15
    ) -> Path:
        path = self.folder / "a.mgh"
        path.write_bytes(
            struct.pack(">7ih15f", *numbers, directions, *floats).ljust(284, b"\0") + bytes(60)
        )
        return path

    def test_no_directions(self) -> None:
        """Without directions the slices are coronal, as FreeSurfer has it."""
        facts = one(self.write(1, 3, 4, 5, 1, 0, 0), "info").json()
        self.assertEqual((facts["orientation"], facts["voxel_size"]), ("LIA", [1, 1, 1]))
        useless = self.write(1, 3, 4, 5, 1, 0, 0, directions=1, floats=(float("nan"),) * 15)
        self.assertEqual(one(useless, "info").json()["orientation"], "LIA")

    def test_refused(self) -> None:
        """What claims too much is refused; what has no such header is no volume."""
        self.assertIn("cut off", one(self.write(1, 30, 4, 5, 1, 0, 0), "thumb").detail)
        self.assertIn("cut off", one(self.write(1, *(2**20 - 1,) * 2, 2, 1, 3, 0), "thumb").detail)
        for numbers in (
            (1, -3, 4, 5, 1, 0, 0),
            (1, 3, 4, 5, 0, 0, 0),
            (2, 3, 4, 5, 1, 0, 0),
            (1, 3, 4, 5, 1, 7, 0),
        ):
            for reply in ask(self.write(*numbers), "thumb", "info"):
                self.assertEqual(reply.status, 415)
                self.assertIn("no decoder", reply.detail)
