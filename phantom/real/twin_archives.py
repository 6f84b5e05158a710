"""Twins and shams on disk: an archive of DICOM files, or slabs alone, and the truth beside them.

archive/NNNN/NNNNNN/IMnnnn (DICOM), or slabs/NNNNNN.npz as `slab_sets.py` writes them; truth.csv has a row for each
scan, truth_vertebrae.csv one for each marked body. Files and names are dealt out in a shuffled order, and each scan
is a study of a patient of its own: nothing outside the truth tells a twin from a sham.

Image Type stays ORIGINAL\\PRIMARY\\AXIAL, so that a sweep takes the series for what it is meant to be; that it was
made is said by DerivationDescription and Image Comments, in every scan with the same words.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phantom.dicom import write_ct_series
from phantom.files.dicom_bytes import make_uid
from phantom.from_real import Twin, make_twins
from phantom.real.ct_series import RealSeries
from phantom.real.vertebra_marks import VertebraMark
from phantom.slab_sets import write_slab
from phantom.truth import VertebraTruth

MADE_FROM = "Made from another scan: heights of vertebrae may have been changed. Not for diagnosis."
_SALT = 0x0DE4


@dataclass(frozen=True)
class TwinSet:
    """What was written."""

    directory: Path
    n_scans: int
    n_with_fracture: int
    n_bytes: int


def write_twins(
    directory: Path,
    series: RealSeries,
    marks: tuple[VertebraMark, ...],
    n: int,
    seed: int,
    *,
    slabs_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TwinSet:
    """Write `n` twins and their shams into `directory`, by seed alone. FileExistsError when they are there already."""
    folder = directory / ("slabs" if slabs_only else "archive")
    folder.mkdir(parents=True)
    numbers = np.random.default_rng([seed, _SALT]).permutation(2 * n) + 1
    rows: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    for done, twin in enumerate(make_twins(series, marks, n, seed, is_for_slabs=slabs_only)):
        number = int(numbers[done])
        name = f"{number:06d}"
        shown = _write_slab(folder, name, twin) if slabs_only else write_dicom(folder, number, twin)
        rows.append(_truth_row(name, twin, shown))
        bodies += [_body_row(name, twin, body) for body in shown]
        if progress is not None:
            progress(done + 1, 2 * n)
    _write_csv(directory / "truth.csv", sorted(rows, key=lambda row: row["scan"]))
    _write_csv(directory / "truth_vertebrae.csv", sorted(bodies, key=lambda row: row["scan"]))
    n_bytes = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return TwinSet(directory, 2 * n, sum(row["has_fracture"] for row in rows), n_bytes)


def _write_slab(folder: Path, name: str, twin: Twin) -> tuple[VertebraTruth, ...]:
    slab = twin.slab()
    write_slab(folder / f"{name}.npz", slab)
    return slab.vertebrae


def write_dicom(archive: Path, number: int, twin: Twin) -> tuple[VertebraTruth, ...]:
    """Write one twin or sham as a CT series of a patient of its own; returns the truth of its bodies."""
    seed = series_seed(number, twin)
    tags: dict[str, Any] = {
        "PatientName": f"TWIN^{number:06d}",
        "PatientID": f"T{number:06d}",
        "PatientBirthDate": None,
        "PatientSex": "",
        "PatientAge": None,
        "AccessionNumber": f"T{number:06d}",
        "StudyDescription": "CT",
        "SeriesDescription": "AXIAL",
        "ProtocolName": "",
        "BodyPartExamined": None,
        "DerivationDescription": MADE_FROM,
        "ImageComments": MADE_FROM,
        **twin.series.technical,
    }
    write_ct_series(
        archive / f"{number // 100:04d}" / f"{number:06d}",
        twin.series.volume_zyx_hu,
        spacing_mm=twin.series.spacing_mm,
        origin_xyz_mm=twin.series.origin_xyz_mm,
        step_xyz_mm=(0.0, 0.0, -twin.series.spacing_mm[0]),
        tags=tags,
        seed=seed,
    )
    return twin.vertebrae


def series_seed(number: int, twin: Twin) -> str:
    """What the UIDs of a written scan follow from."""
    return f"twin-{twin.seed}-{number}"


def _truth_row(name: str, twin: Twin, shown: tuple[VertebraTruth, ...]) -> dict[str, Any]:
    number = int(name)
    fractured = [body for body in shown if body.is_visible and body.grade]
    return {
        "scan": name,
        "patient_id": f"T{number:06d}",
        "accession_number": f"T{number:06d}",
        "study_instance_uid": make_uid(series_seed(number, twin), "study"),
        "series_instance_uid": make_uid(series_seed(number, twin), "series"),
        "pair": twin.pair,
        "kind": twin.kind,
        "seed": twin.seed,
        "has_fracture": int(bool(fractured)),
        "worst_grade": max((body.grade for body in fractured), default=0),
        "level": twin.level,
        "shape": twin.shape,
        "loss": f"{twin.loss:.4f}",
        "loss_of_pair": f"{twin.planned_loss:.4f}",
        "sinking_mm": f"{float(twin.field.sinking_at_mm(twin.field.site.mark.x_mm, twin.field.site.mark.y_mm)):.2f}",
        "gain_hu": f"{twin.gain_hu:.1f}",
    }


def _body_row(name: str, twin: Twin, body: VertebraTruth) -> dict[str, Any]:
    return {
        "scan": name,
        "level": body.level,
        "label": body.label,
        "grade": body.grade,
        "shape": body.shape,
        "cause": body.cause,
        "anterior_mm": f"{body.anterior_mm:.2f}",
        "middle_mm": f"{body.middle_mm:.2f}",
        "posterior_mm": f"{body.posterior_mm:.2f}",
        "scanned_anterior_mm": f"{body.intact_mm[0]:.2f}",
        "scanned_middle_mm": f"{body.intact_mm[1]:.2f}",
        "scanned_posterior_mm": f"{body.intact_mm[2]:.2f}",
        "loss": f"{body.loss:.4f}",
        "trabecular_hu": f"{body.trabecular_hu:.1f}",
        "row_start": body.row_start,
        "row_stop": body.row_stop,
        "is_visible": int(body.is_visible),
    }


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
