"""Folders of DICOM, written by pydicom."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

ROOT = "1.2.826.0.1.3680043.10.1234"
STUDY = f"{ROOT}.1"
SERIES = f"{ROOT}.1.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}


def ct_slice(
    *,
    study: str = STUDY,
    series: str = SERIES,
    uid: str = "",
    number: int = 1,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    rows: int = 8,
    columns: int = 6,
    modality: str = "CT",
    more: Mapping[str, Any] | None = None,
) -> Dataset:
    """A slice of signed 16 bits, of which every voxel has another value; ``more`` sets or (None)
    deletes elements by keyword.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CLASSES.get(modality, CTImageStorage)
    dataset.SOPInstanceUID = uid or f"{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.FrameOfReferenceUID = f"{study}.9"
    dataset.Modality, dataset.ImageType = modality, ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260102", "101112", "A1"
    dataset.PatientName, dataset.PatientID, dataset.StudyID = "Doe^Jane", "P-1", "S1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.ImagePositionPatient = list(position)
    dataset.ImageOrientationPatient = list(orientation)
    dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.75], 2.0
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    values = np.arange(rows * columns, dtype="<i2") + np.int16(number * 100)
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in (more or {}).items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: str, syntax: str = ExplicitVRLittleEndian) -> str:
    """Write a data set as a file of DICOM PS3.10, and the folders above it; returns the path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: str,
    count: int = 3,
    *,
    name: str = "IM{:04}",
    spacing: float = 2.0,
    syntax: str = ExplicitVRLittleEndian,
    **options: Any,
) -> list[str]:
    """Write a series of ``count`` slices, ``spacing`` mm apart along z, numbered from 1; returns
    their paths.

    ``name`` is a format of the number, perhaps with folders (``"CT/{}.dcm"``). ``syntax`` is native
    or deflated: values are encoded as it says, compressed pixels go through ``more``. ``options``
    are those of ``ct_slice``.
    """
    return [
        save(
            ct_slice(**{"number": n, "position": (-10.0, -20.0, (n - 1) * spacing), **options}),
            os.path.join(folder, name.format(n)),
            syntax,
        )
        for n in range(1, count + 1)
    ]


def write_many(folder: str, count: int, **options: Any) -> None:
    """Write ``count`` instances of one series in little time: copies of one with other UIDs."""
    first = 1_000_000
    template = os.path.join(folder, f"IM{first}")
    uid = f"{options.get('series', SERIES)}.{first}"
    save(ct_slice(uid=uid, **options), template)
    with open(template, "rb") as file:
        data = file.read()
    for number in range(first + 1, first + count):
        other = f"{uid.removesuffix(str(first))}{number}"
        with open(os.path.join(folder, f"IM{number}"), "wb") as file:
            file.write(data.replace(uid.encode("ascii"), other.encode("ascii")))
