"""The attributes by which DICOMweb finds studies, series and instances, and which results have
them: DICOM PS3.18 tables 10.6.1-5 and 10.6.3-3 to 10.6.3-5.
"""

from __future__ import annotations

import re
from collections.abc import Container
from enum import IntEnum
from typing import Final, NamedTuple


class Level(IntEnum):
    """What an attribute is of, and what is searched for; deeper ones are greater."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


LEVELS: Final = {"studies": Level.STUDY, "series": Level.SERIES, "instances": Level.INSTANCE}
TAG: Final = re.compile("[0-9A-Fa-f]{8}", re.ASCII)
# Text, dates and times tell of patients: none of them leaves imgd without --patient-data.
_TELLING: Final = frozenset(
    ["AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UN", "UT"]
)
_PATIENT_SEX: Final = "00100040"  # codes, but DICOM PS3.15 table E.1-1 has it


class Attribute(NamedTuple):
    """``tag`` is 8 hexadecimal digits. ``vr`` is "" if only the files know it."""

    tag: str
    keyword: str
    vr: str
    level: Level
    is_required: bool = False  # each result of its level has it, even empty

    @property
    def is_withheld(self) -> bool:
        """Whether it is told with ``--patient-data`` alone."""
        return self.vr in _TELLING or self.tag == _PATIENT_SEX

    @property
    def name(self) -> str:
        """What people call it."""
        return self.keyword or self.tag


def _of(level: Level, rows: str) -> tuple[Attribute, ...]:
    """One attribute a line: tag, VR, keyword; a star at its end says that it is required."""
    split = (line.split() for line in rows.strip().splitlines())
    return tuple(Attribute(t, k.rstrip("*"), vr, level, k.endswith("*")) for t, vr, k in split)


_STUDY: Final = """
00080020 DA StudyDate*
00080030 TM StudyTime*
00080050 SH AccessionNumber*
00080056 CS InstanceAvailability*
00080061 CS ModalitiesInStudy*
00080062 UI SOPClassesInStudy
00080090 PN ReferringPhysicianName*
00080201 SH TimezoneOffsetFromUTC
00081030 LO StudyDescription
00081190 UR RetrieveURL*
00100010 PN PatientName*
00100020 LO PatientID*
00100021 LO IssuerOfPatientID
00100030 DA PatientBirthDate*
00100040 CS PatientSex*
0020000D UI StudyInstanceUID*
00200010 SH StudyID*
00201206 IS NumberOfStudyRelatedSeries*
00201208 IS NumberOfStudyRelatedInstances*
"""
_SERIES: Final = """
00080021 DA SeriesDate
00080031 TM SeriesTime
00080060 CS Modality*
0008103E LO SeriesDescription*
0020000E UI SeriesInstanceUID*
00200011 IS SeriesNumber*
00200052 UI FrameOfReferenceUID
00200060 CS Laterality
00201209 IS NumberOfSeriesRelatedInstances*
00080070 LO Manufacturer
00080080 LO InstitutionName
00081010 SH StationName
00081070 PN OperatorsName
00081090 LO ManufacturerModelName
00180015 CS BodyPartExamined
00181030 LO ProtocolName
00185100 CS PatientPosition
00400244 DA PerformedProcedureStepStartDate
00400245 TM PerformedProcedureStepStartTime
"""
_INSTANCE: Final = """
00080008 CS ImageType
00080012 DA InstanceCreationDate
00080013 TM InstanceCreationTime
00080016 UI SOPClassUID*
00080018 UI SOPInstanceUID*
00080022 DA AcquisitionDate
00080023 DA ContentDate
00080032 TM AcquisitionTime
00080033 TM ContentTime
00083002 UI AvailableTransferSyntaxUID
00200012 IS AcquisitionNumber
00200013 IS InstanceNumber*
00280002 US SamplesPerPixel
00280004 CS PhotometricInterpretation
00280008 IS NumberOfFrames
00280010 US Rows
00280011 US Columns
00280100 US BitsAllocated
00280101 US BitsStored
"""
ALL: Final = (
    *_of(Level.STUDY, _STUDY),
    *_of(Level.SERIES, _SERIES),
    *_of(Level.INSTANCE, _INSTANCE),
)
# Results have them besides, if their files do.
_USUAL: Final = frozenset(
    ("00080201", "00081030", "00400244", "00400245", "00280008", "00280010", "00280011", "00280100")
)
CHARACTER_SET: Final = "00080005"
_BY_TAG: Final = {attribute.tag: attribute for attribute in ALL}
_BY_KEYWORD: Final = {attribute.keyword: attribute for attribute in ALL}


def find(name: str) -> Attribute | None:
    """The attribute of a keyword or tag; None if imgd does not know it."""
    return _BY_KEYWORD.get(name) or _BY_TAG.get(name.upper())


def of_tag(tag: str) -> Attribute:
    """The attribute of a tag; of one that imgd does not know, what its group tells."""
    level = Level.STUDY if tag.startswith("0010") else Level.INSTANCE
    return _BY_TAG.get(tag) or Attribute(tag, "", "", level)


def of_results(levels: Container[Level]) -> tuple[str, ...]:
    """The tags of what results about these levels have, if nothing more is asked for."""
    return tuple(
        attribute.tag
        for attribute in ALL
        if attribute.level in levels and (attribute.is_required or attribute.tag in _USUAL)
    )
