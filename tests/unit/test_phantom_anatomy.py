"""Patients are drawn by seed, and nothing but the spine's form tells who has a fracture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy, draw_patient
from phantom.families import BASE
from phantom.slabs import render_slab
from phantom.vertebrae.fractures import fracture
from phantom.vertebrae.spine import draw_intact, stack
from phantom.vertebrae.vertebra import RIM, Vertebra

MAX_AUC = 0.65


@pytest.fixture(scope="module")
def patients() -> list[Anatomy]:
    return [draw_patient(seed, has_fracture=seed % 2 == 0) for seed in range(400)]


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


def _bodies(patient: Anatomy) -> list[Vertebra]:
    return list(patient.thoracolumbar)


GIVEAWAYS: dict[str, Callable[[Anatomy], float]] = {
    "mean density": lambda p: float(np.mean([v.trabecular_hu for v in _bodies(p)])),
    "least density": lambda p: float(np.min([v.trabecular_hu for v in _bodies(p)])),
    "spread of density": lambda p: float(np.std([v.trabecular_hu for v in _bodies(p)])),
    "strongest band": lambda p: float(np.max([v.band_hu for v in _bodies(p)])),
    "age": lambda p: p.age_years,
    "sex": lambda p: float(p.sex == "F"),
    "contrast": lambda p: float(p.has_contrast),
    "struts": lambda p: p.striation,
    "shell": lambda p: p.cortex_hu * p.cortex_mm,
    "imitators": lambda p: float(p.has_imitator),
    "kinds of imitators": lambda p: float(len({n for v in _bodies(p) for n in v.imitators})),
    "what disturbs": lambda p: float(sum(len(v.disturbances) for v in _bodies(p))),
    "metal": lambda p: float(len(p.metal)),
    "lips": lambda p: float(np.mean([v.lip_mm for v in _bodies(p)])),
    "discs": lambda p: float(np.mean([v.disc_mm for v in _bodies(p)])),
    "pits": lambda p: float(sum(len(v.nodes) for v in _bodies(p))),
    "curve": lambda p: float(np.ptp([v.centre_xyz_mm[0] for v in _bodies(p)])),
    "width of the body": lambda p: p.body.lateral_extent_mm,
}


@pytest.mark.parametrize("name", GIVEAWAYS)
def test_nothing_but_form_gives_the_answer_away(name: str, patients: list[Anatomy]) -> None:
    assert _auc(patients, [GIVEAWAYS[name](p) for p in patients]) <= MAX_AUC


def test_a_third_of_both_classes_imitate_a_fracture(patients: list[Anatomy]) -> None:
    for label in (False, True):
        assert np.mean([p.has_imitator for p in patients if p.has_fracture == label]) >= 0.3
    negatives = [p for p in patients if not p.has_fracture]
    losses = [max(v.loss for v in p.thoracolumbar) for p in negatives]
    assert np.mean(np.asarray(losses) > 0.08) >= 0.2


def test_recent_fractures_are_as_common_in_every_grade(patients: list[Anatomy]) -> None:
    broken = [v for p in patients for v in p.thoracolumbar if v.cause]
    assert all(v.cause == "osteoporotic" for v in broken)
    shares = [np.mean([v.is_recent for v in broken if v.grade == g]) for g in (1, 2, 3)]
    assert np.allclose(shares, 0.3, atol=0.17)
    assert np.ptp(shares) < 0.25


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
    whole = draw_intact(np.random.default_rng(4), BASE.spine, is_female=True, age_years=70)
    level, none = np.zeros(len(whole)), np.zeros(len(whole))
    low = [
        fracture(np.random.default_rng(5), b, 3, BASE.fracture, shape="crush") if b.level == "L1" else b
        for b in whole
    ]
    top, lower_top = (stack(b, level, none)[0].centre_xyz_mm[2] for b in (whole, low))
    lost = max(whole[low.index(b)].heights_mm[0] - b.heights_mm[0] for b in low if b.level == "L1")
    assert lost > 8
    assert 0.6 * lost < top - lower_top < 1.6 * lost


def test_a_wedge_bends_the_column_forward() -> None:
    whole = draw_intact(np.random.default_rng(4), BASE.spine, is_female=False, age_years=60)
    none = np.zeros(len(whole))
    bent = [
        fracture(np.random.default_rng(6), b, 3, BASE.fracture, shape="wedge") if b.level == "T12" else b
        for b in whole
    ]
    upright, tilted = (stack(b, none, none)[0].theta_rad for b in (whole, bent))
    assert upright - tilted > np.radians(5) or tilted - upright < -np.radians(5)


def test_facing_endplates_never_meet(patients: list[Anatomy]) -> None:
    for patient in patients[:60]:
        for above, below in pairwise(patient.vertebrae):
            axis = np.asarray(above.axes[2])
            for k, share in enumerate((-RIM, 0.0, RIM)):
                top = below.to_patient(0, share * below.half_depth_mm, below.upper_mm[k])
                gap = above.lower_mm[k] - float(axis @ np.subtract(top, above.centre_xyz_mm))
                assert gap > 0.9, (above.level, k)


@pytest.fixture(scope="module")
def drawn() -> list[Anatomy]:
    return [draw_patient(seed) for seed in range(220)]


def test_causes_other_than_osteoporosis_only_where_asked_for(
    drawn: list[Anatomy], patients: list[Anatomy]
) -> None:
    assert any(p.has_other_fracture for p in drawn)
    for patient in drawn:
        causes = {v.cause for v in patient.thoracolumbar}
        assert ("osteoporotic" in causes) == patient.has_fracture
    assert not any(p.has_other_fracture for p in patients)  # these were asked for by their label


def test_columns_are_curved_and_counted_in_many_ways(drawn: list[Anatomy]) -> None:
    reach = np.array([max(abs(v.centre_xyz_mm[0]) for v in p.thoracolumbar) for p in drawn])
    assert 0.01 < np.mean(reach > 20) < 0.2
    assert {p.rib_pairs for p in drawn} == {11, 12, 13}
    assert {p.transitional for p in drawn} == {"", "sacralised_l5", "lumbarised_s1"}
    assert all(len(p.thoracolumbar) == 17 for p in drawn)
