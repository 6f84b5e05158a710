"""The cells of an audit: what the AI said × what the report said, with AI− / report− split by score.

The unit is the patient-day: one exam can have two accessions and two reports, of which one is silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from estimates.result import FloatArray, IntArray

# Shares of the AI− / report− units below each edge between strata: most of them lie far from the threshold and hold
# almost no case, so the strata are finer towards it.
STRATA_EDGES = (0.6, 0.9)


class AiResult(StrEnum):
    FLAGGED = "flagged"
    NOT_FLAGGED = "not_flagged"
    NOT_SCORED = "not_scored"


class ReportResult(StrEnum):
    """What the strongest statement of a unit's reports says. The order below is from strong to weak."""

    FRACTURE = "fracture"  # says fracture: reported under both definitions
    AMBIGUOUS = "ambiguous"  # deformity, height loss: reported under the lenient definition only
    NOT_REPORTED = "not_reported"  # denied or silent
    NO_REPORT = "no_report"


class Definition(StrEnum):
    """What counts as reported: STRICT only the word fracture, LENIENT also deformity and height loss."""

    STRICT = "strict"
    LENIENT = "lenient"


REPORTED = {
    Definition.STRICT: frozenset({ReportResult.FRACTURE}),
    Definition.LENIENT: frozenset({ReportResult.FRACTURE, ReportResult.AMBIGUOUS}),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One cell of the audit; `stratum` counts from the lowest scores, 0 where the cell is not split."""

    ai: AiResult
    report: ReportResult
    stratum: int = 0

    @property
    def has_report(self) -> bool:
        return self.report is not ReportResult.NO_REPORT

    @property
    def is_scored(self) -> bool:
        return self.ai is not AiResult.NOT_SCORED

    def is_reported(self, definition: Definition) -> bool:
        return self.report in REPORTED[definition]


@dataclass(frozen=True)
class Frame:
    """The units an audit draws from. `cells[cell_of[i]]` is the cell of unit i; `edges` are in units of score."""

    cells: tuple[Cell, ...]
    cell_of: IntArray
    edges: tuple[float, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per cell, in the order of `cells`."""
        return tuple(np.bincount(self.cell_of, minlength=len(self.cells)).tolist())


def score_edges(scores: ArrayLike, shares: Sequence[float] = STRATA_EDGES) -> tuple[float, ...]:
    """Scores that part the AI− / report− units: `len(shares) + 1` strata, a score on an edge belongs above it.

    Edges that fall together (many equal scores) are kept once, so there can be fewer strata.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not len(values):
        return ()
    edges = np.unique(np.quantile(values, list(shares), method="higher"))
    return tuple(edges[edges > values.min()].tolist())


def build_frame(
    ai: Sequence[str],
    report: Sequence[str],
    scores: ArrayLike,
    shares: Sequence[float] = STRATA_EDGES,
) -> Frame:
    """The cell of each unit, from values of `AiResult` and `ReportResult` (or their texts).

    `scores` (n,) may be NaN where a unit was not scored. ValueError on uneven lengths and unknown texts.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not len(ai) == len(report) == len(values):
        raise ValueError("each unit needs an AI result, a report result and a score")
    ai_place, report_place = _places(ai, AiResult), _places(report, ReportResult)
    is_split = (ai_place == _PLACE[AiResult.NOT_FLAGGED]) & (
        report_place == _PLACE[ReportResult.NOT_REPORTED]
    )
    if np.isnan(values[is_split]).any():
        raise ValueError("a unit that was scored needs a score")
    edges = score_edges(values[is_split], shares)
    stratum = np.where(is_split, np.searchsorted(edges, values, side="right"), 0)
    code = (ai_place * len(ReportResult) + report_place) * (len(edges) + 1) + stratum
    used, cell_of = np.unique(code, return_inverse=True)
    pairs = list(product(AiResult, ReportResult, range(len(edges) + 1)))
    cells = tuple(Cell(*pairs[i]) for i in used)
    return Frame(cells, cell_of.astype(np.int64), edges)


_PLACE: dict[str, int] = {
    value: place for kind in (AiResult, ReportResult) for place, value in enumerate(kind)
}


def _places(values: Sequence[str], kind: type[StrEnum]) -> IntArray:
    """Place of each value in its enumeration. ValueError for a text that is none of its values."""
    known = set(kind)
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"no {kind.__name__} is called {', '.join(sorted(map(str, unknown)))}")
    return np.fromiter((_PLACE[value] for value in values), dtype=np.int64, count=len(values))


@dataclass(frozen=True)
class UnitDays:
    """One patient-day per place; `patient` and `day` are as they came in, the rest is the strongest of the day."""

    patient: tuple[str, ...]
    day: tuple[str, ...]
    ai: tuple[AiResult, ...]
    report: tuple[ReportResult, ...]
    score: FloatArray


def patient_days(
    patient: Sequence[str],
    day: Sequence[str],
    ai: Sequence[AiResult],
    report: Sequence[ReportResult],
    scores: ArrayLike,
) -> UnitDays:
    """Exams of one patient on one day made one unit: the strongest AI result, report and score count.

    One value per exam; sorted by patient and day. Score is NaN when no exam of the day was scored.
    """
    values = np.asarray(scores, dtype=np.float64)
    exams: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(patient, day, strict=True)):
        exams.setdefault(key, []).append(i)
    keys = sorted(exams)
    ai_order, report_order = list(AiResult), list(ReportResult)
    return UnitDays(
        tuple(key[0] for key in keys),
        tuple(key[1] for key in keys),
        tuple(min((ai[i] for i in exams[key]), key=ai_order.index) for key in keys),
        tuple(min((report[i] for i in exams[key]), key=report_order.index) for key in keys),
        np.array([np.fmax.reduce(values[exams[key]]) for key in keys], dtype=np.float64),
    )
