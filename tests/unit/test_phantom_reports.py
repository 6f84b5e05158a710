"""Simulated reports say, hedge, deny and leave out what their settings say, and their truth fits their text."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, chi2_contingency

from phantom.language.report_corpus import CorpusRow, draw_corpus
from phantom.language.report_noise import to_traditional
from phantom.language.report_rates import PUBLISHED
from phantom.language.report_truth import ACUITIES, LEVELS, STATEMENTS, STATUSES, WORDINGS
from phantom.reports import (
    COLUMNS,
    Report,
    ReportCase,
    SpineFinding,
    concluding,
    draw_ending,
    draw_report,
    draw_reports,
    write_reports,
)

DRAWS = 5000
MISTAKEN_ALARM = (
    1e-5  # a share outside this interval of its binomial fails; seeds are fixed, so it never flickers
)
GRADE_WEIGHTS = (0.49, 0.33, 0.18)


def _case(grade: int, language: str = "en", coverage: str = "chest") -> ReportCase:
    return ReportCase((SpineFinding("T8", grade),) * (grade > 0), coverage, language)


@cache
def _ends(grade: int) -> tuple[str, ...]:
    """How 5,000 studies with this worst grade end, half of them in each language."""
    rng = np.random.default_rng([grade, 5])
    return tuple(draw_ending(rng, _case(grade, ("en", "zh")[k % 2])) for k in range(DRAWS))


@cache
def _corpus() -> tuple[CorpusRow, ...]:
    return tuple(draw_corpus(2500, 11))


def _agrees(count: int, total: int, share: float) -> bool:
    low, high = binom.interval(1 - MISTAKEN_ALARM, total, share)
    return bool(low <= count <= high)


@pytest.mark.parametrize("grade", [0, 1, 2, 3])
def test_shares_are_those_of_the_settings(grade: int) -> None:
    ends = Counter(_ends(grade))
    reported = DRAWS - ends["no_report"]
    present, possible = PUBLISHED.present_by_grade[grade], PUBLISHED.possible_share
    silent = 1 - present - possible
    assert _agrees(ends["no_report"], DRAWS, PUBLISHED.absent_report_share)
    assert _agrees(ends["present"], reported, present)
    assert _agrees(ends["possible"], reported, possible)
    assert _agrees(ends["absent"], reported, silent * PUBLISHED.denied_share)
    assert set(ends) <= set(STATEMENTS)


@pytest.mark.parametrize("grade", [0, 2])
def test_reports_end_as_their_ending_says(grade: int) -> None:
    for seed in range(100):
        case = _case(grade, ("en", "zh")[seed % 2])
        reports = draw_reports(np.random.default_rng(seed), case)
        ending = draw_ending(np.random.default_rng(seed), case)
        assert (reports[-1].study_statement if reports else "no_report") == ending


def test_settings_lie_within_what_is_published() -> None:
    present = PUBLISHED.present_by_grade
    assert present[0] < present[1] < present[2] < present[3]
    missing = 1 - sum(w * p for w, p in zip(GRADE_WEIGHTS, present[1:], strict=True))
    assert 0.40 <= missing - PUBLISHED.possible_share < missing <= 0.92


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_class_occurs_in_both_languages(language: str) -> None:
    rows = [r for r in _corpus() if r.language == language]
    assert {r.statement for r in rows} == set(STATEMENTS) - {"no_report"}
    assert {r.wording for r in rows} == set(WORDINGS)
    assert {r.acuity for r in rows} == set(ACUITIES)
    assert {r.status for r in rows} == set(STATUSES)
    assert {r.treatment for r in rows} == {"", "vertebroplasty", "kyphoplasty", "cement"}
    assert {r.cause for r in rows} == {"", "traumatic", "pathological"}
    assert {"addendum_reverses", "denial_beside", "hedged_age", "questioned_before", "treatment_alone"} <= {
        trap for r in rows for trap in r.traps.split()
    }


def test_no_text_has_a_placeholder_left() -> None:
    for row in _corpus():
        assert row.text.strip()
        assert not set("{}[]|<") & set(row.text), row.text


def test_texts_survive_gb18030_and_utf8() -> None:
    for row in _corpus():
        assert row.text.encode("gb18030").decode("gb18030") == row.text
        assert row.text.encode("utf-8").decode("utf-8") == row.text


def test_the_same_seed_draws_the_same_texts() -> None:
    assert draw_corpus(60, 3) == draw_corpus(60, 3)
    assert draw_corpus(60, 3) != draw_corpus(60, 4)
    assert draw_corpus(20, 3) == draw_corpus(60, 3)[:20]


def test_a_named_level_stands_in_a_clean_text() -> None:
    spellings: dict[str, Callable[[str], tuple[str, ...]]] = {
        "en": lambda v: (v, f"{v[0]}-{v[1:]}", f"D{v[1:]}"),
        "zh": lambda v: (
            v,
            f"{'胸' if v[0] == 'T' else '腰'}{v[1:]}",
            f"第{v[1:]}{'胸' if v[0] == 'T' else '腰'}椎",
        ),
    }
    checked = 0
    for row in _corpus():
        if row.noise or len(row.levels.split()) != 1:
            continue
        checked += 1
        assert any(name in row.text for name in spellings[row.language](row.levels)), row
    assert checked > 500


def test_what_is_unmentioned_has_no_wording_level_or_acuity() -> None:
    for row in _corpus():
        if row.statement == "unmentioned":
            assert (row.wording, row.levels, row.acuity, row.treatment) == ("none", "", "", "")
        if row.statement in ("present", "possible"):
            assert row.levels


def test_an_addendum_comes_later_and_ends_the_study() -> None:
    rng = np.random.default_rng(8)
    seen = Counter[str]()
    for _ in range(900):
        reports = draw_reports(rng, _case(2))
        seen.update(r.status for r in reports)
        assert [r.offset_days for r in reports] == sorted(r.offset_days for r in reports)
        if reports:
            told = concluding(reports)
            assert told is not None
            assert told.statement == reports[-1].study_statement
        if len(reports) > 1:
            assert reports[0].status in ("preliminary", "final")
            assert reports[1].status != "preliminary"
    assert min(seen[status] for status in STATUSES) >= 9


def test_style_and_traps_do_not_tell_the_label() -> None:
    """The frame of a report follows the same seed whatever the images show."""
    for aspect in ("layout", "script", "noise"):
        for seed in range(80):
            sound, broken = (_first(seed, grade) for grade in (0, 3))
            if sound is not None and broken is not None:
                assert getattr(sound, aspect) == getattr(broken, aspect)
    counts = [Counter(trap for seed in range(200) for trap in _frame_traps(seed, grade)) for grade in (0, 3)]
    names = sorted(set(counts[0]) | set(counts[1]))
    table = [[c[name] + 1 for name in names] for c in counts]
    assert chi2_contingency(table).pvalue > 0.5  # nearly the same seeds give nearly the same traps


def _first(seed: int, grade: int) -> Report | None:
    reports = draw_reports(np.random.default_rng(seed), _case(grade, "zh"))
    return reports[0] if reports else None


def _frame_traps(seed: int, grade: int) -> tuple[str, ...]:
    """Traps of the frame; those in the wording of a claim belong to the statement."""
    of_claims = {"denial_beside", "hedged_age", "questioned_before", "treatment_alone", "addendum_reverses"}
    first = _first(seed, grade)
    return tuple(t for t in first.traps if t not in of_claims) if first else ()


def test_known_treated_and_traumatic_bodies_are_said_more_often() -> None:
    def share(finding: SpineFinding) -> float:
        rng = np.random.default_rng(2)
        case = ReportCase((finding,), "spine", "zh", has_prior=True)
        ends = [draw_ending(rng, case) for _ in range(600)]
        return float(np.mean([s == "present" for s in ends]))

    silent = share(SpineFinding("L1", 1))
    assert share(SpineFinding("L1", 1, was_known=True)) > silent + 0.4
    assert share(SpineFinding("L1", 2, is_treated=True)) > silent + 0.5
    assert share(SpineFinding("L1", 2, cause="traumatic")) > silent + 0.5


def test_cause_and_treatment_of_the_truth_follow_the_body() -> None:
    rng = np.random.default_rng(4)
    for cause in ("traumatic", "pathological"):
        case = ReportCase((SpineFinding("L1", 3, cause=cause),), "spine", "en")
        (told,) = draw_reports(rng, case, statement="present")[-1:]
        assert told.cause == cause or told.statement != "present"
    case = ReportCase((SpineFinding("T12", 2, is_treated=True),), "chest", "zh")
    assert draw_reports(rng, case, statement="present")[-1].study_statement == "present"


def test_traditional_characters_replace_simplified_ones() -> None:
    assert to_traditional("腰1椎体压缩性骨折，甲状腺左叶") == "腰1椎體壓迫性骨折，甲狀腺左葉"
    rows = [r for r in _corpus() if r.script == "hant"]
    assert rows
    assert not set("体压缩旧态显见脏胆肾") & set("".join(r.text for r in rows))
    assert all(r.text.encode("big5hkscs") for r in rows)  # holds no simplified form


def test_a_report_without_earlier_studies_compares_with_none() -> None:
    rng = np.random.default_rng(6)
    for _ in range(150):
        case = ReportCase((SpineFinding("T12", 2, is_recent=True),), "spine", "zh")
        told = concluding(draw_reports(rng, case, statement="present"))
        assert told is not None
        assert "前片" not in told.text
        assert told.acuity in ("", "new")


def test_levels_named_are_levels_shown() -> None:
    shown = {"chest": LEVELS[:13], "abdomen-pelvis": LEVELS[9:]}
    for row in _corpus():
        for level in row.levels.split():
            assert level in shown.get(row.coverage, LEVELS)


def test_a_scan_that_shows_little_is_reported_too() -> None:
    rng = np.random.default_rng(3)
    for shown in (("T1",), ("T12", "L1"), ("L4", "L5")):
        for grade in (0, 2):
            findings = (SpineFinding(shown[0], grade),) * (grade > 0)
            case = ReportCase(findings, "abdomen-pelvis", "en", levels_shown=shown)
            told = [r for _ in range(40) for r in draw_reports(rng, case, statement="present")]
            assert {v for r in told for v in r.levels} <= set(shown)


def test_the_older_call_still_answers() -> None:
    rng = np.random.default_rng(0)
    drawn = [
        draw_report(rng, worst_grade=3, levels=("L1", "T12"), coverage="spine", language="zh")
        for _ in range(200)
    ]
    told = [r for r in drawn if r is not None]
    assert len(told) < len(drawn)
    assert np.mean([r.statement == "present" for r in told]) > 0.5
    assert draw_report(rng, worst_grade=0, levels=(), coverage="abdomen-pelvis", language="en") is not None


def test_reports_are_written_as_the_contract_says(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    row = dict.fromkeys(COLUMNS, "x") | {"text": 'line one\nsays "no", 骨折'}
    write_reports(path, [row])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [row]
