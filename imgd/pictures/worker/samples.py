"""A small picture of every format, by which decoders are tried before nothing may be opened."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pydicom
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

SIDE: Final = 16  # pixels


def pictures() -> Iterator[bytes]:
    """One of each format that Pillow reads, and one of each mode that has a way of its own."""
    colours = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield _saved(colours, "JPEG", exif=exif, icc_profile=profile.replace(b"sRGB", b"tRGB"))
    yield _saved(colours.convert("CMYK"), "JPEG", icc_profile=profile)
    yield _saved(colours.convert("RGBA").rotate(45), "PNG")
    yield _saved(colours.convert("P"), "PNG")
    yield _saved(Image.fromarray(_values()), "PNG")
    yield _saved(colours, "TIFF", compression="tiff_lzw")
    for name in ("GIF", "WEBP"):
        yield _saved(colours, name, save_all=True, append_images=[colours.rotate(90)])
    for name in ("BMP", "JPEG2000"):
        yield _saved(colours, name)
    yield _saved(colours, "AVIF", speed=10)


def dicom_files() -> Iterator[bytes]:
    """One of each kind of transfer syntax that is decoded."""
    values = _values()
    yield _dicom(ExplicitVRLittleEndian, values, values.tobytes())
    yield _dicom(DeflatedExplicitVRLittleEndian, values, values.tobytes())
    bytes_ = (values >> 8).astype(np.uint8)
    yield _dicom(JPEGBaseline8Bit, bytes_, _saved(Image.fromarray(bytes_), "JPEG"))
    yield _dicom(JPEG2000Lossless, bytes_, _saved(Image.fromarray(bytes_), "JPEG2000", no_jp2=True))
    native = _dicom(ExplicitVRLittleEndian, bytes_, bytes_.tobytes())
    for syntax in (RLELossless, JPEGLSLossless):
        dataset = pydicom.dcmread(io.BytesIO(native))
        with suppress(RuntimeError, NotImplementedError):  # no library for it here
            dataset.compress(syntax, generate_instance_uid=False)
            yield _written(dataset)


def _values() -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 256


def _saved(image: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def _dicom(syntax: UID, values: np.ndarray[Any, Any], frame: bytes) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, UID("2.25.1")
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [1, 2], [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, 0]
    dataset.PixelData = encapsulate([frame]) if syntax.is_encapsulated else frame
    dataset["PixelData"].VR = "OB" if values.itemsize == 1 else "OW"
    return _written(dataset)


def _written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
