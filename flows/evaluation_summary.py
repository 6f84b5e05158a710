"""What `ovf evaluate` prints: the published table in a few lines, and what a reader must know."""

from __future__ import annotations

from estimates.evaluation_numbers import Evaluation
from estimates.result import SIMULATED_CAVEAT, Estimate
from reports.evaluation_words import open_words, reader_name


def evaluation_text(evaluation: Evaluation) -> str:
    """One line a reader: counts, recall and specificity in percent with intervals, AUC."""
    study, basis = evaluation.study, evaluation.basis
    lines = [
        f"{study.n_scans:,} labelled scans of {study.n_patients:,} patients; truth: {basis.label_source}",
        f"{'':38}{'TP/FN/FP/TN':>16}  {'recall':>20}  {'specificity':>20}  AUC",
    ]
    for row in study.readers:
        counts = row.counts
        four = f"{counts.tp}/{counts.fn}/{counts.fp}/{counts.tn}"
        area = "-" if row.area is None else f"{row.area.value:.3f} ({row.area.low:.3f}-{row.area.high:.3f})"
        told = f"{_percent(row.table.recall):>20}  {_percent(row.table.specificity):>20}"
        lines.append(f"{reader_name(row.reader):38}{four:>16}  {told}  {area}")
    if study.n_open != 0:
        lines.append(open_words(study.n_open))
    n_lost = sum(basis.left_out.values())
    if n_lost:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in basis.left_out.items())
        lines.append(f"{n_lost:,} labels that no number counts: {reasons}")
    lines.append(f"split: {basis.split_words}")
    lines.append(f"threshold {basis.threshold:.4g}: {basis.threshold_rule}")
    lines += [f"{words}." for words in (basis.reports_words, basis.apparent_words) if words]
    if basis.is_simulated_only:
        lines.append(f"{SIMULATED_CAVEAT}. Not for clinical use.")
    return "\n".join(lines)


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"
