from __future__ import annotations

import gzip
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np

from imgd.pictures.worker.source import Made
from tests.pictures.worker.asking import made, one, view
from tests.pictures.worker.test_volume_display import DisplayCase

ARRAY = np.random.default_rng(9).integers(0, 1000, (40, 42, 44)).astype("<i2")


class NeighbourTests(DisplayCase):
    def extras(self, path: Path, *queries: str) -> list[Made]:
        """What was made and not asked for; everything is made once."""
        views = [view(query) for query in queries]
        answers = list(made(path, *views))
        self.assertEqual(max(Counter(each.answer.view for each in answers).values()), 1)
        self.assertEqual(
            [each.answer.view for each in answers[: len(views)]].sort(key=str), views.sort(key=str)
        )
        return [each for each in answers if each.answer.view not in views]

    def test_neighbours(self) -> None:
        """A slice of a compressed volume that is asked for by its number comes with its neighbours,
        the same as if asked for; a middle one comes by its number.
        """
        path = self.save(ARRAY)
        for query, indices in (
            ("slice=axial:20", [*range(12, 20), *range(21, 29)]),
            ("slice=axial:2&depth=16", [0, 1, *range(3, 11)]),
            ("slice=coronal:41&size=256&window=400,40", range(33, 41)),
            ("slice=sagittal&convention=neuro", [20]),
        ):
            extras = self.extras(path, query)
            self.assertEqual(sorted(each.answer.view.index or 0 for each in extras), list(indices))
            for extra in extras:
                [asked, *_] = made(path, extra.answer.view)
                self.assertEqual(asked, extra)

    def test_several(self) -> None:
        """Those of several slices are made once, and not too many of them."""
        extras = self.extras(self.save(ARRAY), *(f"slice=axial:{index}" for index in (20, 22, 23)))
        self.assertEqual(len(extras), 19 - 2 + 8 - 8)
        extras = self.extras(
            self.save(ARRAY), *(f"slice=coronal:{index}" for index in range(0, 40, 3))
        )
        self.assertEqual(len(extras), 28)

    def test_none(self) -> None:
        """Other pictures have none, nor have volumes that are not compressed."""
        path = self.save(ARRAY)
        self.assertEqual(self.extras(path, "thumb", "info", "mosaic=2x2"), [])
        plain = path.with_suffix("")
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        self.assertEqual(self.extras(plain, "slice=axial:20"), [])

    def test_broken_beyond(self) -> None:
        """A file that is cut off after the slice shows it; before it, it is refused."""
        path = self.save(ARRAY)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        statuses = {
            each.answer.view.index: each.answer.status
            for each in made(path, view("slice=axial:19"))
        }
        self.assertEqual(statuses[19], 200)
        self.assertEqual(set(statuses.values()), {200})
        reply = one(path, "slice=axial:30")
        self.assertEqual(reply.status, 415)
        self.assertIn("ends too early", reply.detail)

    def test_one_of_two(self) -> None:
        """Of two slices of a file that is cut off between them, the first is shown."""
        path = self.save(ARRAY)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        answers = made(path, view("slice=axial:3"), view("slice=axial:40"))
        statuses = {each.answer.view.index: each.answer.status for each in answers}
        self.assertEqual((statuses[3], statuses[40]), (200, 415))


class MemoryTests(DisplayCase):
    def test_passes(self) -> None:
        """Views that together are too much for the memory are made in more than one pass."""
        header = nibabel.Nifti1Image(np.zeros((1, 1, 1), "<f8"), np.eye(4)).header
        header["dim"], header["vox_offset"] = [3, 16, 1024, 1536, 1, 1, 1, 1], 352
        path = self.path.with_suffix("")
        path.write_bytes(header.binaryblock)
        os.truncate(path, 352 + 8 * 16 * 1024 * 1536)
        queries = [f"slice=sagittal:{index}&depth=16" for index in range(16)]  # 12 MB each
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        statuses = [each.answer.status for each in made(path, *map(view, queries))]
        self.assertEqual(statuses, [200] * 16)
        self.assertLess(tracemalloc.get_traced_memory()[1], 190 << 20)


class BombTests(DisplayCase):
    def bomb(self, shape: tuple[int, ...], filling: bytes = bytes(1 << 16)) -> Path:
        """A header that claims this, and 16 MB in 16 kB, or in some more."""
        header = nibabel.Nifti1Image(np.zeros((1, 1, 1), "<i2"), np.eye(4)).header
        header["dim"] = [3, *shape, 1, 1, 1, 1]
        header["vox_offset"] = 352
        with gzip.open(self.path, "wb") as file:
            file.write(header.binaryblock + bytes(4))
            for _ in range((16 << 20) // len(filling)):
                file.write(filling)
        return self.path

    def test_small_header(self) -> None:
        """What comes after the voxels of the header is not inflated."""
        for query in ("slice=axial", "slice=sagittal:9", "thumb", "info"):
            self.assertEqual(one(self.bomb((64, 64, 64)), query).status, 200)

    def test_large_header(self) -> None:
        """A header that claims more than any file so long can hold is refused unread."""
        for shape in ((30000, 30000, 30000), (32767, 32767, 1), (512, 512, 36)):
            reply = one(self.bomb(shape), "info")
            self.assertEqual(reply.status, 415)
            self.assertIn("its header claims", reply.detail)

    def test_claim(self) -> None:
        """One that claims more than the file inflates to is refused at its end, whatever it has."""
        path = self.bomb((512, 512, 64), bytes(range(256)) * 256)
        axial, coronal = (one(path, f"slice={plane}:30") for plane in ("axial", "coronal"))
        self.assertEqual((axial.status, coronal.status), (200, 415))
        self.assertIn("ends too early", coronal.detail)
