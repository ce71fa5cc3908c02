"""The attributes that the index of DICOM tells of a file: geometry, values and acquisition.

An allow list of UIDs, numbers, codes and tables; none of DICOM PS3.15 table E.1-1 but the UIDs, by
which instances are addressed and refer to each other. What is not named here is not read.
"""

from __future__ import annotations

from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from imgd.pictures.worker.dicom_header import FACTS

_UIDS: Final = (
    *(
        "SOPClassUID",
        "SOPInstanceUID",
        "AvailableTransferSyntaxUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ),
    *("FrameOfReferenceUID", "SynchronizationFrameOfReferenceUID", "ConcatenationUID"),
    *("SOPInstanceUIDOfConcatenationSource", "DimensionOrganizationUID"),
    *("ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "PaletteColorLookupTableUID"),
    *("AvailableTransferSyntaxUID",),
)
_IMAGE: Final = (
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "TemporalPositionIdentifier"),
    *("NumberOfTemporalPositions", "TemporalResolution", "ImagesInAcquisition", "PatientPosition"),
    *("HighBit", "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries"),
    *("LargestPixelValueInSeries", "PixelIntensityRelationship", "PixelIntensityRelationshipSign"),
    *("PixelPresentation", "VolumetricProperties", "VolumeBasedCalculationTechnique"),
    *("BurnedInAnnotation", "RecognizableVisualFeatures", "LossyImageCompressionMethod"),
    *("QualityControlImage", "FrameIncrementPointer", "FrameTimeVector", "FrameDelay"),
    *("RecommendedDisplayFrameRate", "PreferredPlaybackSequencing", "StartTrim", "StopTrim"),
    *("ActualFrameDuration", "RepresentativeFrameNumber", "ConversionType"),
    *("InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber"),
    *("PatientOrientation", "ComplexImageComponent"),
    *("AcquisitionContrast", "ImagedVolumeWidth", "ImagedVolumeHeight", "ImagedVolumeDepth"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "TotalPixelMatrixFocalPlanes"),
    *("NumberOfFocalPlanes", "DistanceBetweenFocalPlanes", "XOffsetInSlideCoordinateSystem"),
    *("YOffsetInSlideCoordinateSystem", "ZOffsetInSlideCoordinateSystem", "ImageOrientationSlide"),
    *("ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix"),
    *("ExtendedDepthOfField", "DimensionOrganizationType"),
)
_ACQUISITION: Final = (
    *("EchoNumbers", "NumberOfPhaseEncodingSteps", "PercentSampling", "PercentPhaseFieldOfView"),
    *("InPlanePhaseEncodingDirection", "AcquisitionMatrix", "VariableFlipAngleFlag", "SAR", "dBdt"),
    *("TriggerTime", "NominalInterval", "CardiacNumberOfImages", "B1rms"),
    *("AngioFlag", "EffectiveEchoTime", "ParallelAcquisition", "ParallelReductionFactorInPlane"),
    *("DiffusionDirectionality", "DiffusionGradientOrientation", "DiffusionAnisotropyType"),
    *("DiffusionBValueXX", "DiffusionBValueXY", "DiffusionBValueXZ", "DiffusionBValueYY"),
    *("DiffusionBValueYZ", "DiffusionBValueZZ", "PartialFourier", "PartialFourierDirection"),
    *("MRAcquisitionFrequencyEncodingSteps", "MRAcquisitionPhaseEncodingStepsInPlane"),
    *("GradientEchoTrainLength", "RFEchoTrainLength", "ResonantNucleus", "ReceiveCoilType"),
    *("DataCollectionDiameter", "TableHeight", "RotationDirection", "RotationVector"),
    *("GeneratorPower", "FocalSpots", "SingleCollimationWidth", "TotalCollimationWidth"),
    *("TableSpeed", "TableFeedPerRotation", "ExposureModulationType", "EstimatedDoseSaving"),
    *("RevolutionTime", "ExposureTimeInuS", "XRayTubeCurrentInuA", "ExposureInuAs"),
    *("ExposureTimeInms", "XRayTubeCurrentInmA", "ExposureInmAs", "ReconstructionAngle"),
    *("ReconstructionFieldOfView", "ReconstructionPixelSpacing", "ReconstructionAlgorithm"),
    *("ConvolutionKernelGroup", "DataCollectionCenterPatient", "ReconstructionTargetCenterPatient"),
    *("TablePosition", "TubeAngle", "SpacingBetweenSlices"),
    *("DistanceSourceToEntrance", "EstimatedRadiographicMagnificationFactor", "Grid"),
    *("PositionerType", "PositionerMotion", "PositionerPrimaryAngle", "PositionerSecondaryAngle"),
    *("CompressionForce", "BodyPartThickness", "Sensitivity", "RelativeXRayExposure"),
    *("FieldOfViewShape", "FieldOfViewDimensions", "FieldOfViewOrigin", "FieldOfViewRotation"),
    *("DetectorType", "DetectorBinning", "DetectorElementSpacing", "ShutterShape"),
    *("ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge"),
    *("ShutterLowerHorizontalEdge", "CenterOfCircularShutter", "RadiusOfCircularShutter"),
    *("VerticesOfThePolygonalShutter", "ShutterPresentationValue", "PresentationIntentType"),
    *("PresentationSizeMode", "PresentationPixelSpacing", "PresentationPixelAspectRatio"),
    *("PixelSpacingCalibrationType", "Units", "CountsSource", "SeriesType", "DecayCorrection"),
    *("CorrectedImage", "DecayFactor", "DoseCalibrationFactor", "ScatterFractionFactor"),
    *("FrameReferenceTime", "NumberOfSlices", "NumberOfTimeSlices", "NumberOfRRIntervals"),
    *("ImageIndex", "SUVType", "RandomsCorrectionMethod", "RadionuclideTotalDose"),
    *("RadionuclideHalfLife", "RadionuclidePositronFraction", "EnergyWindowLowerLimit"),
    *("EnergyWindowUpperLimit", "EnergyWindowVector", "NumberOfEnergyWindows", "DetectorVector"),
    *(
        "NumberOfDetectors",
        "PhaseVector",
        "NumberOfPhases",
        "NumberOfRotations",
        "RRIntervalVector",
    ),
    *("TimeSlotVector", "NumberOfTimeSlots", "SliceVector", "AngularViewVector", "TimeSliceVector"),
    *("AngularStep", "StartAngle", "ScanArc", "CollimatorType"),
    *("DoseType", "DoseSummationType", "DoseGridScaling", "GridFrameOffsetVector"),
    *("TissueHeterogeneityCorrection", "RegionSpatialFormat", "RegionDataType", "RegionFlags"),
    *("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1"),
    *("ReferencePixelX0", "ReferencePixelY0", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection"),
    *("ReferencePixelPhysicalValueX", "ReferencePixelPhysicalValueY", "PhysicalDeltaX"),
    *("PhysicalDeltaY",),
)
_FRAMES: Final = (
    *("FrameType", "FrameAcquisitionNumber", "FrameAcquisitionDuration", "FrameLaterality"),
    *("DimensionIndexValues", "DimensionIndexPointer", "FunctionalGroupPointer"),
    *("InStackPositionNumber", "TemporalPositionIndex", "TemporalPositionTimeOffset"),
    *("NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime"),
    *("ImagePositionVolume", "ImageOrientationVolume", "ReferencedFrameNumber"),
    *("SegmentationType", "SegmentationFractionalType", "MaximumFractionalValue", "SegmentNumber"),
    *("SegmentAlgorithmType", "ReferencedSegmentNumber", "RecommendedDisplayCIELabValue"),
    *("SegmentsOverlap", "RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"),
    *("DoubleFloatRealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueLastValueMapped"),
    *("RealWorldValueIntercept", "RealWorldValueSlope", "RealWorldValueLUTData"),
    *("InversionTimes", "BlendingMode", "ContentQualification"),
)
_TABLES: Final = (
    *("LUTDescriptor", "LUTData"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
    *("AlphaPaletteColorLookupTableDescriptor", "AlphaPaletteColorLookupTableData"),
    *("SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData"),
    *("SegmentedBluePaletteColorLookupTableData", "SegmentedAlphaPaletteColorLookupTableData"),
)
SEQUENCES: Final = (
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"),
    *(
        "PlanePositionVolumeSequence",
        "PlaneOrientationVolumeSequence",
        "PlanePositionSlideSequence",
    ),
    *("FrameContentSequence", "FrameAnatomySequence", "PixelValueTransformationSequence"),
    *("FrameVOILUTSequence", "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence"),
    *(
        "FramePixelShiftSequence",
        "RealWorldValueMappingSequence",
        "PixelIntensityRelationshipLUTSequence",
    ),
    *("DimensionIndexSequence", "DimensionOrganizationSequence", "MRImageFrameTypeSequence"),
    *("MREchoSequence", "MRDiffusionSequence", "DiffusionGradientDirectionSequence"),
    *("DiffusionBMatrixSequence", "MRTimingAndRelatedParametersSequence", "MRModifierSequence"),
    *("MRAveragesSequence", "MRFOVGeometrySequence", "MRReceiveCoilSequence"),
    *("CardiacSynchronizationSequence", "TemporalPositionSequence", "CTImageFrameTypeSequence"),
    *("CTAcquisitionTypeSequence", "CTAcquisitionDetailsSequence", "CTTableDynamicsSequence"),
    *("CTPositionSequence", "CTGeometrySequence", "CTReconstructionSequence", "CTExposureSequence"),
    *("CTXRayDetailsSequence", "PETFrameTypeSequence", "PETFrameCorrectionFactorsSequence"),
    *("PETFrameAcquisitionSequence", "PETReconstructionSequence", "XRay3DFrameTypeSequence"),
    *("USImageDescriptionSequence", "SequenceOfUltrasoundRegions", "DetectorInformationSequence"),
    *(
        "EnergyWindowInformationSequence",
        "EnergyWindowRangeSequence",
        "RotationInformationSequence",
    ),
    *("RadiopharmaceuticalInformationSequence", "SegmentSequence", "SegmentIdentificationSequence"),
    *("ReferencedSeriesSequence", "ReferencedInstanceSequence"),
    "TotalPixelMatrixOriginSequence",
)
# Attributes that clients of DICOMweb expect in every answer, and that tell of the patient, of
# people or of days: given without a value (PS3.18 section F.2.5).
_EMPTY: Final = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName"),
    *("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription"),
    *("SeriesDescription",),
)
KEYWORDS: Final = tuple(
    dict.fromkeys((*FACTS, *_UIDS, *_IMAGE, *_ACQUISITION, *_FRAMES, *_TABLES, *SEQUENCES))
)


def tag_of(keyword: str) -> int:
    """KeyError if the standard has no such attribute."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


_TAGS: Final = {keyword: tag_of(keyword) for keyword in KEYWORDS}
_TEXTS: Final = ("AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UN", "UR", "UT")
# By tag, the value representation of PS3.6: "CS", or "US or SS" if the file decides. Never text.
ALLOWED: Final = {tag: vr for tag in _TAGS.values() if (vr := dictionary_VR(tag)) not in _TEXTS}
NAMES: Final = {keyword: f"{tag:08X}" for keyword, tag in _TAGS.items()}  # as JSON has them
EMPTY: Final = {tag_of(keyword): dictionary_VR(keyword) for keyword in _EMPTY}
