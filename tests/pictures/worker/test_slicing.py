from __future__ import annotations

import itertools
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib
from numpy.typing import NDArray
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.slicing import Target, gather
from imgd.pictures.worker.source import PictureError, SourceFile
from imgd.pictures.worker.volume import Data, Volume
from tests.pictures.worker.asking import source

ROLES = [
    "".join(roles)
    for number in (3, 4, 5)
    for roles in itertools.permutations("xyztc-", number)
    if "".join(role for role in roles if role in "xyz") == "xyz"
]


class CountingFile:
    """How many bytes of a file are read."""

    def __init__(self, file: SourceFile) -> None:
        self.fd, self.name, self.size = file
        self._file, self.read_bytes = file, 0

    def read(self, offset: int, length: int) -> bytes:
        data = self._file.read(offset, length)
        self.read_bytes += len(data)
        return data


class SlicingCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "a")

    def volume(self, array: NDArray[Any], roles: str, compression: Any = "") -> tuple[Volume, Any]:
        """A volume whose first axis varies fastest, and its file."""
        content = b"head" + array.tobytes("F")
        if compression:
            content = isal_zlib.compress(content, 1, 31)
        self.path.write_bytes(content)
        opened = source(self.path)
        self.addCleanup(os.close, opened.fd)
        file: Any = CountingFile(opened)
        data = Data(file, 0, 4, compression)
        return Volume("", array.shape, roles, array.dtype, np.eye(4), data), file


class ValueTests(SlicingCase):
    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.data())
    def test_any(self, data: Any) -> None:
        """Slices of arrays in any order of axes, several at once, with steps, are numpy's."""
        draw = data.draw
        roles = draw(st.sampled_from(ROLES))
        shape = tuple(draw(st.lists(st.integers(1, 5), min_size=len(roles), max_size=len(roles))))
        array = np.arange(math.prod(shape), dtype=">u4").reshape(shape, order="F")
        volume, _ = self.volume(array, roles, draw(st.sampled_from(("", "gzip"))))
        targets = [
            Target(
                axis := draw(st.integers(0, 2)),
                draw(st.integers(0, volume.shape[axis] - 1)),
                draw(st.integers(0, volume.frames - 1)),
                (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
            )
            for _ in range(draw(st.integers(1, 6)))
        ]
        got = dict(gather(volume, targets))
        self.assertEqual(got.keys(), set(targets))
        for target, pixels in got.items():
            np.testing.assert_array_equal(pixels, expected(array, roles, target))

    def test_large(self) -> None:
        """Planes larger than what is read at once are put together."""
        array = np.random.default_rng(0).integers(0, 9, (1100, 1300, 3), np.uint8)
        targets = [Target(2, 1, 0), Target(1, 1299, 0), Target(0, 7, 0), Target(0, 7, 0, (2, 3)),
                   Target(2, 2, 0, (3, 2))]  # fmt: skip
        volume, _ = self.volume(array, "xyz", "gzip")
        for target, pixels in gather(volume, targets):
            np.testing.assert_array_equal(pixels, expected(array, "xyz", target))


def expected(array: NDArray[Any], roles: str, target: Target) -> NDArray[Any]:
    """By numpy, of the whole array."""
    order = [roles.index(role) for role in "zyx"]
    order += [roles.index(role) for role in "c" if role in roles]
    rest = [axis for axis in range(array.ndim) if axis not in order]
    place = tuple({"t": target.t, "-": 0}[roles[axis]] for axis in rest)
    whole = array.transpose(*rest, *order)[place]
    pixels: NDArray[Any] = np.take(whole, target.place, 2 - target.axis)
    return pixels[:: target.step[0], :: target.step[1]]


class EconomyTests(SlicingCase):
    ARRAY = np.random.default_rng(0).integers(0, 200, (256, 256, 64), np.uint8)

    def test_plain(self) -> None:
        """Of a file that is not compressed only what is needed is read."""
        volume, file = self.volume(self.ARRAY, "xyz")
        for target, needed in ((Target(2, 60, 0), 256 * 256), (Target(1, 9, 0), 256 * 64)):
            file.read_bytes = 0
            list(gather(volume, [target]))
            self.assertEqual(file.read_bytes, needed)

    def test_compressed(self) -> None:
        """A compressed file is read once, as far as the last slice."""
        volume, file = self.volume(self.ARRAY, "xyz", "gzip")
        list(gather(volume, [Target(2, 3, 0), Target(2, 1, 0)]))
        self.assertLess(file.read_bytes, file.size / 3)
        file.read_bytes = 0
        list(gather(volume, [Target(axis, 30, 0) for axis in range(3)]))
        self.assertLess(file.read_bytes, file.size + 100)

    def test_as_soon_as_possible(self) -> None:
        """A slice is there when it has been read, before others need the rest of the file."""
        volume, file = self.volume(self.ARRAY, "xyz", "gzip")
        target, _ = next(gather(volume, [Target(0, 30, 0), Target(2, 1, 0)]))
        self.assertEqual(target.axis, 2)
        self.assertLess(file.read_bytes, file.size / 3)

    def test_frames(self) -> None:
        """Frames that nobody asked for are passed over."""
        array = self.ARRAY.reshape(64, 64, 16, 64)
        volume, file = self.volume(array, "xyzt")
        list(gather(volume, [Target(0, 5, 63)]))
        self.assertEqual(file.read_bytes, 64 * 64 * 16)

    def test_long_lines(self) -> None:
        """Lines of voxels that no memory should hold are refused."""
        volume, _ = self.volume(np.zeros((1, 1, 1), "u1"), "xyz")
        volume = volume._replace(dims=(1 << 30, 1, 1))
        error = self.assertRaises(PictureError, list, gather(volume, [Target(0, 5, 0)]))
        self.assertEqual(error.status, 413)
