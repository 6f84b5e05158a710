"""The pictures of an evaluation: ROC, precision against recall, reliability, decision curve, groups. Pure."""

from __future__ import annotations

import math

from estimates.evaluation_numbers import Evaluation
from estimates.reader_study import HEIGHT_LOSS, LSTM, REPORTS, GroupRow, ReaderRow
from estimates.result import Estimate
from reports.evaluation_words import estimate_text
from reports.figures.curves import Axes, Line, Spot, Spots, curve_chart
from reports.figures.dots import Dot, DotRow, dot_chart
from reports.figures.svg import Figure


def pictures(evaluation: Evaluation) -> tuple[Figure, ...]:
    """The four curves, those that there are."""
    found = [
        _roc(evaluation),
        _precision_recall(evaluation),
        _reliability(evaluation),
        _decision(evaluation),
    ]
    return tuple(each for each in found if each is not None)


def _reader(evaluation: Evaluation, reader: str) -> ReaderRow | None:
    return next((row for row in evaluation.study.readers if row.reader == reader), None)


def _roc(evaluation: Evaluation) -> Figure | None:
    curve, row = evaluation.curves.roc, _reader(evaluation, LSTM)
    if curve is None or row is None:
        return None
    area = f", AUC {estimate_text(row.area, 3)}" if row.area else ""
    spots = [
        Spots(f"{label}", [spot])
        for reader, label in ((LSTM, "LSTM at its threshold"), (REPORTS, "the reports"))
        if (spot := _roc_spot(_reader(evaluation, reader))) is not None
    ]
    lines = [Line(f"LSTM{area}", curve.x, curve.y), Line("chance", (0, 1), (0, 1), is_plain=True)]
    return curve_chart("roc", "ROC curve", Axes("1 − specificity", "recall (sensitivity)"), lines, spots)


def _roc_spot(row: ReaderRow | None) -> Spot | None:
    if row is None or row.table.recall is None or row.table.specificity is None:
        return None
    recall, specificity = row.table.recall, row.table.specificity
    return Spot(1 - specificity.value, recall.value, recall.low, recall.high)


def _precision_recall(evaluation: Evaluation) -> Figure | None:
    curves = evaluation.curves
    if curves.precision_recall is None or curves.average_precision is None:
        return None
    lines = [
        Line(
            f"LSTM, average precision {curves.average_precision:.3f}",
            curves.precision_recall.x,
            curves.precision_recall.y,
        ),
        Line(f"share of cases, {curves.prevalence:.2f}", (0, 1), (curves.prevalence,) * 2, is_plain=True),
    ]
    row = _reader(evaluation, REPORTS)
    spots = []
    if row is not None and row.table.recall is not None and row.table.precision is not None:
        precision = row.table.precision
        spot = Spot(row.table.recall.value, precision.value, precision.low, precision.high)
        spots.append(Spots("the reports", [spot]))
    return curve_chart(
        "precision-recall", "Precision against recall", Axes("recall", "precision"), lines, spots
    )


def _reliability(evaluation: Evaluation) -> Figure:
    bins = evaluation.curves.reliability
    spots = [Spot(b.mean_probability, b.observed.value, b.observed.low, b.observed.high) for b in bins]
    label = f"LSTM, {len(bins)} bins of equal size (Wilson); Brier score {evaluation.curves.brier:.3f}"
    return curve_chart(
        "reliability",
        "Reliability: what the probabilities mean on these scans",
        Axes("mean probability", "share of cases"),
        [Line("as said", (0, 1), (0, 1), is_plain=True)],
        [Spots(label, spots)],
    )


def _decision(evaluation: Evaluation) -> Figure:
    curve = evaluation.curves.decision
    step = _round_step(max(0.01, *curve.model, *curve.everybody) / 4)
    ends = (0.0, round(curve.thresholds[-1], 2))
    lines = [
        Line("read what the LSTM flags from this probability on", curve.thresholds, curve.model),
        Line("read every scan again", curve.thresholds, curve.everybody, is_plain=True),
        Line("read none", ends, (0, 0), is_plain=True),
    ]
    axes = Axes("threshold probability", "net benefit per scan", ends, (-step, 4 * step))
    return curve_chart(
        "decision",
        f"Decision curve, at {100 * evaluation.curves.prevalence:.0f} % cases as in this set",
        axes,
        [_above(each, -step) for each in lines],
    )


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten: ticks that can be read."""
    power = 10 ** math.floor(math.log10(least))
    steps = (float(each * power) for each in (1, 2, 2.5, 5, 10))
    return next(step for step in steps if step >= least * 0.999)


def _above(each: Line, low: float) -> Line:
    """Without what lies below the picture."""
    kept = [(x, y) for x, y in zip(each.x, each.y, strict=True) if y >= low]
    return Line(each.label, [x for x, _ in kept], [y for _, y in kept], each.is_plain)


def group_pictures(evaluation: Evaluation) -> tuple[Figure, ...]:
    """Recall and specificity of the LSTM by group, and the share flagged by height loss."""
    rows = [row for row in evaluation.study.groups if row.dimension != HEIGHT_LOSS]
    by_loss = [row for row in evaluation.study.groups if row.dimension == HEIGHT_LOSS]
    found = [_groups(rows)] if rows else []
    return (*found, _loss(by_loss)) if by_loss else tuple(found)


def _groups(rows: list[GroupRow]) -> Figure:
    listed: list[DotRow] = []
    for row in rows:
        if not listed or row.dimension not in [each.label for each in listed if each.is_heading]:
            listed.append(DotRow(row.dimension))
        listed.append(DotRow(row.category, (_dot(row.recall), _dot(row.specificity))))
    title = "LSTM: recall and specificity by group"
    return dot_chart("groups", title, "% (95 % interval)", ("recall", "specificity"), listed)


def _loss(rows: list[GroupRow]) -> Figure:
    """Cases: recall, which ought to be high; others: the share flagged, which ought to be low."""
    listed = [DotRow(row.category, (_dot(row.recall), _dot(_flagged(row.specificity)))) for row in rows]
    return dot_chart(
        "loss",
        "Share flagged by the largest height lost in any body",
        "flagged, % (95 % interval)",
        ("scans with a fracture", "scans without"),
        listed,
    )


def _flagged(specificity: Estimate | None) -> Estimate | None:
    if specificity is None:
        return None
    return Estimate(
        "flagged",
        1 - specificity.value,
        1 - specificity.high,
        1 - specificity.low,
        specificity.method,
        specificity.denominator - specificity.numerator,
        specificity.denominator,
        specificity.given,
    )


def _dot(estimate: Estimate | None) -> Dot | None:
    if estimate is None:
        return None
    return Dot(estimate.value, estimate.low, estimate.high, estimate_text(estimate))
