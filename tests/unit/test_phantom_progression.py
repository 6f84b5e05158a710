"""The same patient some years later."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy, draw_patient
from phantom.vertebrae.progression import later


def _fractured(patient: Anatomy) -> set[str]:
    return {v.level for v in patient.thoracolumbar if v.cause}


@pytest.mark.parametrize("had_fracture", [False, True])
def test_a_new_fracture_joins_the_old_ones_and_is_recent(had_fracture: bool) -> None:
    for seed in range(12):
        first = draw_patient(seed, has_fracture=had_fracture)
        second = later(first, 2.5, has_new_fracture=True)
        new = _fractured(second) - _fractured(first)
        assert _fractured(first) < _fractured(second)
        assert len(new) == 1
        assert new <= set(LEVELS_OF_COVERAGE[first.coverage])
        assert second.has_fracture
        assert {v.level for v in second.thoracolumbar if v.is_recent} == new
        for before, after in zip(first.thoracolumbar, second.thoracolumbar, strict=True):
            assert before.intact_mm == after.intact_mm
            assert before.level in new or np.allclose(before.heights_mm, after.heights_mm)


def test_nothing_new_leaves_the_same_person_but_older() -> None:
    first = draw_patient(8, has_fracture=True)
    second = later(first, 4.0, has_new_fracture=False)
    assert second.age_years == first.age_years + 4
    assert (second.seed, second.sex, second.texture_shift) == (first.seed, first.sex, first.texture_shift)
    assert _fractured(second) == _fractured(first)
    assert np.allclose(
        [b.centre_xyz_mm for b in second.vertebrae], [b.centre_xyz_mm for b in first.vertebrae]
    )
    older, younger = (np.mean([v.trabecular_hu for v in p.thoracolumbar]) for p in (second, first))
    assert younger - 4 * 3.5 < older < younger
    assert abs(second.body.lateral_extent_mm - first.body.lateral_extent_mm) < 15
    assert np.allclose(second.tissues.fat, first.tissues.fat)


def test_the_same_years_give_the_same_patient_and_may_be_taken_in_steps() -> None:
    first = draw_patient(21)
    assert later(first, 3.0) == later(first, 3.0)
    stepwise = later(later(first, 1.0, has_new_fracture=False), 2.0, has_new_fracture=False)
    assert stepwise.age_years == pytest.approx(first.age_years + 3)
    assert len({v.level for v in stepwise.thoracolumbar if v.cause} ^ _fractured(first)) == 0


def test_the_risk_is_higher_after_a_first_fracture() -> None:
    new = {False: 0, True: 0}
    for had in (False, True):
        for seed in range(40):
            first = draw_patient(seed, has_fracture=had)
            new[had] += len(_fractured(later(first, 5.0))) > len(_fractured(first))
    assert 0 < new[False] < new[True] < 34


def test_the_later_study_may_look_elsewhere() -> None:
    first = draw_patient(5, coverage="chest")
    second = later(first, 1.0, has_new_fracture=True, coverage="abdomen-pelvis", has_contrast=True)
    assert (second.coverage, second.has_contrast) == ("abdomen-pelvis", True)
    assert _fractured(second) - _fractured(first) <= set(LEVELS_OF_COVERAGE["abdomen-pelvis"])


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="negative"):
        later(draw_patient(1), -1.0)
