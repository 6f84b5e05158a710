"""A real scan from whatever holds it: a folder of DICOM files, a NIfTI file, or one sagittal DICOM image."""

from __future__ import annotations

from pathlib import Path

from phantom.real.ct_series import RealSeries, read_ct_series, read_sagittal_image
from phantom.real.nifti import is_nifti, read_ct_volume


def read_real_scan(path: Path) -> RealSeries:
    """The scan at a path. RealDataError when there is none that twins can be made of."""
    if path.is_dir() or not path.exists():  # which says what to name
        return read_ct_series(path)
    return read_ct_volume(path) if is_nifti(path) else read_sagittal_image(path)
