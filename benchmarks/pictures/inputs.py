"""What the pictures are made of: photographs and a volume, drawn once, and given a new time of
change for each measurement, so that no cache knows them.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY_NOISE = 6.4  # Hounsfield units: a .nii.gz of 157 MB then has some 63 MB
_times = itertools.count(1)


@dataclass(frozen=True)
class Sizes:
    """How large the inputs are, and how much is asked for."""

    hd: tuple[int, int] = (1920, 1080)
    large: tuple[int, int] = (4000, 3000)  # 12 megapixels
    volume: tuple[int, int, int] = (512, 512, 300)
    photos: int = 8  # for each round and server
    seconds: float = 2.0  # of one measurement of a rate
    slices: int = 9  # of the uncompressed volume, for each round
    waiting: int = 200  # pictures at once
    bombs: int = 200
    idle_seconds: float = 5.0  # of the GETs before the pictures are asked for
    bomb_scale: float = 1.0  # of the sides of the pictures that are bombs


QUICK = Sizes((192, 108), (400, 300), (32, 32, 20), 2, 1.0, 2, 12, 12, 0.5, 0.1)


class Inputs:
    """A folder with ``hd-N.jpg`` and ``large-N.jpg``, ``ct.nii``, ``ct.nii.gz`` and ``f.bin``, all
    made the first time. ``root`` is what servers serve.
    """

    def __init__(self, work: Path, sizes: Sizes) -> None:
        self.sizes = sizes
        x, y, z = sizes.volume
        self.root = work / f"pictures-{x}x{y}x{z}"
        self.root.mkdir(parents=True, exist_ok=True)
        for name, size in (("hd", sizes.hd), ("large", sizes.large)):
            for number in range(sizes.photos):
                self._photo(self.root / f"{name}-{number}.jpg", size, number)
        self._waiting()
        self._volume()
        (self.root / "f.bin").write_bytes(os.urandom(20_000))

    def photos(self, name: str) -> list[str]:
        """The photographs, changed a moment ago as far as a server can tell."""
        return [self.renewed(f"{name}-{number}.jpg") for number in range(self.sizes.photos)]

    def waiting(self) -> list[str]:
        """One photograph under many names, changed likewise."""
        self.renewed("large-0.jpg")
        return [f"waiting/{number}.jpg" for number in range(self.sizes.waiting)]

    def renewed(self, name: str) -> str:
        """The name of a file whose time of change is a new one, an hour or so ago."""
        moment = time.time_ns() - 3600 * 10**9 + next(_times) * 10**6
        os.utime(self.root / name, ns=(moment, moment))
        return name

    def _waiting(self) -> None:
        folder = self.root / "waiting"
        folder.mkdir(exist_ok=True)
        for number in range(self.sizes.waiting):
            if not (folder / f"{number}.jpg").exists():
                (folder / f"{number}.jpg").hardlink_to(self.root / "large-0.jpg")

    @staticmethod
    def _photo(path: Path, size: tuple[int, int], seed: int) -> None:
        if not path.exists():
            Image.fromarray(photograph(size, seed)).save(path, quality=90)

    def _volume(self) -> None:
        plain, packed = self.root / "ct.nii", self.root / "ct.nii.gz"
        if packed.exists():
            return
        plain.write_bytes(phantom(self.sizes.volume))
        deflate = zlib.compressobj(6, wbits=31)
        unfinished = packed.with_suffix(".unfinished")
        unfinished.write_bytes(deflate.compress(plain.read_bytes()) + deflate.flush())
        unfinished.rename(packed)


def photograph(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """(height, width, 3): noise whose large forms are strong and whose small ones are weak, which
    a JPEG stores in about as many bytes as a photograph.
    """
    generator = np.random.default_rng(seed)
    width, height = size
    values = np.full((height, width, 3), 128, np.float32)
    for cells, strength in ((8, 60), (32, 30), (128, 15), (512, 8)):
        shape = (max(2, cells * height // width), cells, 3)
        small = generator.normal(0, 40, shape).clip(-127, 127).astype(np.int8)
        image = Image.fromarray(small.view(np.uint8) ^ 0x80)
        large = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32)
        values += (large - 128) * (strength / 40)
    values += generator.standard_normal(values.shape, np.float32) * 3
    return values.clip(0, 255).astype(np.uint8)


def phantom(shape: tuple[int, int, int]) -> bytes:
    """A NIfTI-1 file of int16: a body with lungs and a spine in Hounsfield units, and noise."""
    generator = np.random.default_rng(7)
    x, y = np.linspace(-1.3, 1.3, shape[0])[:, None], np.linspace(-1.7, 1.7, shape[1])[None, :]
    slices = [nifti_header(shape)]
    for z in np.linspace(-1, 1, shape[2]):
        narrow = 1 - 0.3 * abs(z)
        values = np.full(shape[:2], -1000.0)
        values[x**2 + y**2 < narrow] = 40
        for side in (-0.42, 0.42):
            values[((x - side) / 0.35) ** 2 + ((y - 0.05) / 0.55) ** 2 < narrow**2] = -820
        values[(x / 0.12) ** 2 + ((y + 0.62) / 0.16) ** 2 < 1] = 700
        values += generator.normal(0, GREY_NOISE, shape[:2])
        slices.append(np.rint(values).astype("<i2").tobytes(order="F"))
    return b"".join(slices)


def nifti_header(shape: tuple[int, int, int], offset: int = 352) -> bytes:
    """The header of a NIfTI-1 file of int16 with voxels of 0.8 x 0.8 x 1.25 mm."""
    header = bytearray(offset)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16 of 16 bits
    struct.pack_into("<8f", header, 76, 1, 0.8, 0.8, 1.25, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, offset, 1, 0)  # where the voxels begin; scale, intercept
    header[123] = 10  # mm and seconds
    struct.pack_into("<2h", header, 252, 0, 1)  # no qform; sform to the scanner's space
    rows = ((-0.8, 0, 0, 200), (0, 0.8, 0, -200), (0, 0, 1.25, -180))
    struct.pack_into("<12f", header, 280, *(value for row in rows for value in row))
    header[344:348] = b"n+1\0"
    return bytes(header)
