"""CT series to measure on: one simulated scan in several transfer syntaxes, with headers as long as a scanner's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1

from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.scanner.acquisition import Acquisition
from phantom.volume import PhantomVolume, render_volume

N_SLICES, COLUMNS = 300, 512
SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "JPEG 2000 lossless": JPEG2000Lossless,
    "JPEG lossless": JPEGLosslessSV1,
}
# A clinical scan of the trunk: 1.5 mm slices of a soft kernel, with the noise that decides how well it compresses.
_SCAN = Acquisition(
    thickness_mm=1.5,
    spacing_mm=1.5,
    in_plane_mm=0.8,
    noise_hu=12.0,
    noise_kinds=("plain", "coarse"),
    noise_mix=0.5,
)
LONG_AGO_NS = 1_600_000_000 * 10**9  # files written a moment ago would be waited for


@dataclass(frozen=True)
class Series:
    """Files of one series, from head to foot."""

    paths: tuple[Path, ...]


@cache
def trunk() -> PhantomVolume:
    """A simulated trunk, 512 × 512 × 300 or a little more (takes some ten seconds)."""
    patient = draw_patient(17, has_fracture=True)
    return render_volume(patient, columns=COLUMNS, coverage="chest-abdomen-pelvis", acquisition=_SCAN)


def write_trunk(folder: Path, syntax: str) -> Series:
    """300 slices of 512², 12 bits stored in 16, written in one of SYNTAXES."""
    scan = trunk()
    return _write(folder, scan.volume_zyx_hu[:N_SLICES], scan, SYNTAXES[syntax], seed=syntax)


def write_headers(folder: Path, n_files: int, side: int = 64) -> list[Path]:
    """Series of 100 small images each, with long headers: to measure the crawl."""
    scan = trunk()
    pixels = scan.volume_zyx_hu[:100, ::8, ::8][:, :side, :side]
    return [
        path
        for number in range(n_files // 100)
        for path in _write(folder / f"{number:03d}", pixels, scan, ExplicitVRLittleEndian, seed=number).paths
    ]


def _write(
    folder: Path, volume_zyx_hu: NDArray[np.int16], scan: PhantomVolume, syntax: str, seed: object
) -> Series:
    z_mm, _, pixel_mm = scan.spacing_mm
    pixel_mm *= COLUMNS / volume_zyx_hu.shape[2]
    x_mm, y_mm, _ = scan.origin_xyz_mm
    paths = write_ct_series(
        folder,
        volume_zyx_hu,
        spacing_mm=(z_mm, pixel_mm, pixel_mm),
        origin_xyz_mm=(x_mm, y_mm, 0.0),
        step_xyz_mm=(0.0, 0.0, -z_mm),
        transfer_syntax=syntax,
        bits_stored=12,
        tags=_scanner_tags(),
        seed=f"benchmark {seed}",
    )
    for path in paths:
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return Series(tuple(paths))


def _scanner_tags() -> dict[str, object]:
    """What a scanner writes beyond what is read: real CT headers have 96 to 220 elements, 3 to 125 of them private.

    With these a header has about 100.
    """
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "CTCHABP",
        "LOCAL",
        "CT chest abdomen pelvis",
    )
    return {
        "InstitutionName": "Simulated Hospital",
        "InstitutionAddress": "1 Phantom Street",
        "InstitutionalDepartmentName": "Radiology",
        "StationName": "CT01",
        "ProcedureCodeSequence": [code],
        "RequestedProcedureCodeSequence": [code],
        "RequestedProcedureDescription": "CT chest abdomen pelvis",
        "OperatorsName": "OPERATOR",
        "DeviceSerialNumber": "123456",
        "ScanOptions": "HELICAL MODE",
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": "380",
        "DistanceSourceToDetector": "949.1",
        "DistanceSourceToPatient": "541",
        "TableHeight": "155.5",
        "RotationDirection": "CW",
        "FilterType": "BODY FILTER",
        "GeneratorPower": "42000",
        "FocalSpots": "1.2",
        "SingleCollimationWidth": 0.625,
        "TotalCollimationWidth": 40.0,
        "TableSpeed": 78.75,
        "TableFeedPerRotation": 39.375,
        "SpiralPitchFactor": 0.984375,
        "ExposureModulationType": "NONE",
        "EstimatedDoseSaving": 0.0,
        "CTDIvol": 9.8,
        "PerformedProcedureStepStartDate": "20220314",
        "PerformedProcedureStepStartTime": "101500",
        "PerformedProcedureStepID": "PPS1",
        "PerformedProcedureStepDescription": "CT chest abdomen pelvis",
        "ContrastBolusAgent": "IODINE",
        "ContrastBolusRoute": "IV",
        "PatientSize": "1.66",
        "PatientWeight": "71",
        "AdditionalPatientHistory": "none",
        "TriggerTime": "0",
        "ImageComments": "simulated",
        "WindowCenterWidthExplanation": "SOFT TISSUE",
        "LargestImagePixelValue": 3000,
        "SmallestImagePixelValue": 0,
    }
