"""Folders of CT, files without suffixes, made once."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dicom.ct import write_series

HEADER = 352  # bytes before the voxels of a NIfTI-1 file


@dataclass(frozen=True)
class Sizes:
    """How many files there are, and how much is asked for."""

    side: int = 512
    series: int = 300  # files of one series
    volume: int = 256  # files of the series that is fetched as one volume: 128 MB
    many: int = 3000
    most: int = 10_000
    small_side: int = 64
    per_series: int = 100  # of the small files
    seconds: float = 3.0  # of one measurement of a rate
    downloads: int = 4
    load_seconds: float = 60.0


QUICK = Sizes(32, 12, 8, 30, 60, 16, 10, 1.0, 2, 3.0)


class Inputs:
    """``one``, ``series``, ``volume``, ``many`` and ``most`` are the folders of so many files each;
    ``plain`` has files that are not DICOM.
    """

    def __init__(self, work: Path, sizes: Sizes) -> None:
        self.sizes = sizes
        root = work / f"dicom-{sizes.series}x{sizes.side}-{sizes.most}"
        self.one, self.series, self.volume = root / "one", root / "series", root / "volume"
        self.many, self.most = root / "many", root / "most"
        self.plain = root / "plain"
        if (root / "complete").exists():
            return
        root.mkdir(parents=True, exist_ok=True)
        write_series(self.one, 1, sizes.small_side, number=3)
        write_series(self.series / "SE000000", sizes.series, sizes.side, number=1)
        write_series(self.volume / "SE000000", sizes.volume, sizes.side, number=2)
        self._write_many(self.many, sizes.many, first=10_000)
        self._write_many(self.most, sizes.most, first=20_000)
        self.plain.mkdir(exist_ok=True)
        length = HEADER + sizes.volume * sizes.side**2 * 2
        (self.plain / "v.nii").write_bytes(os.urandom(length))
        (self.plain / "f.bin").write_bytes(os.urandom(20_000))
        (root / "complete").touch()

    def _write_many(self, folder: Path, count: int, first: int) -> None:
        side, per_series = self.sizes.small_side, self.sizes.per_series
        for number in range(count // per_series):
            below = folder / f"ST{number // 5:06}" / f"SE{number:06}"
            write_series(below, per_series, side, number=first + number)

    def renew(self, folder: Path) -> None:
        """Give the files of a folder a new time of change: nothing that was kept counts."""
        now = time.time_ns() - 3600 * 10**9
        for number, path in enumerate(files(folder)):
            os.utime(path, ns=(now + number, now + number))


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
