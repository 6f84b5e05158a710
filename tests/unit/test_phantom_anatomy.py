"""Patients are drawn by seed, and nothing but the spine's form tells who has a fracture."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy, draw_patient
from phantom.slabs import render_slab

MAX_AUC = 0.65


@pytest.fixture(scope="module")
def patients() -> list[Anatomy]:
    return [draw_patient(seed, has_fracture=seed % 2 == 0) for seed in range(360)]


def _auc(patients: list[Anatomy], values: list[float]) -> float:
    labels = np.array([p.has_fracture for p in patients])
    scores = np.asarray(values)
    statistic = mannwhitneyu(scores[labels], scores[~labels]).statistic
    share = statistic / (labels.sum() * (~labels).sum())
    return float(max(share, 1 - share))


def test_the_same_seed_gives_the_same_patient_and_slab() -> None:
    assert draw_patient(5) == draw_patient(5)
    assert draw_patient(5) != draw_patient(6)
    first, again = (render_slab(draw_patient(5), seed=9, pixel_mm=1.6) for _ in range(2))
    assert np.array_equal(first.slab_xzy_hu, again.slab_xzy_hu)
    other = render_slab(draw_patient(5), seed=10, pixel_mm=1.6)
    assert first.acquisition != other.acquisition


def test_age_density_and_contrast_do_not_give_the_answer_away(patients: list[Anatomy]) -> None:
    mean_hu = [float(np.mean([v.trabecular_hu for v in p.thoracolumbar])) for p in patients]
    low_hu = [float(np.min([v.trabecular_hu for v in p.thoracolumbar])) for p in patients]
    assert _auc(patients, mean_hu) <= MAX_AUC
    assert _auc(patients, low_hu) <= MAX_AUC
    assert _auc(patients, [p.age_years for p in patients]) <= MAX_AUC
    assert _auc(patients, [float(p.has_contrast) for p in patients]) <= MAX_AUC
    assert _auc(patients, [float(p.has_imitator) for p in patients]) <= MAX_AUC
    assert _auc(patients, [p.body.lateral_extent_mm for p in patients]) <= MAX_AUC


def test_a_third_of_the_negatives_imitate_a_fracture(patients: list[Anatomy]) -> None:
    negatives = [p for p in patients if not p.has_fracture]
    assert np.mean([p.has_imitator for p in negatives]) >= 0.3
    losses = [max(v.loss for v in p.thoracolumbar) for p in negatives]
    assert np.mean(np.asarray(losses) > 0.08) >= 0.2


def test_worst_grades_are_drawn_as_asked(patients: list[Anatomy]) -> None:
    worst = [max(v.grade for v in p.thoracolumbar) for p in patients if p.has_fracture]
    shares = [np.mean(np.asarray(worst) == g) for g in (1, 2, 3)]
    assert np.allclose(shares, (0.49, 0.33, 0.18), atol=0.12)


def test_the_worst_fracture_lies_in_the_coverage(patients: list[Anatomy]) -> None:
    for patient in patients:
        if patient.has_fracture:
            worst = max(patient.thoracolumbar, key=lambda v: v.grade)
            shown = [v for v in patient.thoracolumbar if v.level in LEVELS_OF_COVERAGE[patient.coverage]]
            assert max(v.grade for v in shown) == worst.grade


def test_a_fractured_column_is_lower() -> None:
    rng = np.random.default_rng(0)
    gaps = []
    for seed in rng.integers(0, 10**6, 6).tolist():
        patient = draw_patient(seed, has_fracture=True)
        height = patient.vertebra("T1").centre_xyz_mm[2] - patient.vertebra("L5").centre_xyz_mm[2]
        lost = sum(v.intact_mm[1] - v.heights_mm[1] for v in patient.thoracolumbar)
        gaps.append((height, lost))
    assert all(lost > 1.5 and 280 < height < 480 for height, lost in gaps)
