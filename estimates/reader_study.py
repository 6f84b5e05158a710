"""One evaluation: readers of the same scans against the truth, in all and by group. Pure: scans in, numbers out.

Readers are the reports, three poolings of the slices' answers and the LSTM. What may be shown of the numbers is decided
in `reader_study_suppression`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from estimates.agreement import PairedTest, mcnemar_exact
from estimates.clustered import auc_by_patient
from estimates.clustered_table import counts_of, table_of_scans
from estimates.evaluation import Counts, EvaluationTable
from estimates.result import Estimate, Refused
from estimates.roc import DELONG, DISJOINT, auc, pairs_ranked

REPORTS, MAX, MEAN, VOTE, LSTM = "reports", "max", "mean", "vote", "LSTM"
READERS = (REPORTS, MAX, MEAN, VOTE, LSTM)
AS_WRONG = "LSTM, not evaluable counted as wrong"
LOSS_STEP_PERCENT = 5
HIGH_SHARE = 0.95  # of the distances of a scanner, as `ovf model domain` shows it
HEIGHT_LOSS = "height loss"


@dataclass(frozen=True)
class ReadScan:
    """One scan with its truth and what every reader said; a reader that gave no answer is absent."""

    study_key: str
    person_key: str
    is_case: bool
    is_eligible: bool  # it should have been scored
    reason: str | None  # why it was not scored; None: it was
    said: Mapping[str, bool] = field(default_factory=dict)
    score: Mapping[str, float] = field(
        default_factory=dict
    )  # of the readers that give one, higher is positive
    groups: Mapping[str, str] = field(default_factory=dict)  # dimension → category
    grade: int | None = None
    height_loss: float | None = None
    series: tuple[str, str] | None = None  # key and revision
    slice_index: int | None = None  # slab slice that speaks loudest for a fracture
    view_recipe: str | None = None  # how that slice was cut
    scanner: str = "unknown"
    domain_distance: float | None = None  # from what the model has seen; 1 is average
    is_open: bool = False  # nobody has looked yet: pending, no slab kept, or scored by other models only


@dataclass(frozen=True)
class ReaderRow:
    """One reader: four counts, five measures, and the area under the ROC curve where it gives a score."""

    reader: str
    counts: Counts
    table: EvaluationTable
    area: Estimate | None


@dataclass(frozen=True)
class PairRow:
    """Two readers of the same scans: who was right where the other was not."""

    first: str
    second: str
    n_scans: int
    test: PairedTest


@dataclass(frozen=True)
class GroupRow:
    """The LSTM among the scans of one group. None: it has no such number, or it is hidden."""

    dimension: str
    category: str
    tp: int | None
    fn: int | None
    fp: int | None
    tn: int | None
    n_cases: int | None
    n_controls: int | None
    recall: Estimate | None
    specificity: Estimate | None
    area: Estimate | None


@dataclass(frozen=True)
class DomainRow:
    """How far the scans of one scanner lie from what the model has seen."""

    scanner: str
    n_scans: int
    median: float
    high: float | None  # the HIGH_SHARE quantile; None: hidden, of so few it is nearly one patient's own
    n_beyond: int | None  # of the limit; None without one, or hidden


@dataclass(frozen=True)
class ReaderStudy:
    """All numbers of one evaluation."""

    readers: tuple[ReaderRow, ...]
    pairs: tuple[PairRow, ...]
    groups: tuple[GroupRow, ...]
    n_not_scored: Mapping[str, tuple[int, int]]  # reason → cases, controls
    n_patients: int
    n_scans: int
    n_open: int | None  # scans that nobody has looked at yet, in no row of the model; None: hidden
    open_reasons: frozenset[str]  # which of the reasons are theirs
    has_hidden_reasons: bool = False  # there are more, of too few scans to be shown


def read_study(scans: Sequence[ReadScan], dimensions: Sequence[str]) -> ReaderStudy:
    """Every number. ValueError when no scan was scored."""
    scored = [scan for scan in scans if LSTM in scan.said]
    if not scored:
        raise ValueError("no scan of the evaluation was scored")
    rows = [_reader(reader, [scan for scan in scans if reader in scan.said]) for reader in READERS]
    rows.append(_as_wrong(scans))
    groups = [row for dimension in dimensions for row in _groups(scored, dimension)]
    return ReaderStudy(
        tuple(row for row in rows if row is not None),
        tuple(pair for other in READERS[:-1] if (pair := _pair(LSTM, other, scans)) is not None),
        tuple(groups),
        _not_scored(scans),
        len({scan.person_key for scan in scans}),
        len(scans),
        sum(scan.is_open for scan in scans),
        frozenset(scan.reason for scan in scans if scan.is_open and scan.reason is not None),
    )


def _reader(reader: str, scans: Sequence[ReadScan]) -> ReaderRow | None:
    if not scans:
        return None
    given = f"{len(scans)} scans that it answered"
    return _row(reader, scans, [scan.said[reader] for scan in scans], given, area_of(reader, scans))


def _as_wrong(scans: Sequence[ReadScan]) -> ReaderRow | None:
    """What was looked at and could not be scored counts as a wrong answer; what nobody has looked at yet does not."""
    wanted = [scan for scan in scans if LSTM in scan.said or (scan.is_eligible and not scan.is_open)]
    if all(LSTM in scan.said for scan in wanted):
        return None
    said = [scan.said.get(LSTM, not scan.is_case) for scan in wanted]
    return _row(AS_WRONG, wanted, said, f"{len(wanted)} scans that were looked at", None)


def _row(
    reader: str, scans: Sequence[ReadScan], said: Sequence[bool], given: str, area: Estimate | None
) -> ReaderRow:
    truth = [scan.is_case for scan in scans]
    table = table_of_scans(said, truth, [scan.person_key for scan in scans], given)
    return ReaderRow(reader, counts_of(said, truth), table, area)


def area_of(reader: str, scans: Sequence[ReadScan]) -> Estimate | None:
    """DeLong where every patient has one scan, else bootstrap by patient; None without a score or without a class."""
    known = [scan for scan in scans if reader in scan.score]
    scores = np.array([scan.score[reader] for scan in known], np.float64)
    truth = np.array([scan.is_case for scan in known], bool)
    if not truth.any() or truth.all():
        return None
    people = [scan.person_key for scan in known]
    if len(set(people)) < len(people):
        try:
            return auc_by_patient(scores, truth, people)
        except Refused:
            return None
    found = auc(scores[truth], scores[~truth])
    pairs = int(truth.sum()) * int((~truth).sum())
    method = DISJOINT if found.value in (0.0, 1.0) else DELONG
    ranked = pairs_ranked(found.value, pairs)
    return Estimate("AUC", found.value, found.low, found.high, method, ranked, pairs, "")


def _pair(first: str, second: str, scans: Sequence[ReadScan]) -> PairRow | None:
    """Exact McNemar on scans that both answered, one of each patient: the test asks for independent ones."""
    both: dict[str, ReadScan] = {}
    for scan in scans:
        if first in scan.said and second in scan.said:
            both.setdefault(scan.person_key, scan)
    if not both:
        return None
    right = [(scan.said[first] == scan.is_case, scan.said[second] == scan.is_case) for scan in both.values()]
    only_first = sum(one and not other for one, other in right)
    only_second = sum(other and not one for one, other in right)
    return PairRow(first, second, len(both), mcnemar_exact(only_first, only_second))


def _groups(scans: Sequence[ReadScan], dimension: str) -> list[GroupRow]:
    pick = _PICKS.get(dimension)
    named = [(pick(scan) if pick else scan.groups.get(dimension, "unknown"), scan) for scan in scans]
    categories = sorted({name for name, _ in named if name is not None}, key=_natural)
    return [
        _group(dimension, category, [scan for name, scan in named if name == category])
        for category in categories
    ]


def _group(dimension: str, category: str, scans: Sequence[ReadScan]) -> GroupRow:
    counts = counts_of([scan.said[LSTM] for scan in scans], [scan.is_case for scan in scans])
    table = table_of_scans(
        [scan.said[LSTM] for scan in scans],
        [scan.is_case for scan in scans],
        [scan.person_key for scan in scans],
        f"{dimension}: {category}",
    )
    return GroupRow(
        dimension,
        category,
        counts.tp,
        counts.fn,
        counts.fp,
        counts.tn,
        counts.tp + counts.fn,
        counts.fp + counts.tn,
        table.recall,
        table.specificity,
        area_of(LSTM, scans),
    )


def _grade(scan: ReadScan) -> str | None:
    return None if scan.grade is None else f"grade {scan.grade}"


def _loss(scan: ReadScan) -> str | None:
    """`20-24 %`: the bin of the largest share lost in any body."""
    if scan.height_loss is None:
        return None
    low = int(100 * scan.height_loss + 1e-9) // LOSS_STEP_PERCENT * LOSS_STEP_PERCENT
    return f"{low}-{low + LOSS_STEP_PERCENT - 1} %"


_PICKS: Mapping[str, Callable[[ReadScan], str | None]] = {"grade": _grade, HEIGHT_LOSS: _loss}


def _natural(category: str) -> tuple[int, float, str]:
    """`under` and `up to` first, numbers by size, `over`, and `unknown` last."""
    first = category.split("-", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    ends = {"under": 0, "up": 0, "over": 2, "unknown": 3}
    place = ends.get(first, 1)
    return place, float(first) if first.replace(".", "", 1).isdigit() else 0.0, category


def domain_rows(
    scans: Sequence[ReadScan], limit: float | None, smallest_shown: int = 1
) -> tuple[DomainRow, ...]:
    """By scanner, the farthest first; scanners with fewer scans than `smallest_shown` are one row."""
    by_scanner: dict[str, list[float]] = {}
    for scan in scans:
        if scan.domain_distance is not None:
            by_scanner.setdefault(scan.scanner, []).append(scan.domain_distance)
    few = [name for name, distances in by_scanner.items() if len(distances) < smallest_shown]
    pooled = [distance for name in few for distance in by_scanner.pop(name)]
    if len(pooled) >= smallest_shown:
        by_scanner[f"scanners with fewer than {smallest_shown} scans"] = pooled
    rows = [
        DomainRow(
            name,
            len(distances),
            float(np.median(distances)),
            float(np.quantile(distances, HIGH_SHARE)),
            None if limit is None else sum(distance > limit for distance in distances),
        )
        for name, distances in by_scanner.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.median, row.scanner)))


def _not_scored(scans: Sequence[ReadScan]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for scan in scans:
        if scan.reason is not None:
            cases, controls = found.get(scan.reason, (0, 0))
            found[scan.reason] = (cases + scan.is_case, controls + (not scan.is_case))
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1]), item[0])))
