"""Series of DICOM of which each slice can be told from the others, by eye too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLSLossless,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
)

from tests import dicom_files

SIZE, SLICES = 96, 60
STUDY = f"{dicom_files.ROOT}.2"
SERIES = f"{STUDY}.1"
SYNTAXES = (JPEG2000Lossless, JPEGLSLossless, RLELossless)


def phantom(number: int) -> np.ndarray:
    """A slice of a head with a ball that is somewhere else in each."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    values = np.full((SIZE, SIZE), 0, "<i2")
    values[(x / 40) ** 2 + (y / 34) ** 2 < 1] = 1064
    turn = number / 5
    ball = (x - 20 * np.cos(turn)) ** 2 + (y - 20 * np.sin(turn)) ** 2
    values[ball < 60] = 1200 + 10 * number
    return values


def ct_slice(study: str, number: int) -> Dataset:
    return dicom_files.ct_slice(
        study=study,
        series=f"{study}.1",
        number=number,
        position=(-48.0, -48.0, 2.0 * number),
        rows=SIZE,
        columns=SIZE,
        more={"PixelData": phantom(number).tobytes(), "PixelSpacing": [1, 1]},
    )


def write_native(folder: Path) -> None:
    """A CT as scanners export it: names without a suffix, in an order of their own."""
    for number in range(1, SLICES + 1):
        made = ct_slice(STUDY, number)
        dicom_files.save(made, str(folder / "A" / f"IM{number * 37 % 61:04}"))


def write_compressed(folder: Path, study: str, syntax: str) -> None:
    for number in range(1, 7):
        made = ct_slice(study, number)
        made.compress(syntax, generate_instance_uid=False)
        dicom_files.save(made, str(folder / study / f"{number}"), syntax)


def write_frames(folder: Path, study: str) -> None:
    """One file of eight frames."""
    made = ct_slice(study, 1)
    made.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    made.Modality, made.NumberOfFrames = "OT", 8
    made.PixelData = b"".join(phantom(number).tobytes() for number in range(8))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        del made[keyword]
    # Not a folder "frames": OHIF takes that for DICOMweb's word.
    dicom_files.save(made, str(folder / "B" / "IM1"))
