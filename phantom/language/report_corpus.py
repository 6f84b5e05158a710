"""A corpus of report texts with their truth, for testing a labeller on tens of thousands of texts without images."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from phantom.language.report_claims import FALSE_LEVELS, worst_grade
from phantom.language.report_rates import PUBLISHED, ReportRates
from phantom.language.report_truth import LEVELS_SHOWN, Report, ReportCase, SpineFinding
from phantom.reports import draw_reports

# Not as in a hospital: every statement is common enough to be measured.
STATEMENT_WEIGHTS = {"present": 0.38, "possible": 0.16, "absent": 0.2, "unmentioned": 0.26}
MANY_VERSIONS = replace(
    PUBLISHED, preliminary_share=0.06, addendum_share=0.06, corrected_share=0.03, addendum_inside_share=0.06
)
_COVERAGES = tuple(LEVELS_SHOWN)
_COVERAGE_WEIGHTS = (0.35, 0.27, 0.23, 0.15)
_CAUSES = ("osteoporotic", "traumatic", "pathological", "treated")
_CAUSE_WEIGHTS = (0.62, 0.1, 0.1, 0.18)
_GRADE_WEIGHTS = (0.49, 0.33, 0.18)  # worst grades as in the simulated hospital
_SOUND_SHARE = 0.35  # cases without any finding
_COUNT_WEIGHTS = (0.6, 0.22, 0.12, 0.06)  # bodies with a finding: one to four


@dataclass(frozen=True)
class CorpusRow:
    """One text and its truth. Lists are joined by blanks; `case_*` is what the images would show."""

    text_id: str
    study_id: str
    text: str
    statement: str
    wording: str
    levels: str
    acuity: str
    treatment: str
    cause: str
    study_statement: str
    traps: str
    noise: str
    language: str
    script: str
    layout: str
    is_sectioned: int
    status: str
    offset_days: int
    coverage: str
    age_years: int
    sex: str
    case_worst_grade: int
    case_levels: str


def draw_corpus(n: int, seed: int, *, rates: ReportRates = MANY_VERSIONS) -> list[CorpusRow]:
    """`n` texts with their truth, both languages alike, by seed alone. The shares are those named above."""
    rows: list[CorpusRow] = []
    studies = _studies(seed, rates)
    while len(rows) < n:
        number, case, reports = next(studies)
        rows += [_row(number, k, case, report) for k, report in enumerate(reports)]
    return rows[:n]


def write_corpus(path: Path, rows: list[CorpusRow]) -> None:
    """The rows as CSV (UTF-8), one column for each field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(CorpusRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _studies(seed: int, rates: ReportRates) -> Iterator[tuple[int, ReportCase, tuple[Report, ...]]]:
    number = 0
    names, weights = list(STATEMENT_WEIGHTS), list(STATEMENT_WEIGHTS.values())
    while True:
        rng = np.random.default_rng([seed, number, 0x7E8])
        case = draw_case(rng, language=("en", "zh")[number % 2])
        statement = str(rng.choice(names, p=weights))
        yield number, case, draw_reports(rng, case, rates=rates, statement=statement)
        number += 1


def draw_case(rng: np.random.Generator, *, language: str) -> ReportCase:
    """A study without images: findings, coverage, age and sex, each drawn independently of the others."""
    coverage = str(rng.choice(_COVERAGES, p=_COVERAGE_WEIGHTS))
    has_prior = bool(rng.random() < 0.4)
    findings: tuple[SpineFinding, ...] = ()
    if rng.random() > _SOUND_SHARE:
        findings = _draw_findings(rng, coverage, has_prior=has_prior)
    return ReportCase(
        findings=findings,
        coverage=coverage,
        language=language,
        age_years=int(rng.integers(45, 93)),
        sex=str(rng.choice(["F", "M"])),
        has_prior=has_prior,
    )


def _draw_findings(rng: np.random.Generator, coverage: str, *, has_prior: bool) -> tuple[SpineFinding, ...]:
    shown = LEVELS_SHOWN[coverage]
    count = 1 + int(rng.choice(len(_COUNT_WEIGHTS), p=_COUNT_WEIGHTS))
    if rng.random() < 0.5:  # neighbours, so that ranges occur
        first = shown.index("T5") if "T5" in shown else 0  # above T5 fractures are rare
        start = int(rng.integers(first, len(shown) - count + 1))
        levels = shown[start : start + count]
    else:
        common = [level for level in FALSE_LEVELS if level in shown]
        levels = tuple(str(v) for v in rng.choice(common, size=min(count, len(common)), replace=False))
    cause = str(rng.choice(_CAUSES, p=_CAUSE_WEIGHTS))
    return tuple(_draw_finding(rng, level, cause, has_prior=has_prior) for level in levels)


def _draw_finding(rng: np.random.Generator, level: str, cause: str, *, has_prior: bool) -> SpineFinding:
    is_known = has_prior and rng.random() < 0.5
    return SpineFinding(
        level=level,
        grade=1 + int(rng.choice(3, p=_GRADE_WEIGHTS)),
        shape=str(rng.choice(["wedge", "biconcave", "crush"])),
        cause="osteoporotic" if cause == "treated" else cause,
        is_recent=bool(not is_known and rng.random() < 0.3),
        is_treated=cause == "treated",
        was_known=bool(is_known),
    )


def _row(number: int, k: int, case: ReportCase, report: Report) -> CorpusRow:
    return CorpusRow(
        text_id=f"C{number:06d}-{k}",
        study_id=f"C{number:06d}",
        text=report.text,
        statement=report.statement,
        wording=report.wording,
        levels=" ".join(report.levels),
        acuity=report.acuity,
        treatment=report.treatment,
        cause=report.cause,
        study_statement=report.study_statement,
        traps=" ".join(report.traps),
        noise=" ".join(report.noise),
        language=report.language,
        script=report.script,
        layout=report.layout,
        is_sectioned=int(report.is_sectioned),
        status=report.status,
        offset_days=report.offset_days,
        coverage=case.coverage,
        age_years=case.age_years,
        sex=case.sex,
        case_worst_grade=worst_grade(case),
        case_levels=" ".join(f.level for f in case.findings),
    )
