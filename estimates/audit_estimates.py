"""What an audit estimates: prevalence, missed diagnoses, and the accuracy of the AI and of the reports.

Each takes the reads of all cells and returns one `Estimate`; each is a weighted ratio over the cells
(Horvitz-Thompson within a stratified simple random sample), so nothing is assumed about how AI and report depend on
each other.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from estimates.audit_cells import AiResult, Definition
from estimates.audit_limits import MonteCarlo, ratio_estimate
from estimates.audit_reads import AuditReads, BoolArray, cell_ratio
from estimates.result import Estimate

Classes = tuple[str, ...] | None


class Reader(StrEnum):
    AI = "AI"
    REPORTS = "reports"


def prevalence(reads: AuditReads, classes: Classes = None, how: MonteCarlo | None = None) -> Estimate:
    """Σ N·k/n / Σ N over all cells given: cases among units, of the named classes or of all."""
    cases, everywhere = reads.cases(classes), np.ones(len(reads.cells), dtype=bool)
    ratio = cell_ratio(reads, cases, everywhere, reads.n_read - cases, everywhere, is_whole=True)
    return ratio_estimate(ratio, "prevalence", _given(reads, everywhere, classes), how)


def missed_rate(
    reads: AuditReads,
    definition: Definition,
    classes: Classes = None,
    how: MonteCarlo | None = None,
) -> Estimate:
    """Weighted true cases that no report mentions, of all true cases with a report. STRICT and LENIENT say of what.

    Give the classes that can be missed: treated fractures and those known before are left out by naming the others.
    """
    cases = reads.cases(classes)
    with_report, missed = _reported_cells(reads, definition)
    ratio = cell_ratio(reads, cases, missed, cases, with_report & ~missed)
    given = _given(reads, with_report, classes) + f"; {definition} definition of reported"
    return ratio_estimate(ratio, "missed-diagnosis rate", given, how)


def share_of_missed(
    reads: AuditReads,
    classes: tuple[str, ...],
    definition: Definition,
    how: MonteCarlo | None = None,
) -> Estimate:
    """What part of the missed cases has these classes: a grade, or denied as against silent."""
    chosen, every = reads.cases(classes), reads.cases()
    _, missed = _reported_cells(reads, definition)
    ratio = cell_ratio(reads, chosen, missed, every - chosen, missed)
    given = _given(reads, missed, None) + f"; missed by the {definition} definition"
    return ratio_estimate(ratio, f"share of missed: {', '.join(classes)}", given, how)


def sensitivity(
    reads: AuditReads,
    reader: Reader,
    definition: Definition = Definition.LENIENT,
    classes: Classes = None,
    how: MonteCarlo | None = None,
) -> Estimate:
    """Weighted true cases that the reader calls positive, of all true cases that it judged (scored, or reported on)."""
    cases = reads.cases(classes)
    judged, positive = _judged(reads, reader, definition)
    ratio = cell_ratio(reads, cases, positive, cases, judged & ~positive)
    return ratio_estimate(
        ratio, f"sensitivity of {_of(reader, definition)}", _given(reads, judged, classes), how
    )


def specificity(
    reads: AuditReads,
    reader: Reader,
    definition: Definition = Definition.LENIENT,
    how: MonteCarlo | None = None,
) -> Estimate:
    """Weighted units without any case that the reader calls negative, of all such units that it judged."""
    healthy = reads.n_read - reads.cases()
    judged, positive = _judged(reads, reader, definition)
    ratio = cell_ratio(reads, healthy, judged & ~positive, healthy, positive)
    return ratio_estimate(
        ratio, f"specificity of {_of(reader, definition)}", _given(reads, judged, None), how
    )


def predictive_value(
    reads: AuditReads,
    reader: Reader,
    definition: Definition = Definition.LENIENT,
    how: MonteCarlo | None = None,
) -> Estimate:
    """Weighted true cases among the units that the reader calls positive."""
    cases = reads.cases()
    _, positive = _judged(reads, reader, definition)
    ratio = cell_ratio(reads, cases, positive, reads.n_read - cases, positive, is_whole=True)
    name = f"positive predictive value of {_of(reader, definition)}"
    return ratio_estimate(ratio, name, _given(reads, positive, None), how)


def _reported_cells(reads: AuditReads, definition: Definition) -> tuple[BoolArray, BoolArray]:
    """Cells with a report, and those of them whose report does not count as reported."""
    with_report = np.array([row.cell.has_report for row in reads.cells], dtype=bool)
    reported = np.array([row.cell.is_reported(definition) for row in reads.cells], dtype=bool)
    return with_report, with_report & ~reported


def _judged(reads: AuditReads, reader: Reader, definition: Definition) -> tuple[BoolArray, BoolArray]:
    """Cells that the reader judged, and those that it calls positive."""
    if reader is Reader.REPORTS:
        with_report, missed = _reported_cells(reads, definition)
        return with_report, with_report & ~missed
    scored = np.array([row.cell.is_scored for row in reads.cells], dtype=bool)
    flagged = np.array([row.cell.ai is AiResult.FLAGGED for row in reads.cells], dtype=bool)
    return scored, flagged


def _of(reader: Reader, definition: Definition) -> str:
    return "the AI" if reader is Reader.AI else f"the reports ({definition})"


def _given(reads: AuditReads, cells: BoolArray, classes: Classes) -> str:
    units, read = int(reads.n_units[cells].sum()), int(reads.n_read[cells].sum())
    counted = ", ".join(classes) if classes else "any class"
    return f"{read} reads standing for {units} patient-days in {int(cells.sum())} cells; cases of {counted}"
