"""A CT series as one enhanced multi-frame object (PS3.3 A.38), geometry in its functional groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from phantom.dicom import (
    HEAD_FIRST_SUPINE,
    Point,
    apply_tags,
    base_header,
    decimal_string,
    describe_pixels,
    item_of,
    stored_pixels,
    write_object,
)
from phantom.files.dicom_bytes import make_uid, pixel_element

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SCAN_S = 6.0
_FRAME_TYPE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
# Elements of the classic object that the enhanced one keeps in its functional groups, or not at all.
_CLASSIC_ONLY = (
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "SliceThickness",
    "WindowCenter",
    "WindowWidth",
    "KVP",
    "ConvolutionKernel",
    "GantryDetectorTilt",
    "XRayTubeCurrent",
    "ExposureTime",
    "BodyPartExamined",
    "AcquisitionDate",
    "AcquisitionTime",
)


def write_enhanced(
    path: Path,
    volume_zyx_hu: npt.NDArray[np.int16],
    *,
    spacing_mm: Point,
    origin_xyz_mm: Point,
    step_xyz_mm: Point,
    tags: Mapping[str, Any],
    seed: object,
) -> Path:
    """Write all slices as frames of one object; signed HU, explicit VR, no private blocks."""
    ds = base_header(seed)
    describe_pixels(
        ds,
        shape=(volume_zyx_hu.shape[1], volume_zyx_hu.shape[2]),
        bits_stored=16,
        is_signed=True,
        slope=1,
        intercept=0,
        padding=None,
    )
    apply_tags(ds, tags)
    ds.AcquisitionDateTime = f"{ds.StudyDate}{ds.StudyTime}"
    ds.AcquisitionDuration = SCAN_S
    shared = _shared_groups(ds, spacing_mm)
    apply_tags(ds, dict.fromkeys(_CLASSIC_ONLY))
    ds.SOPClassUID, ds.SOPInstanceUID = ENHANCED_CT, make_uid(seed, "enhanced")
    _describe_object(ds, len(volume_zyx_hu), seed)
    ds.SharedFunctionalGroupsSequence = [shared]
    started = ds.AcquisitionDateTime
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_groups(k, [o + k * s for o, s in zip(origin_xyz_mm, step_xyz_mm, strict=True)], started)
        for k in range(len(volume_zyx_hu))
    ]
    values = stored_pixels(volume_zyx_hu, slope=1, intercept=0, is_signed=True, bits_stored=16)
    return write_object(path, ds, ExplicitVRLittleEndian, pixel_element(values, ExplicitVRLittleEndian, 16))


def _describe_object(ds: Dataset, n_frames: int, seed: object) -> None:
    """Image type, frames and dimensions of the object."""
    ds.ImageType, ds.PixelPresentation, ds.VolumetricProperties = list(_FRAME_TYPE), "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique, ds.ContentQualification = "NONE", "PRODUCT"
    ds.BurnedInAnnotation, ds.LossyImageCompression, ds.PresentationLUTShape = "NO", "00", "IDENTITY"
    ds.DeviceSerialNumber = ds.get("DeviceSerialNumber") or "00001"
    ds.NumberOfFrames, ds.InstanceNumber = n_frames, "1"
    organization = make_uid(seed, "dimensions")
    ds.DimensionOrganizationSequence = [item_of(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        item_of(
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=0x00209111,
            DimensionOrganizationUID=organization,
        )
        for pointer in (0x00209056, 0x00209057)  # StackID, InStackPositionNumber
    ]
    ds.AcquisitionContextSequence = []


def _shared_groups(ds: Dataset, spacing_mm: Point) -> Dataset:
    """What all frames share: pixels and anatomy here, the acquisition beside it."""
    spacing = [decimal_string(v) for v in spacing_mm[1:]]
    part = item_of(CodeValue="67734004", CodingSchemeDesignator="SCT", CodeMeaning="Upper trunk")
    groups = item_of(
        PixelMeasuresSequence=[item_of(SliceThickness=decimal_string(spacing_mm[0]), PixelSpacing=spacing)],
        PlaneOrientationSequence=[
            item_of(ImageOrientationPatient=[decimal_string(v) for v in HEAD_FIRST_SUPINE])
        ],
        PixelValueTransformationSequence=[item_of(RescaleIntercept="0", RescaleSlope="1", RescaleType="HU")],
        FrameVOILUTSequence=[item_of(WindowCenter="40", WindowWidth="400")],
        FrameAnatomySequence=[item_of(AnatomicRegionSequence=[part], FrameLaterality="U")],
        CTImageFrameTypeSequence=[
            item_of(
                FrameType=list(_FRAME_TYPE),
                PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
            )
        ],
        IrradiationEventIdentificationSequence=[
            item_of(IrradiationEventUID=make_uid(ds.SeriesInstanceUID, "irradiation"))
        ],
    )
    for one in (_acquisition_groups(ds), _reconstruction_groups(ds, spacing_mm)):
        groups.update(one)
    return groups


def _acquisition_groups(ds: Dataset) -> Dataset:
    """A spiral scan with plausible numbers."""
    return item_of(
        CTAcquisitionTypeSequence=[
            item_of(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
        ],
        CTAcquisitionDetailsSequence=[
            item_of(
                RotationDirection="CW",
                RevolutionTime=0.5,
                SingleCollimationWidth=0.6,
                TotalCollimationWidth=38.4,
                TableHeight=140.0,
                GantryDetectorTilt=0.0,
                DataCollectionDiameter=500.0,
            )
        ],
        CTTableDynamicsSequence=[item_of(TableSpeed=70.0, TableFeedPerRotation=35.0, SpiralPitchFactor=0.9)],
        CTGeometrySequence=[
            item_of(DistanceSourceToDetector=1085.6, DistanceSourceToDataCollectionCenter=595.0)
        ],
        CTExposureSequence=[
            item_of(
                ExposureTimeInms=500.0,
                XRayTubeCurrentInmA=200.0,
                ExposureInmAs=100.0,
                ExposureModulationType="ANGULAR",
                CTDIvol=8.0,
            )
        ],
        CTXRayDetailsSequence=[
            item_of(
                KVP=ds.get("KVP") or "120", FocalSpots=[1.2], FilterType="FLAT", FilterMaterial=["ALUMINUM"]
            )
        ],
    )


def _reconstruction_groups(ds: Dataset, spacing_mm: Point) -> Dataset:
    return item_of(
        CTPositionSequence=[
            item_of(
                TablePosition=0.0,
                DataCollectionCenterPatient=[0.0, 0.0, 0.0],
                ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
            )
        ],
        CTReconstructionSequence=[
            item_of(
                ReconstructionAlgorithm="FILTER_BACK_PROJ",
                ConvolutionKernel=ds.get("ConvolutionKernel") or "STANDARD",
                ConvolutionKernelGroup="BODY",
                ReconstructionDiameter=decimal_string(spacing_mm[2] * ds.Columns),
                ReconstructionPixelSpacing=[float(v) for v in spacing_mm[1:]],
                ReconstructionAngle=360.0,
                ImageFilter="NONE",
            )
        ],
    )


def _frame_groups(k: int, place: list[float], started: str) -> Dataset:
    position = [decimal_string(v) for v in place]
    return item_of(
        PlanePositionSequence=[item_of(ImagePositionPatient=position)],
        FrameContentSequence=[
            item_of(
                FrameAcquisitionNumber=1,
                FrameReferenceDateTime=started,
                FrameAcquisitionDateTime=started,
                FrameAcquisitionDuration=500.0,
                StackID="1",
                InStackPositionNumber=k + 1,
                DimensionIndexValues=[1, k + 1],
            )
        ],
    )
