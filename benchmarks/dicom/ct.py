"""Slices of CT with some 130 elements, as a scanner writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

_ROOT = "1.2.826.0.1.3680043.8.498.1707"  # of UIDs; a number for each study, series and instance

# Elements of every file that do not change within a series, as a CT scanner writes them.
_TEXTS: dict[str, object] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
    "InstanceCreationDate": "20190304",
    "InstanceCreationTime": "101112.234000",
    "StudyDate": "20190304",
    "SeriesDate": "20190304",
    "AcquisitionDate": "20190304",
    "ContentDate": "20190304",
    "StudyTime": "101005.562000",
    "SeriesTime": "101112.187000",
    "AccessionNumber": "A20190304",
    "Modality": "CT",
    "Manufacturer": "SIEMENS",
    "InstitutionName": "General Hospital",
    "InstitutionAddress": "Main Street 1, Springfield",
    "ReferringPhysicianName": "Referring^Physician",
    "StationName": "CT-1",
    "StudyDescription": "Thorax with contrast",
    "SeriesDescription": "Thorax 1.0 B31f",
    "InstitutionalDepartmentName": "Radiology",
    "PerformingPhysicianName": "Performing^Physician",
    "OperatorsName": "Operator",
    "ManufacturerModelName": "Sensation 64",
    "PatientName": "Family^Given",
    "PatientID": "P-1707",
    "PatientBirthDate": "19500101",
    "PatientSex": "O",
    "PatientAge": "069Y",
    "PatientWeight": "71.5",
    "EthnicGroup": "",
    "PregnancyStatus": 4,
    "BodyPartExamined": "CHEST",
    "SliceThickness": "1.25",
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "DeviceSerialNumber": "55555",
    "SoftwareVersions": "syngo CT 2014A",
    "ProtocolName": "ThoraxRoutine",
    "ContrastBolusAgent": "APPLIED",
    "ReconstructionDiameter": "409.6",
    "DistanceSourceToDetector": "1040",
    "DistanceSourceToPatient": "570",
    "GantryDetectorTilt": "0",
    "TableHeight": "135",
    "RotationDirection": "CW",
    "ExposureTime": "500",
    "XRayTubeCurrent": "247",
    "Exposure": "165",
    "FilterType": "0",
    "GeneratorPower": "31",
    "FocalSpots": "1.2",
    "DateOfLastCalibration": "20190304",
    "TimeOfLastCalibration": "071522.000000",
    "ConvolutionKernel": "B31f",
    "PatientPosition": "HFS",
    "SingleCollimationWidth": 0.6,
    "TotalCollimationWidth": 19.2,
    "TableSpeed": 38.4,
    "TableFeedPerRotation": 19.2,
    "SpiralPitchFactor": 1.0,
    "DataCollectionCenterPatient": [0.0, -135.0, -180.0],
    "ReconstructionTargetCenterPatient": [0.0, -135.0, -180.0],
    "ExposureModulationType": "XYZ_EC",
    "EstimatedDoseSaving": 12.5,
    "CTDIvol": 11.1,
    "StudyID": "1",
    "AcquisitionNumber": "2",
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PositionReferenceIndicator": "",
    "ImageComments": "Comment",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": ["0.8", "0.8"],
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 1,
    "SmallestImagePixelValue": -1024,
    "LargestImagePixelValue": 1024,
    "WindowCenter": ["40", "-600"],
    "WindowWidth": ["400", "1500"],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
    "WindowCenterWidthExplanation": ["WINDOW1", "WINDOW2"],
    "RequestingPhysician": "Requesting^Physician",
    "RequestedProcedureDescription": "CT thorax",
    "PerformedProcedureStepStartDate": "20190304",
    "PerformedProcedureStepStartTime": "101005.625000",
    "PerformedProcedureStepID": "PPS1",
    "PerformedProcedureStepDescription": "CT thorax",
    "CommentsOnThePerformedProcedureStep": "",
    "RequestedProcedureID": "RP1",
}
_CODES = {
    "ProcedureCodeSequence": ("CTTHO", "L", "CT of the thorax"),
    "ReferencedPerformedProcedureStepSequence": (),
    "ReferencedStudySequence": (),
    "AnatomicRegionSequence": ("T-D3000", "SRT", "Chest"),
    "CTDIPhantomTypeCodeSequence": ("113691", "DCM", "IEC Body Dosimetry Phantom"),
    "RequestAttributesSequence": ("RP1", "L", "CT thorax"),
}


def study_of(number: int) -> str:
    """The study of the series with this number; five series have one."""
    return f"{_ROOT}.{number // 5 + 1}"


def series_of(number: int) -> str:
    """The UID of a series."""
    return f"{_ROOT}.{number // 5 + 1}.{number}"


def instance_of(number: int, index: int) -> str:
    """The UID of the ``index``-th file of a series."""
    return f"{series_of(number)}.{index + 1}"


def write_series(folder: Path, count: int, side: int, *, number: int) -> None:
    """``count`` slices of ``side`` x ``side`` values of 16 bits, 1.25 mm apart."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = _template(number, side)
    generator = np.random.default_rng(number)
    noise = generator.integers(-1024, 1024, (side, side), np.int16)
    for index in range(count):
        uid = UID(instance_of(number, index))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        dataset.InstanceNumber = index + 1
        dataset.AcquisitionTime = dataset.ContentTime = f"101112.{index:06}"
        dataset.ImagePositionPatient = ["-204.8", "-339.8", f"{-180 + 1.25 * index:g}"]
        dataset.SliceLocation = f"{-180 + 1.25 * index:g}"
        dataset.PixelData = np.roll(noise, index).astype("<i2").tobytes()
        dataset.save_as(folder / f"IM{index:06}", enforce_file_format=True)


def _template(number: int, side: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    for keyword, value in _TEXTS.items():
        setattr(dataset, keyword, value)
    for keyword, code in _CODES.items():
        setattr(dataset, keyword, Sequence([_code(code)]))
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_of(number), series_of(number)
    dataset.FrameOfReferenceUID = f"{study_of(number)}.0"
    dataset.SeriesNumber = number % 5 + 1
    dataset.Rows = dataset.Columns = side
    for group, creator in ((0x0019, "SIEMENS CT VA0  COAD"), (0x0029, "SIEMENS CSA HEADER")):
        block = dataset.private_block(group, creator, create=True)
        for element in range(8):
            block.add_new(element, "LO", f"private {element}")
    return dataset


def _code(code: tuple[str, ...]) -> Dataset:
    """An item of a sequence: a code, or a reference to another instance."""
    item = Dataset()
    if code:
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    else:
        item.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"
        item.ReferencedSOPInstanceUID = f"{_ROOT}.0.1"
    return item
