"""Nothing but the form of the spine tells who has a fracture: one number a scan never does, in any family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from phantom.anatomy import Anatomy, draw_patient
from phantom.families import BASE, FAMILIES, Family
from phantom.scanner.acquisition import draw_acquisition
from phantom.slabs import PhantomSlab, render_slab
from phantom.vertebrae.vertebra import Vertebra

MAX_AUC = 0.65
N_SLABS, N_PATIENTS = 320, 120
# As wide as a stored slab, so that the same bodies count as shown; five planes are enough for means and spreads.
SIZE = {"half_width_mm": 30.0, "slice_spacing_mm": 15.0, "pixel_mm": 1.6}


@dataclass(frozen=True)
class Case:
    """One scan: what was drawn, and what is seen."""

    patient: Anatomy
    slab: PhantomSlab

    @property
    def visible(self) -> list[float]:
        """Trabecular HU of the bodies shown whole."""
        return [body.trabecular_hu for body in self.slab.vertebrae if body.is_visible]


def auc(labels: list[bool], values: list[float]) -> float:
    """Area under the curve of a score, whichever way it points."""
    mask, scores = np.array(labels), np.asarray(values, float)
    share = mannwhitneyu(scores[mask], scores[~mask]).statistic / (mask.sum() * (~mask).sum())
    return float(max(share, 1 - share))


def counts(case: Case) -> bool:
    """Scans with a traumatic, pathological or treated body are classes of their own."""
    shown = [body for body in case.slab.vertebrae if body.is_visible]
    return not any(body.cause in ("traumatic", "pathological") or body.is_treated for body in shown)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Patients drawn as a hospital's are, but half of them with a fracture; every family in turn."""
    families = list(FAMILIES.values())
    found = []
    for seed in range(N_SLABS):
        family = BASE if seed % 2 else families[(seed // 4) % len(families)]
        patient = draw_patient(seed, has_fracture=seed % 4 < 2, family=family)
        found.append(Case(patient, render_slab(patient, seed=seed, **SIZE)))
    return [case for case in found if counts(case)]


def pixels(case: Case) -> np.ndarray:
    return case.slab.slab_xzy_hu[case.slab.slab_xzy_hu > -300]


SCORES: dict[str, Callable[[Case], float]] = {
    "mean density": lambda case: float(np.mean(case.visible)),
    "lowest density": lambda case: float(np.min(case.visible)),
    "highest density": lambda case: float(np.max(case.visible)),
    "spread of density": lambda case: float(np.std(case.visible)),
    "age": lambda case: case.patient.age_years,
    "sex": lambda case: float(case.patient.sex == "F"),
    "contrast": lambda case: float(case.patient.has_contrast),
    "coverage": lambda case: float(case.slab.coverage in ("chest", "chest-abdomen-pelvis")),
    "spine coverage": lambda case: float(case.slab.coverage == "spine"),
    "bodies shown": lambda case: float(len(case.visible)),
    "noise": lambda case: case.slab.acquisition.noise_hu,
    "measured noise": lambda case: float(np.std(np.diff(case.slab.slab_xzy_hu.astype(float), axis=2))),
    "thickness": lambda case: case.slab.acquisition.thickness_mm,
    "spacing": lambda case: case.slab.acquisition.spacing_mm,
    "pixel": lambda case: case.slab.acquisition.in_plane_mm,
    "tube voltage": lambda case: case.slab.acquisition.kvp,
    "kernel": lambda case: case.slab.acquisition.sharpen - case.slab.acquisition.blur,
    "field of view": lambda case: case.slab.acquisition.field_of_view_mm,
    "rows": lambda case: float(case.slab.slab_xzy_hu.shape[1]),
    "columns": lambda case: float(case.slab.slab_xzy_hu.shape[2]),
    "pixel mean": lambda case: float(case.slab.slab_xzy_hu.mean()),
    "pixel spread": lambda case: float(case.slab.slab_xzy_hu.std()),
    "mean of the patient": lambda case: float(pixels(case).mean()),
    "spread of the patient": lambda case: float(pixels(case).std()),
    "brightest hundredth": lambda case: float(np.quantile(pixels(case), 0.99)),
    "share of bone": lambda case: float((pixels(case) > 200).mean()),
    "width of the patient": lambda case: case.patient.body.lateral_extent_mm,
    "cortex": lambda case: case.patient.cortex_hu,
    "texture": lambda case: case.patient.texture_hu,
}


@pytest.mark.long
@pytest.mark.parametrize("score", SCORES)
def test_no_single_number_of_a_scan_gives_the_answer_away(cases: list[Case], score: str) -> None:
    labels = [case.slab.has_fracture for case in cases]
    assert min(sum(labels), len(labels) - sum(labels)) > 100
    assert auc(labels, [SCORES[score](case) for case in cases]) <= MAX_AUC


OF_A_PATIENT: dict[str, Callable[[Anatomy, list[Vertebra]], float]] = {
    "mean density": lambda _, shown: float(np.mean([body.trabecular_hu for body in shown])),
    "lowest density": lambda _, shown: float(np.min([body.trabecular_hu for body in shown])),
    "highest density": lambda _, shown: float(np.max([body.trabecular_hu for body in shown])),
    "age": lambda patient, _: patient.age_years,
    "sex": lambda patient, _: float(patient.sex == "F"),
    "contrast": lambda patient, _: float(patient.has_contrast),
    "coverage": lambda patient, _: float(patient.coverage == "chest"),
    "width": lambda patient, _: patient.body.lateral_extent_mm,
    "noise": lambda patient, _: scan_of(patient).noise_hu,
    "thickness": lambda patient, _: scan_of(patient).thickness_mm,
}


def scan_of(patient: Anatomy):  # type: ignore[no-untyped-def]
    return draw_acquisition(np.random.default_rng([patient.seed, 7]), patient.family.scanner)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, id=name, marks=() if family is BASE else pytest.mark.long)
        for name, family in FAMILIES.items()
    ],
)
def test_nothing_gives_the_answer_away_within_a_family(family: Family) -> None:
    patients = [draw_patient(seed, has_fracture=seed % 2 == 0, family=family) for seed in range(N_PATIENTS)]
    labels = [patient.has_fracture for patient in patients]
    for name, score in OF_A_PATIENT.items():
        values = [score(patient, list(patient.thoracolumbar)) for patient in patients]
        assert auc(labels, values) <= MAX_AUC, name


def test_a_score_that_looks_at_the_form_does_give_it_away() -> None:
    """Guards the tests above: the same measure sees a difference where there is one."""
    patients = [draw_patient(seed, has_fracture=seed % 2 == 0) for seed in range(60)]
    labels = [patient.has_fracture for patient in patients]
    losses = [max(body.loss for body in patient.thoracolumbar) for patient in patients]
    assert auc(labels, losses) > 0.9
