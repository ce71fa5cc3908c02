"""Keywords of the attributes that viewers read (DICOM PS3.6), by tags as DICOM JSON writes them."""

from __future__ import annotations

from typing import Final

_TABLE: Final = """
00080005 SpecificCharacterSet  00080008 ImageType  00080016 SOPClassUID  00080018 SOPInstanceUID
00080020 StudyDate  00080021 SeriesDate  00080022 AcquisitionDate  00080023 ContentDate
0008002A AcquisitionDateTime  00080030 StudyTime  00080031 SeriesTime  00080032 AcquisitionTime
00080033 ContentTime  00080050 AccessionNumber  00080060 Modality
00080068 PresentationIntentType  00080070 Manufacturer  00081030 StudyDescription
0008103E SeriesDescription  00081090 ManufacturerModelName  00081115 ReferencedSeriesSequence
00081140 ReferencedImageSequence  0008114A ReferencedInstanceSequence
00081150 ReferencedSOPClassUID  00081155 ReferencedSOPInstanceUID
00081160 ReferencedFrameNumber  00082112 SourceImageSequence
00082144 RecommendedDisplayFrameRate  00083002 AvailableTransferSyntaxUID  00089007 FrameType
00089124 DerivationImageSequence  00100010 PatientName  00100020 PatientID
00100030 PatientBirthDate  00100040 PatientSex  00101010 PatientAge  00101020 PatientSize
00101030 PatientWeight  00180015 BodyPartExamined  00180020 ScanningSequence
00180024 SequenceName  00180040 CineRate  00180050 SliceThickness  00180060 KVP
00180080 RepetitionTime  00180081 EchoTime  00180082 InversionTime  00180086 EchoNumbers
00180087 MagneticFieldStrength  00180088 SpacingBetweenSlices  00181030 ProtocolName
00181060 TriggerTime  00181063 FrameTime  00181065 FrameTimeVector
00181072 RadiopharmaceuticalStartTime  00181074 RadionuclideTotalDose
00181075 RadionuclideHalfLife  00181076 RadionuclidePositronFraction
00181078 RadiopharmaceuticalStartDateTime  00181114 EstimatedRadiographicMagnificationFactor
00181150 ExposureTime  00181151 XRayTubeCurrent  00181152 Exposure  00181164 ImagerPixelSpacing
00181242 ActualFrameDuration  00181244 PreferredPlaybackSequencing  00181314 FlipAngle
00182010 NominalScannedPixelSpacing  00185100 PatientPosition  00185101 ViewPosition
00186011 SequenceOfUltrasoundRegions  00186012 RegionSpatialFormat  00186014 RegionDataType
00186016 RegionFlags  00186018 RegionLocationMinX0  0018601A RegionLocationMinY0
0018601C RegionLocationMaxX1  0018601E RegionLocationMaxY1  00186020 ReferencePixelX0
00186022 ReferencePixelY0  00186024 PhysicalUnitsXDirection  00186026 PhysicalUnitsYDirection
0018602C PhysicalDeltaX  0018602E PhysicalDeltaY  00189075 DiffusionDirectionality
00189076 DiffusionGradientDirectionSequence  00189082 EffectiveEchoTime
00189087 DiffusionBValue  00189089 DiffusionGradientOrientation  00189114 MREchoSequence
00189117 MRDiffusionSequence  00189226 MRImageFrameTypeSequence
00189329 CTImageFrameTypeSequence  0020000D StudyInstanceUID  0020000E SeriesInstanceUID
00200010 StudyID  00200011 SeriesNumber  00200012 AcquisitionNumber  00200013 InstanceNumber
00200020 PatientOrientation  00200032 ImagePositionPatient  00200037 ImageOrientationPatient
00200052 FrameOfReferenceUID  00200060 Laterality  00200062 ImageLaterality
00200100 TemporalPositionIdentifier  00200105 NumberOfTemporalPositions  00201041 SliceLocation
00209056 StackID  00209057 InStackPositionNumber  00209111 FrameContentSequence
00209113 PlanePositionSequence  00209116 PlaneOrientationSequence
00209128 TemporalPositionIndex  00209156 FrameAcquisitionNumber  00209157 DimensionIndexValues
00209164 DimensionOrganizationUID  00209165 DimensionIndexPointer
00209167 FunctionalGroupPointer  00209221 DimensionOrganizationSequence
00209222 DimensionIndexSequence  00209301 ImagePositionVolume  00209302 ImageOrientationVolume
0020930E PlanePositionVolumeSequence  0020930F PlaneOrientationVolumeSequence
00209311 DimensionOrganizationType  00280002 SamplesPerPixel  00280004 PhotometricInterpretation
00280006 PlanarConfiguration  00280008 NumberOfFrames  00280009 FrameIncrementPointer
00280010 Rows  00280011 Columns  00280030 PixelSpacing  00280034 PixelAspectRatio
00280051 CorrectedImage  00280100 BitsAllocated  00280101 BitsStored  00280102 HighBit
00280103 PixelRepresentation  00280106 SmallestImagePixelValue  00280107 LargestImagePixelValue
00280120 PixelPaddingValue  00280121 PixelPaddingRangeLimit  00280301 BurnedInAnnotation
00280A02 PixelSpacingCalibrationType  00281050 WindowCenter  00281051 WindowWidth
00281052 RescaleIntercept  00281053 RescaleSlope  00281054 RescaleType  00281056 VOILUTFunction
00282110 LossyImageCompression  00282112 LossyImageCompressionRatio
00282114 LossyImageCompressionMethod  00289110 PixelMeasuresSequence
00289132 FrameVOILUTSequence  00289145 PixelValueTransformationSequence
0040072A XOffsetInSlideCoordinateSystem  0040073A YOffsetInSlideCoordinateSystem
00480001 ImagedVolumeWidth  00480002 ImagedVolumeHeight  00480006 TotalPixelMatrixColumns
00480007 TotalPixelMatrixRows  00480008 TotalPixelMatrixOriginSequence
00480102 ImageOrientationSlide  0048021A PlanePositionSlideSequence
0048021E ColumnPositionInTotalImagePixelMatrix  0048021F RowPositionInTotalImagePixelMatrix
00540016 RadiopharmaceuticalInformationSequence  00540081 NumberOfSlices
00540101 NumberOfTimeSlices  00541000 SeriesType  00541001 Units  00541002 CountsSource
00541006 SUVType  00541102 DecayCorrection  00541300 FrameReferenceTime  00541321 DecayFactor
00541330 ImageIndex  00620001 SegmentationType  00620002 SegmentSequence  00620004 SegmentNumber
00620005 SegmentLabel  00620008 SegmentAlgorithmType  0062000A SegmentIdentificationSequence
0062000B ReferencedSegmentNumber  0062000D RecommendedDisplayCIELabValue
0062000E MaximumFractionalValue  00620010 SegmentationFractionalType
20500020 PresentationLUTShape  52009229 SharedFunctionalGroupsSequence
52009230 PerFrameFunctionalGroupsSequence
"""
_WORDS: Final = _TABLE.split()
#: ``00280010``: ``Rows``.
KEYWORDS: Final = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
