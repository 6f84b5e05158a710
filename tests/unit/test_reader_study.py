"""The published table as an evaluation prints it, readers side by side, groups, and what may leave the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from estimates.evaluation import Counts
from estimates.reader_study import AS_WRONG, LSTM, READERS, REPORTS, ReadScan, domain_rows, read_study
from estimates.reader_study_suppression import suppressed_domain, suppressed_study
from reports.evaluation_tables import headline_rows

# Mao 2025, as checked: TP, FN, FP, TN of the five readers of the same 129 scans.
PUBLISHED: Mapping[str, tuple[int, int, int, int]] = {
    "reports": (66, 15, 0, 48),
    "max": (71, 10, 14, 34),
    "mean": (68, 13, 3, 45),
    "vote": (68, 13, 2, 46),
    "LSTM": (69, 12, 2, 46),
}


def published_scans() -> list[ReadScan]:
    """81 cases and 48 controls that give those counts (which reader errs where is not published: any will do)."""
    scans = []
    for place in range(129):
        is_case = place < 81
        number = place if is_case else place - 81
        said = {}
        for reader, (tp, _, fp, _) in PUBLISHED.items():
            said[reader] = number < (tp if is_case else fp)
        scans.append(ReadScan(f"s{place}", f"p{place}", is_case, True, None, said, {LSTM: float(said[LSTM])}))
    return scans


def test_the_published_table_and_its_right_intervals() -> None:
    study = read_study(published_scans(), ())
    assert [row.reader for row in study.readers] == list(READERS)
    for row in study.readers:
        assert (row.counts.tp, row.counts.fn, row.counts.fp, row.counts.tn) == PUBLISHED[row.reader]
    lstm = study.readers[-1].table
    values = (lstm.accuracy, lstm.precision, lstm.recall, lstm.specificity, lstm.f1)
    assert [100 * m.value for m in values if m] == pytest.approx((89.1, 97.2, 85.2, 95.8, 90.8), abs=0.1)
    limits = [100 * x for m in values[1:4] if m for x in (m.low, m.high)]
    assert limits == pytest.approx((90.2, 99.7, 75.6, 92.1, 85.7, 99.5), abs=0.1)
    assert [m.denominator for m in values[:4] if m] == [129, 71, 81, 48]
    against_reports = next(pair for pair in study.pairs if pair.second == REPORTS)
    assert against_reports.test.p_value > 0.3  # never significant, whatever the arrangement


def test_what_was_not_scored_stands_apart_and_counts_as_wrong_too() -> None:
    lost = [
        ReadScan("s-lost-1", "p-lost-1", True, True, "not_evaluable:fov"),
        ReadScan("s-lost-2", "p-lost-2", False, True, "decode"),
        ReadScan("s-out", "p-out", False, False, "localizer"),
    ]
    study = read_study([*published_scans(), *lost], ())
    assert study.n_not_scored == {"decode": (0, 1), "localizer": (0, 1), "not_evaluable:fov": (1, 0)}
    as_wrong = study.readers[-1]
    assert as_wrong.reader == AS_WRONG
    assert as_wrong.counts == Counts(69, 13, 3, 46)  # the localizer was never to be scored


def test_an_area_that_is_not_given_has_its_true_reason() -> None:
    """Patients are drawn anew where one has two scans, which takes more of each class; one class alone has no area."""
    scans = [
        ReadScan(f"s{n}", f"p{min(n, 38)}", n < 4, True, None, {LSTM: n < 4}, {LSTM: 1 - n / 40})
        for n in range(40)
    ]
    assert (
        headline_rows(read_study(scans, ()))[0][2] == "Not given: too few patients of one class for limits."
    )
    sound = [replace(scan, is_case=False) for scan in scans]
    assert headline_rows(read_study(sound, ()))[0][2] == "Not given: both cases and others are needed."


def test_what_nobody_has_looked_at_is_no_error() -> None:
    lost = ReadScan("s-lost", "p-lost", True, True, "decode")
    waiting = [
        ReadScan(f"s-wait-{n}", f"p-wait-{n}", n % 2 == 0, True, "pending", is_open=True) for n in range(40)
    ]
    study = read_study([*published_scans(), lost, *waiting], ())
    assert study.readers[-1].reader == AS_WRONG
    assert study.readers[-1].counts == Counts(69, 13, 2, 46)
    assert "130 scans that were looked at" in study.readers[-1].table.accuracy.given
    assert (study.n_open, study.n_scans) == (40, 170)
    assert study.n_not_scored["pending"] == (20, 20)
    assert suppressed_study(study).n_open == 40
    without = read_study([*published_scans(), *waiting[:3]], ())
    assert [row.reader for row in without.readers] == list(READERS)
    assert (without.n_open, suppressed_study(without).n_open) == (3, None)


def test_what_is_open_gives_no_reason_away() -> None:
    """How many count as wrong is shown, so 3 pending and 20 without a slab must not be told apart by the rest."""
    reasons = {"pending": 3, "slab_not_kept": 20, "decode": 7}
    lost = [
        ReadScan(f"s-{why}-{n}", f"p-{why}-{n}", False, True, why, is_open=why != "decode")
        for why, how_many in reasons.items()
        for n in range(how_many)
    ]
    study = read_study([*published_scans(), *lost], ())
    assert study.open_reasons == {"pending", "slab_not_kept"}
    shown = suppressed_study(study)
    assert (shown.n_not_scored, shown.has_hidden_reasons) == ({"decode": (0, 7)}, True)


def grouped(n: int, seed: int = 1) -> list[ReadScan]:
    chance = Random(seed)
    scans = []
    for place in range(n):
        is_case = chance.random() < 0.5
        score = chance.gauss(1.2 if is_case else 0, 1)
        said = {LSTM: score > 0.6}
        groups = {"sex": chance.choice("FFFM"), "vendor": chance.choice(["A", "B", "B", "C"])}
        loss = 0.3 if is_case else 0.07
        scans.append(
            ReadScan(
                f"s{place}", f"p{place}", is_case, True, None, said, {LSTM: score}, groups, 2 * is_case, loss
            )
        )
    return scans


DIMENSIONS = ("sex", "vendor", "grade", "height loss")


def test_groups_add_up_to_everybody() -> None:
    study = read_study(grouped(300), DIMENSIONS)
    whole = next(row.counts for row in study.readers if row.reader == LSTM)
    for dimension in DIMENSIONS:
        rows = [row for row in study.groups if row.dimension == dimension]
        assert sum(row.tp or 0 for row in rows) == whole.tp
        assert sum(row.n_controls or 0 for row in rows) == whole.fp + whole.tn
    assert [row.category for row in study.groups if row.dimension == "height loss"] == ["5-9 %", "30-34 %"]


def test_a_hidden_count_cannot_be_worked_out() -> None:
    """All whole-number tables that agree with what is shown: each hidden count of 1 to 4 has at least two answers."""
    scans = grouped(300)
    few = [
        replace(scan, groups={"sex": "F", "vendor": "D" if place < 3 else "A"})
        for place, scan in enumerate(scans)
    ]
    study = read_study(few, ("sex", "vendor"))
    shown = suppressed_study(study)
    small = next(row for row in shown.groups if row.category == "D")
    assert (small.tp, small.fn, small.recall) == (None, None, None)
    other = next(row for row in shown.groups if row.category == "A")
    total = next(row for row in study.groups if row.category == "F")
    for name in ("n_cases", "n_controls"):
        mine, its = getattr(small, name), getattr(other, name)
        assert mine is None or mine == 0 or mine >= 5
        if mine is None:  # then the other one is hidden too, or everybody's number would give it away
            assert its is None, (name, getattr(total, name))


def test_small_errors_of_the_whole_set_hide_those_of_all_groups() -> None:
    study = read_study(
        [replace(scan, groups={"sex": "FM"[place % 2]}) for place, scan in enumerate(published_scans())],
        ("sex",),
    )
    shown = suppressed_study(study)
    assert all((row.fp, row.specificity, row.area) == (None, None, None) for row in shown.groups)
    assert [row.n_cases for row in shown.groups] == [row.n_cases for row in study.groups]
    assert shown.readers == study.readers


def test_repeated_patients_are_resampled_as_one() -> None:
    scans = grouped(120)
    twice = [*scans, *(replace(scan, study_key=scan.study_key + "b") for scan in scans)]
    study = read_study(twice, ())
    row = study.readers[0]
    assert row.area is not None
    assert row.table.recall is not None
    assert "patients" in row.area.method
    assert "patients" in row.table.recall.method
    assert study.n_patients == 120
    single = read_study(scans, ()).readers[0]
    assert single.area is not None
    assert np.isclose(row.area.high - row.area.low, single.area.high - single.area.low, rtol=0.3)


def distances(scanner: str, n: int, n_beyond: int) -> list[ReadScan]:
    """Scans of one scanner, the last ones beyond a limit of 2."""
    return [
        ReadScan(
            f"{scanner}-{place}",
            f"{scanner}-{place}",
            False,
            True,
            None,
            scanner=scanner,
            domain_distance=1.0 + place / 1000 + 2 * (place >= n - n_beyond),
        )
        for place in range(n)
    ]


def test_the_domain_shows_no_single_patient() -> None:
    scans = [
        *distances("A", 20, 3),
        *distances("B", 200, 30),
        *distances("C", 60, 58),
        *distances("D", 40, 0),
    ]
    scans += distances("E", 90, 12)
    whole = {row.scanner: row for row in domain_rows(scans, 2.0, 5)}
    assert [whole[name].n_beyond for name in "ABCDE"] == [3, 30, 58, 0, 12]
    shown = {row.scanner: row for row in suppressed_domain(tuple(whole.values()))}
    # of C two lie within; E is the smallest that keeps the three of A from being worked out
    assert [shown[name].n_beyond for name in "ABCDE"] == [None, 30, None, 0, None]
    assert [shown[name].n_scans for name in "ABCDE"] == [20, 200, 60, 40, 90]
    farthest = max(scan.domain_distance or 0 for scan in scans if scan.scanner == "B")
    high = shown["B"].high
    assert high is not None
    assert high < farthest
    assert sum((scan.domain_distance or 0) > high for scan in scans if scan.scanner == "B") >= 5
    assert [shown[name].high for name in "ACDE"] == [None] * 4


def test_one_hidden_number_beyond_the_limit_takes_another_with_it() -> None:
    """How many lie beyond in all stands among the reasons."""
    rows = domain_rows(distances("A", 20, 3) + distances("B", 200, 30), 2.0, 5)
    assert [row.n_beyond for row in suppressed_domain(rows)] == [None, None]
    without_limit = domain_rows(distances("A", 20, 3), None, 5)
    assert [row.n_beyond for row in suppressed_domain(without_limit)] == [None]
    assert suppressed_domain(()) == ()
