"""Where each frame of a DICOM file lies, by its attributes as JSON has them."""

from __future__ import annotations

from imgd.pictures.instances import FramePlane
from imgd.pictures.worker.dicom_attributes import first, item, number, numbers, values, whole
from imgd.pictures.worker.dicom_json import Json


def planes(attributes: Json, frames: int) -> list[FramePlane]:
    """One for each frame, or one for a file of one frame; none if there is no geometry."""
    groups = values(attributes, "PerFrameFunctionalGroupsSequence")
    shared = item(attributes, "SharedFunctionalGroupsSequence")
    if groups or shared:
        if len(groups) != frames and (groups or frames != 1):
            return []
        found = [_of_groups(group, shared, attributes) for group in groups or [{}]]
    elif frames == 1:
        found = [_of_file(attributes)]
    else:
        found = _of_grid(attributes, frames) or _of_detector(attributes, frames)
    return found if any(plane.position or plane.spacing for plane in found) else []


def _of_file(attributes: Json) -> FramePlane:
    """The image plane module (PS3.3 section C.7.6.2), and what is beside it."""
    echo = number(attributes, "EchoTime")
    return FramePlane(
        position=numbers(attributes, "ImagePositionPatient", 3),
        orientation=numbers(attributes, "ImageOrientationPatient", 6),
        spacing=numbers(attributes, "PixelSpacing", 2),
        time=whole(attributes, "TemporalPositionIdentifier"),
        echo=number(attributes, "EchoNumbers") if echo is None else echo,
        b_value=number(attributes, "DiffusionBValue"),
        slope=number(attributes, "RescaleSlope"),
        intercept=number(attributes, "RescaleIntercept"),
    )


def _of_groups(own: Json, shared: Json, of_file: Json) -> FramePlane:
    """Functional groups (PS3.3 section C.7.6.16): a frame's own before those that all share, and
    those before what the file has outside of groups.
    """

    def group(keyword: str) -> Json:
        return item(own, keyword) or item(shared, keyword) or of_file

    content, values_ = group("FrameContentSequence"), group("PixelValueTransformationSequence")
    return FramePlane(
        position=numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing=numbers(group("PixelMeasuresSequence"), "PixelSpacing", 2),
        time=whole(content, "TemporalPositionIndex"),
        echo=number(group("MREchoSequence"), "EffectiveEchoTime"),
        b_value=number(group("MRDiffusionSequence"), "DiffusionBValue"),
        slope=number(values_, "RescaleSlope"),
        intercept=number(values_, "RescaleIntercept"),
    )


def _of_grid(attributes: Json, frames: int) -> list[FramePlane]:
    """A dose (PS3.3 section C.8.8.3.2): offsets along the normal, or places along z."""
    offsets = numbers(attributes, "GridFrameOffsetVector", frames)
    plane = _of_file(attributes)
    if offsets is None or plane.position is None or plane.orientation is None:
        return []
    if offsets[0] == plane.position[2] != 0:
        offsets = [offset - offsets[0] for offset in offsets]
    return [_moved(plane, offset) for offset in offsets]


def _of_detector(attributes: Json, frames: int) -> list[FramePlane]:
    """A reconstructed tomography of nuclear medicine: its slices are evenly apart."""
    detector = item(attributes, "DetectorInformationSequence")
    gap = number(attributes, "SpacingBetweenSlices")
    slices = numbers(attributes, "SliceVector", frames)
    plane = _of_file({**detector, **attributes})
    if first(attributes, "NumberOfDetectors") is None and not detector:
        return []
    if None in (gap, slices, plane.position, plane.orientation) or slices is None or gap is None:
        return []
    return [_moved(plane, (number_ - 1) * gap) for number_ in slices]


def _moved(plane: FramePlane, distance: float) -> FramePlane:
    """So many mm along the normal of its orientation."""
    assert plane.position is not None
    assert plane.orientation is not None
    (a, b, c), (d, e, f) = plane.orientation[:3], plane.orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    position = [at + distance * along for at, along in zip(plane.position, normal, strict=True)]
    return FramePlane(
        position, plane.orientation, plane.spacing, slope=plane.slope, intercept=plane.intercept
    )
