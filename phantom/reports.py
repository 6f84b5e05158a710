"""Radiology reports of simulated studies, in English and Chinese: what they say, deny, hedge or leave out.

Shares are in `report_rates`, texts in `report_texts/*.toml`. The truth about a text comes from how it was put
together, never from reading it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from phantom.language.report_claims import draw_statement
from phantom.language.report_rates import PUBLISHED, ReportRates
from phantom.language.report_truth import STATEMENTS, Report, ReportCase, SpineFinding
from phantom.language.report_versions import draw_kind, open_desk, write_versions

__all__ = [
    "COLUMNS",
    "PUBLISHED",
    "STATEMENTS",
    "Report",
    "ReportCase",
    "ReportRates",
    "SpineFinding",
    "concluding",
    "draw_ending",
    "draw_report",
    "draw_reports",
    "write_reports",
]

COLUMNS = ("accession_number", "report_date", "text", "patient_id", "report_id", "status")
_STREAMS = 5  # ending, number of reports, frame, claims, noise: one does not shift the other


def draw_reports(
    rng: np.random.Generator,
    case: ReportCase,
    *,
    rates: ReportRates = PUBLISHED,
    statement: str | None = None,
) -> tuple[Report, ...]:
    """All reports of one study in the order of their filing; empty when the archive holds none.

    The study ends at the last report's `study_statement`. `statement` fixes that end (and then there is a report).
    Raises KeyError for a coverage, layout or language that is not known.
    """
    seeds = rng.integers(2**63, size=_STREAMS)
    fate, number, frame, claims, noise = (np.random.default_rng(int(seed)) for seed in seeds)
    drawn = _draw_ending(fate, case, rates)
    ending = statement or drawn
    if ending == "no_report":
        return ()
    desk = open_desk(case, rates, frame, claims, noise)
    return write_versions(desk, draw_kind(number, rates), ending)


def draw_ending(rng: np.random.Generator, case: ReportCase, *, rates: ReportRates = PUBLISHED) -> str:
    """How the study of `draw_reports` with an equal generator ends (one of STATEMENTS), without writing texts."""
    return _draw_ending(np.random.default_rng(int(rng.integers(2**63, size=_STREAMS)[0])), case, rates)


def _draw_ending(fate: np.random.Generator, case: ReportCase, rates: ReportRates) -> str:
    is_absent = fate.random() < rates.absent_report_share
    drawn = draw_statement(fate, case, rates)
    return "no_report" if is_absent else drawn


def draw_report(
    rng: np.random.Generator, *, worst_grade: int, levels: tuple[str, ...], coverage: str, language: str
) -> Report | None:
    """The last report of a study with osteoporotic fractures only; None when the archive holds none.

    `levels` are those fractured and shown, the worst first. For more see `draw_reports`.
    """
    grades = [worst_grade] + [1] * (len(levels) - 1)
    findings = tuple(SpineFinding(v, g) for v, g in zip(levels, grades, strict=False) if g)
    reports = draw_reports(rng, ReportCase(findings, coverage, language))
    return concluding(reports)


def concluding(reports: tuple[Report, ...]) -> Report | None:
    """The last report that itself says how the study stands: not an addendum about something else."""
    saying = [r for r in reports if r.statement == reports[-1].study_statement]
    return saying[-1] if saying else None


def write_reports(path: Path, rows: list[dict[str, str]]) -> None:
    """The reports as CSV (UTF-8), columns as COLUMNS."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
