"""A folder of slabs with dense truth, without volumes or DICOM files: `ovf demo DIR --slabs-only`.

slabs/NNNNNN.npz hold `slab_xzy_hu` (int16), `vertebra_label_xzy` (uint8: 0, or 1-17 for T1-L5), the coordinates
`x_mm`, `z_mm`, `y_mm` of slices, rows and columns, `pixel_mm`, `slice_spacing_mm` and `lateral_extent_mm`; no pickles.
truth.csv has a row for each slab, truth_vertebrae.csv one for each body.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phantom.anatomy import Anatomy, draw_patient
from phantom.families import BASE, Family
from phantom.gallery import (
    MOST_PICTURES,
    Selection,
    facts_of,
    picture_of,
    shown_kinds,
    write_gallery,
)
from phantom.slabs import PhantomSlab, render_slab
from phantom.truth import has_hardware
from phantom.vertebrae.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC

FRACTURE_SHARE = 0.35  # of patients; as in a simulated hospital
ARRAYS = (
    "slab_xzy_hu",
    "vertebra_label_xzy",
    "x_mm",
    "z_mm",
    "y_mm",
    "pixel_mm",
    "slice_spacing_mm",
    "lateral_extent_mm",
)
_ZIP_DATE = (2020, 1, 1, 0, 0, 0)  # the same seed gives the same bytes
_COMPRESSION = 1  # noise hardly compresses, labels always do


@dataclass(frozen=True)
class SlabSet:
    """What was written."""

    directory: Path
    n_slabs: int
    n_with_fracture: int
    n_bytes: int


def make_slabs(
    directory: Path,
    *,
    patients: int,
    seed: int,
    family: Family = BASE,
    pictures: int = MOST_PICTURES,
    progress: Callable[[int, int], None] | None = None,
) -> SlabSet:
    """Write slabs/, truth.csv, truth_vertebrae.csv and index.html into `directory`, by seed alone.

    Calls `progress(done, total)` after every slab. Raises FileExistsError when slabs are there already.
    """
    folder = directory / "slabs"
    folder.mkdir(parents=True)
    shown = Selection(pictures)
    truths: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    n_bytes = 0
    for index in range(patients):
        name = f"{index + 1:06d}"
        patient, slab = _draw(seed, index, family)
        n_bytes += write_slab(folder / f"{name}.npz", slab)
        truths.append(_truth_row(name, patient, slab))
        bodies += _body_rows(name, slab)
        if shown.wants(shown_kinds(slab)[0]):
            facts = facts_of(slab, age_years=patient.age_years, sex=patient.sex)
            shown.add(picture_of(slab, title=f"Slab {name}", family=family.name, facts=facts))
        if progress is not None:
            progress(index + 1, patients)
    _write_csv(directory / "truth.csv", truths)
    _write_csv(directory / "truth_vertebrae.csv", bodies)
    write_gallery(directory / "index.html", shown.pictures, title="Simulated slabs", n_total=patients)
    return SlabSet(directory, patients, sum(row["has_fracture"] for row in truths), n_bytes)


def _draw(seed: int, index: int, family: Family) -> tuple[Anatomy, PhantomSlab]:
    rng = np.random.default_rng([seed, index, 0x51AB5])
    patient_seed = int(rng.integers(2**31))
    patient = draw_patient(
        patient_seed, has_fracture=bool(rng.random() < FRACTURE_SHARE), family=family, other_causes=True
    )
    return patient, render_slab(patient, seed=index)


def write_slab(path: Path, slab: PhantomSlab) -> int:
    """Write one slab as .npz (readable with `allow_pickle=False`); returns its size in bytes."""
    with zipfile.ZipFile(path, "w") as bundle:
        for name in ARRAYS:
            out = io.BytesIO()
            np.lib.format.write_array(out, np.asarray(getattr(slab, name)), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE)
            bundle.writestr(entry, out.getvalue(), zipfile.ZIP_DEFLATED, _COMPRESSION)
    return path.stat().st_size


def _truth_row(name: str, patient: Anatomy, slab: PhantomSlab) -> dict[str, Any]:
    shown = [body for body in slab.vertebrae if body.is_visible]
    osteoporotic = [body for body in shown if body.cause == OSTEOPOROTIC]
    scan = slab.acquisition
    return {
        "slab": name,
        "family": patient.family.name,
        "patient_seed": patient.seed,
        "age_years": f"{patient.age_years:.1f}",
        "sex": patient.sex,
        "coverage": slab.coverage,
        "has_fracture": int(slab.has_fracture),
        "worst_grade": slab.worst_grade,
        "n_fractures": len(osteoporotic),
        "fractured_levels": " ".join(body.level for body in osteoporotic),
        "has_traumatic": int(any(body.cause == TRAUMATIC for body in shown)),
        "has_pathological": int(any(body.cause == PATHOLOGICAL for body in shown)),
        "has_hardware": int(any(has_hardware(body) for body in shown)),
        "imitators": " ".join(sorted({each for body in shown for each in body.imitators})),
        "disturbances": " ".join(sorted({each for body in shown for each in body.disturbances})),
        "first_level": shown[0].level if shown else "",
        "last_level": shown[-1].level if shown else "",
        "has_contrast": int(patient.has_contrast),
        "thickness_mm": scan.thickness_mm,
        "spacing_mm": f"{scan.spacing_mm:.3f}",
        "in_plane_mm": f"{scan.in_plane_mm:.3f}",
        "kvp": scan.kvp,
        "kernel": scan.kernel,
        "noise_hu": f"{scan.noise_hu:.1f}",
    }


def _body_rows(name: str, slab: PhantomSlab) -> list[dict[str, Any]]:
    return [
        {
            "slab": name,
            "level": body.level,
            "label": body.label,
            "grade": body.grade,
            "shape": body.shape,
            "cause": body.cause,
            "is_recent": int(body.is_recent),
            "is_treated": int(body.is_treated),
            "imitators": " ".join(body.imitators),
            "disturbances": " ".join(body.disturbances),
            "anterior_mm": f"{body.anterior_mm:.2f}",
            "middle_mm": f"{body.middle_mm:.2f}",
            "posterior_mm": f"{body.posterior_mm:.2f}",
            "intact_anterior_mm": f"{body.intact_mm[0]:.2f}",
            "intact_middle_mm": f"{body.intact_mm[1]:.2f}",
            "intact_posterior_mm": f"{body.intact_mm[2]:.2f}",
            "loss": f"{body.loss:.4f}",
            "trabecular_hu": f"{body.trabecular_hu:.1f}",
            "row_start": body.row_start,
            "row_stop": body.row_stop,
            "is_visible": int(body.is_visible),
        }
        for body in slab.vertebrae
    ]


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]) if listed else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
