"""Corrections of a flagged share, against golden numbers: Lang-Reiczigel, prior shift, yield, Chapman."""

from __future__ import annotations

import pytest

from estimates.capture import chapman
from estimates.prior import prior_shift_logits, shifted_probability
from estimates.result import Refused
from estimates.rogan_gladen import Accuracy, AccuracySource, lang_reiczigel, rogan_gladen
from estimates.screening import screening_yield

EXTERNAL = AccuracySource.EXTERNAL_HUMAN_READ


def accuracy(tn: int = 46, n_healthy: int = 48) -> Accuracy:
    return Accuracy(69, 81, tn, n_healthy, EXTERNAL, "a set read by humans")


@pytest.mark.parametrize(
    ("flagged", "value", "low", "high"),
    [
        (300, -0.0144, -0.1349, 0.0399),
        (420, 0.0004, -0.1180, 0.0542),
        (600, 0.0226, -0.0927, 0.0758),
        (1000, 0.0720, -0.0366, 0.1239),
    ],
)
def test_lang_reiczigel_with_48_negatives(flagged: int, value: float, low: float, high: float) -> None:
    found = lang_reiczigel(flagged, 10_000, accuracy())
    assert (found.raw_value, found.raw_low, found.raw_high) == pytest.approx((value, low, high), abs=5e-5)
    assert 0 <= found.estimate.low <= found.estimate.value <= found.estimate.high <= 1
    assert "a set read by humans" in found.estimate.method


@pytest.mark.parametrize(
    ("n", "low", "high"), [(500, -0.0027, 0.0429), (2_000, 0.0105, 0.0352), (10_000, 0.0153, 0.0310)]
)
def test_more_negatives_narrow_it(n: int, low: float, high: float) -> None:
    found = lang_reiczigel(600, 10_000, accuracy(round(n * 46 / 48), n))
    assert (found.raw_low, found.raw_high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("source", [s for s in AccuracySource if s is not EXTERNAL])
def test_other_sources_are_refused(source: AccuracySource) -> None:
    with pytest.raises(Refused, match=f"accuracy from {source}"):
        Accuracy(69, 81, 46, 48, source, "somewhere")


def test_a_set_without_name_and_a_test_without_information_are_refused() -> None:
    with pytest.raises(Refused, match="needs a name"):
        Accuracy(69, 81, 46, 48, EXTERNAL, "  ")
    with pytest.raises(Refused, match="no information"):
        Accuracy(40, 80, 20, 40, EXTERNAL, "a coin")


def test_rogan_gladen_undoes_the_errors() -> None:
    # 10 % prevalence, Se 0.8, Sp 0.9: 0.08 + 0.09 are flagged
    known = Accuracy(80, 100, 90, 100, EXTERNAL, "known")
    assert rogan_gladen(1700, 10_000, known) == pytest.approx(0.1)


def test_prior_shift_from_the_training_set_to_two_percent() -> None:
    assert round(prior_shift_logits(713 / 1432, 0.02), 2) == -3.88
    assert shifted_probability([0.5], 713 / 1432, 0.02)[0] == pytest.approx(0.020, abs=5e-4)
    assert shifted_probability([0.0, 0.3, 1.0], 0.2, 0.2) == pytest.approx([0.0, 0.3, 1.0])
    with pytest.raises(ValueError, match="no logit"):
        prior_shift_logits(0.0, 0.02)


@pytest.mark.parametrize(
    ("prevalence", "flags", "ppv", "reads", "missed"),
    [
        (0.01, 498, 17.1, 5.8, 15),
        (0.02, 579, 29.4, 3.4, 30),
        (0.05, 822, 51.8, 1.9, 74),
        (0.10, 1227, 69.4, 1.4, 148),
        (0.20, 2037, 83.6, 1.2, 296),
    ],
)
def test_yield_of_screening(prevalence: float, flags: int, ppv: float, reads: float, missed: int) -> None:
    found = screening_yield(10_000, prevalence, 69 / 81, 46 / 48)
    assert (round(found.flags), round(found.missed)) == (flags, missed)
    assert (round(100 * found.ppv, 1), round(found.reads_per_case, 1)) == (ppv, reads)


def test_yield_of_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="predictive value"):
        screening_yield(100, 0.0, 0.8, 1.0)
    with pytest.raises(ValueError, match="not a share"):
        screening_yield(100, 1.2, 0.8, 1.0)


@pytest.mark.parametrize(("overlap", "cases"), [(54, 84.3), (56, 81.3), (58, 78.5), (60, 75.9)])
def test_chapman(overlap: int, cases: float) -> None:
    found = chapman(66, 69, overlap)
    assert round(found.value, 1) == cases
    assert found.low >= 66 + 69 - overlap  # never fewer than were seen


def test_chapman_with_dependent_lists_misses_the_truth() -> None:
    assert chapman(66, 69, 60).high < 81
    assert "floor" in chapman(66, 69, 60).method
    assert chapman(10, 8, 8).value == 10
    with pytest.raises(ValueError, match="overlap"):
        chapman(5, 6, 7)
