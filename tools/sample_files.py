"""A folder of samples in the formats that imgd shows: files of ``tools.sample_images``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tools import sample_images as images

FRAMES: Final = 12
_BODY_SPACING: Final = (1.5, 1.5, 5.0)  # mm


def write(folder: Path) -> Path:
    """Fill a folder, some 20 MB in ten seconds; returns it."""
    folder.mkdir(parents=True)
    _write_volumes(folder)
    _write_photographs(folder)
    _write_frames(folder / "conveyor")
    (folder / "report.txt").write_text("Computed images: nobody's head, nobody's body.\n", "utf-8")
    return folder


def _write_volumes(folder: Path) -> None:
    head, body = images.head(), images.body()
    _write_nifti(folder / "head_T1w.nii.gz", head, (1.2, 1.2, 1.2))
    bright = np.asarray(np.digitize(head, (80, 330, 620, 900)), np.uint8)
    _write_nifti(folder / "head_tissues.nii.gz", bright, (1.2, 1.2, 1.2))
    _write_nifti(folder / "abdomen_CT.nii.gz", body, _BODY_SPACING)
    _write_dicom(folder / "abdomen series", body)


def _write_nifti(path: Path, voxels: npt.NDArray[Any], spacing: tuple[float, ...]) -> None:
    affine = np.diag((*spacing, 1.0))
    affine[:3, 3] = [-step * count / 2 for step, count in zip(spacing, voxels.shape, strict=True)]
    volume: Any = nibabel.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    volume.to_filename(str(path))


def _write_dicom(folder: Path, voxels: npt.NDArray[np.int16]) -> None:
    """The slices as one series, from the feet up, as a scanner's software would number them."""
    folder.mkdir()
    series = generate_uid(entropy_srcs=["series"])
    for number in range(0, voxels.shape[2], 2):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"slice {number}"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID, dataset.SOPInstanceUID = (
            CTImageStorage,
            meta.MediaStorageSOPInstanceUID,
        )
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series, number // 2 + 1
        dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", "Nobody", "0"
        pixels = voxels[::-1, ::-1, number].T  # rows from the front, columns from the right
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        dataset.PixelSpacing, dataset.SliceThickness = list(_BODY_SPACING[:2]), _BODY_SPACING[2]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [0, 0, number * _BODY_SPACING[2]]
        dataset.PixelData = np.ascontiguousarray(pixels, "<i2").tobytes()
        dataset.save_as(folder / f"IM{number // 2 + 1:04}.dcm", enforce_file_format=True)


def _write_photographs(folder: Path) -> None:
    pictures: dict[str, npt.NDArray[np.uint8]] = {
        "chest.png": images.chest(),
        "evening 1.jpg": images.mountains(3),
        "evening 2.jpg": images.mountains(21),
        "evening 3.jpg": images.mountains(40),
        "fractal 1.webp": images.julia(-0.79 + 0.15j),
        "fractal 2.webp": images.julia(-0.4 + 0.6j),
        "fundus.jpg": images.retina(),
        "section_HE_10x.tif": images.tissue(5),
        "section_HE_20x.tif": images.tissue(25),
        "culture_DAPI.png": images.cells(9),
    }
    for name, picture in pictures.items():
        options = {"compression": "tiff_lzw"} if name.endswith(".tif") else {}
        Image.fromarray(picture).save(folder / name, **options)


def _write_frames(folder: Path) -> None:
    folder.mkdir()
    for number in range(FRAMES):
        Image.fromarray(images.frame(number)).save(folder / f"frame_{number + 1:04}.jpg")
