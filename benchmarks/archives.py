"""Archives to sweep: small but valid studies, each one scan that qualifies and nine series that do not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scans import LONG_AGO_NS, trunk
from phantom.dicom import write_ct_series
from phantom.files.dicom_bytes import make_uid

SERIES_A_STUDY = 10
N_SLICES = 80  # of 3 mm: 240 mm, the lower thoracic and lumbar spine
_EVERY = 3  # pixels of the 512² trunk: 171² of 2.5 mm; what is scored is resampled to 0.8 mm anyway


@dataclass(frozen=True)
class Side:
    """A series that selection leaves out: description, image type, number of images."""

    description: str
    image_type: tuple[str, ...]
    n_images: int


# What lies beside the scan in a study of a hospital archive.
SIDES = (
    Side("SCOUT", ("ORIGINAL", "PRIMARY", "LOCALIZER"), 2),
    Side("SCOUT LAT", ("ORIGINAL", "PRIMARY", "LOCALIZER"), 1),
    Side("DOSE REPORT", ("DERIVED", "SECONDARY", "SCREEN SAVE"), 1),
    Side("MIP COR", ("DERIVED", "SECONDARY", "MIP"), 4),
    Side("MIP AX", ("DERIVED", "SECONDARY", "MIP"), 4),
    Side("3D VR", ("DERIVED", "SECONDARY", "VOLUME RENDERING"), 2),
    Side("IODINE MAP", ("DERIVED", "SECONDARY", "AXIAL", "IODINE"), 3),
    Side("BOLUS TRACKING", ("ORIGINAL", "PRIMARY", "AXIAL"), 2),
    Side("SCREEN SAVE", ("DERIVED", "SECONDARY", "SCREEN SAVE"), 1),
)


def write_archive(folder: Path, n_studies: int, first: int = 0) -> int:
    """Write that many studies of SERIES_A_STUDY series each; returns the number of files."""
    scan = trunk()
    pixels = np.ascontiguousarray(scan.volume_zyx_hu[: 2 * N_SLICES : 2, ::_EVERY, ::_EVERY])
    spacing_mm = (2 * scan.spacing_mm[0], _EVERY * scan.spacing_mm[1], _EVERY * scan.spacing_mm[2])
    return sum(
        _write_study(folder / f"{number:05d}", number, pixels, spacing_mm, scan.origin_xyz_mm)
        for number in range(first, first + n_studies)
    )


def _write_study(
    folder: Path,
    number: int,
    pixels_zyx_hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
) -> int:
    tags: dict[str, Any] = {
        "PatientID": f"P{number:06d}",
        "AccessionNumber": f"A{number:06d}",
        "StudyInstanceUID": make_uid("benchmark study", number),
        "FrameOfReferenceUID": make_uid("benchmark frame", number),
        "SeriesDescription": "ABDOMEN 3 MM",
    }
    paths = write_ct_series(
        folder / "scan",
        pixels_zyx_hu,
        spacing_mm=spacing_mm,
        origin_xyz_mm=(origin_mm[0], origin_mm[1], 0.0),
        step_xyz_mm=(0.0, 0.0, -spacing_mm[0]),
        bits_stored=12,
        tags=tags,
        seed=f"benchmark {number}",
    )
    for index, side in enumerate(SIDES):
        own = {
            "SeriesDescription": side.description,
            "ImageType": list(side.image_type),
            "SeriesNumber": 100 + index,
        }
        paths += write_ct_series(
            folder / f"side-{index}",
            pixels_zyx_hu[: side.n_images, ::4, ::4],
            spacing_mm=spacing_mm,
            tags=tags | own,
            seed=f"benchmark {number} {index}",
        )
    for path in paths:
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return len(paths)
