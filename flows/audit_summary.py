"""What the verbs of the audit print: a few sentences, each with what its number rests on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from estimates.audit_cells import Definition
from estimates.audit_numbers import SHOWN, AuditNumbers, Number
from flows.audit_estimated import MISSED_RATE, PREVALENCE
from flows.audit_prevalence import CORRECTED, FLAGGED_SHARE, REPORTED_SHARE
from flows.audit_readings import ImportedReadings
from flows.audit_reads import ReadSample
from flows.audit_sample import StoredSample
from flows.audit_verdicts import Endpoint, Settled


def headline_text(numbers: AuditNumbers) -> str:
    """The headlines: flags, reports, prevalence, missed rate; refusals with their reason."""
    basis = numbers.basis
    lines = [
        f"{basis.unit}; {basis.ages}; endpoint {Endpoint.PRIMARY}; reference: {basis.reference}",
        _line("flagged by the AI", numbers.find(FLAGGED_SHARE, dimension="all")),
        _line("reported (says fracture)", numbers.find(REPORTED_SHARE, definition="strict", dimension="all")),
        _line("prevalence", numbers.find(PREVALENCE, dimension="all")),
    ]
    lines += [
        _line(
            f"missed, {definition} definition",
            numbers.find(MISSED_RATE, definition=definition, dimension="all"),
        )
        for definition in Definition
    ]
    if basis.n_read == 0:
        lines[-2:] = [_line("missed", numbers.find(MISSED_RATE))]
        lines.append(_line("corrected prevalence", numbers.find(CORRECTED)))
    if basis.caveat:
        lines.append(f"model {basis.model_id}: {basis.caveat}")
    return "\n".join([*lines, *basis.changes])


def _line(name: str, number: Number | None) -> str:
    if number is None:
        return f"{name}: none"
    if number.status != SHOWN or number.value is None:
        return f"{name}: not given ({number.note})"
    return f"{name}: {percent(number)} ({number.method}; {number.conditioned_on})"


def percent(number: Number) -> str:
    """`12.3 % (10.1 to 14.8)`, with the limits where there are some."""
    if number.value is None:
        return "not given"
    text = f"{100 * number.value:.1f} %"
    if number.low is None or number.high is None:
        return text
    return f"{text} ({100 * number.low:.1f} to {100 * number.high:.1f})"


def sample_text(stored: StoredSample) -> str:
    """The design, cell by cell."""
    audit = stored.audit
    how = "drawn" if stored.is_new else "drawn before, unchanged"
    lines = [
        f"audit {audit.audit_id}, {how}: {audit.n_drawn:,} of {audit.n_units:,} units, rule {audit.rule}, "
        f"ages from {audit.from_age_years}, seed {audit.seed}"
    ]
    for cell in stored.cells:
        stratum = "" if cell.score_from is None and cell.score_below is None else f", stratum {cell.stratum}"
        lines.append(
            f"  {cell.ai.replace('_', ' ')} × {cell.report.replace('_', ' ')}{stratum}: "
            f"{cell.n_drawn:,} of {cell.n_units:,}"
        )
    return "\n".join(lines)


def readings_text(found: ImportedReadings, samples: Sequence[ReadSample]) -> str:
    """Where every row ended; of each sample how many cases have a verdict, and how the readers agree."""
    if found.errors:
        refused = len({error.row for error in found.errors})
        return f"{found.n_rows:,} rows read, {refused:,} with errors: nothing was stored"
    lines = [
        f"{found.n_rows:,} rows = {found.n_new:,} new + {found.n_changed:,} changed + {found.n_unchanged:,} known "
        f"already + {found.n_empty:,} without a verdict yet; {found.n_removed:,} earlier levels went"
    ]
    for sample in samples:
        lines += _sample_lines(sample)
    return "\n".join(lines)


def _sample_lines(sample: ReadSample) -> list[str]:
    parts = ", ".join(f"{sample.n_settled(how):,} {how}" for how in Settled if sample.n_settled(how))
    told = f" ({parts})" if parts else ""
    lines = [
        f"audit {sample.audit.audit_id}: {len(sample.judged):,} of {len(sample.units):,} cases have a verdict{told}"
    ]
    agreement = sample.agreement
    for kappa in (agreement.endpoint_kappa, agreement.grade_kappa):
        if kappa is not None:
            lines.append(
                f"{kappa.name}: {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f}), {kappa.given}"
            )
    if agreement.why_not:
        lines.append(f"kappa: {agreement.why_not}")
    return lines
