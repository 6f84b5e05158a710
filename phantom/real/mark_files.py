"""Marks from whatever file holds them: a table of endplates, a NIfTI label map, or a DICOM segmentation."""

from __future__ import annotations

from pathlib import Path

from phantom.real.ct_series import RealDataError, RealSeries
from phantom.real.mark_fitting import fit_marks
from phantom.real.mask_marks import marks_of_labels, marks_of_masks
from phantom.real.nifti import is_nifti, read_nifti
from phantom.real.segmentations import is_segmentation, read_segmentation
from phantom.real.vertebra_marks import VertebraMark, checked_marks, read_box_marks


def read_marks(path: Path, series: RealSeries, *, scheme: str | None = None) -> tuple[VertebraMark, ...]:
    """The marked bodies of a series, head to foot. RealDataError says what is wrong with the file.

    Endplates of a table are moved to where the voxels show the disc (`mark_fitting.py`); masks are taken as they
    are, and bodies that the series does not show whole are left out. `scheme` names the numbering of a label map
    ("totalsegmentator" or "verse"); without it the labels tell.
    """
    if not path.is_file():
        raise RealDataError("no such file of marks")
    if path.suffix.lower() == ".csv":
        return fit_marks(series, read_box_marks(path, series))
    if is_nifti(path):
        marks = marks_of_labels(read_nifti(path), scheme)
    elif is_segmentation(path):
        marks = marks_of_masks(read_segmentation(path))
    else:
        raise RealDataError("marks are read from .csv, .nii, .nii.gz, or a DICOM segmentation")
    return checked_marks(_shown(marks, series), series)


def _shown(marks: tuple[VertebraMark, ...], series: RealSeries) -> tuple[VertebraMark, ...]:
    """Masks of a larger field: only bodies that lie in this series. RealDataError when none does."""
    shown: list[VertebraMark] = []
    for mark in marks:
        try:
            shown += checked_marks((mark,), series)
        except RealDataError:
            continue
    if not shown:
        raise RealDataError("all vertebrae of the masks lie outside the volume")
    return tuple(shown)
