"""nibabel in a process of its own: slices of a volume, as values and not as pictures.

nibabel_volume.py slice|planes FILE     prints the CPU seconds after the imports, and peak memory
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import nibabel
import numpy as np


def middle_slice(path: str) -> list[object]:
    """The middle axial slice by ``dataobj``, which reads no more than it needs."""
    image = nibabel.load(path)
    return [np.asarray(image.dataobj[:, :, image.shape[2] // 2])]


def planes(path: str) -> list[object]:
    """The middle of the three planes by ``get_fdata``, which reads all."""
    data = nibabel.load(path).get_fdata()
    x, y, z = (side // 2 for side in data.shape)
    return [data[x].copy(), data[:, y].copy(), data[:, :, z].copy()]


def main() -> None:
    """Prints the report."""
    begun = time.process_time()
    {"slice": middle_slice, "planes": planes}[sys.argv[1]](sys.argv[2])
    cpu = time.process_time() - begun
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    print(json.dumps({"cpu": cpu, "peak": int(peak[1]) * 1024 if peak else 0}))


if __name__ == "__main__":
    main()
