"""The tables of an evaluation: the published one, pairs, not scored, groups, methods, versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from estimates.evaluation import Counts
from estimates.evaluation_numbers import Evaluation, EvaluationBasis
from estimates.reader_study import HEIGHT_LOSS, HIGH_SHARE, LSTM, REPORTS, GroupRow, ReaderStudy
from estimates.reader_study_suppression import LEAST_FOR_HIGH
from estimates.result import Estimate
from estimates.suppress import SMALLEST_SHOWN, TOP_AGE
from reports.audit_groups import SEXES, Table
from reports.audit_words import HIDDEN, HIDDEN_NOTE, plain
from reports.evaluation_words import DASH, estimate_text, open_words, reader_name, whole

# How many patients have the denominator differs by reader and measure: numbers.csv says it.
_COUNT_OF_PATIENTS = re.compile(r"\d+ patients")
MEASURES = ("accuracy", "precision", "recall", "specificity", "f1")


def reader_table(evaluation: Evaluation) -> Table:
    """The published table, each interval with its own denominator."""
    rows = []
    for row in evaluation.study.readers:
        counts = row.counts
        rows.append(
            (
                reader_name(row.reader),
                *(str(n) for n in (counts.tp, counts.fn, counts.fp, counts.tn)),
                *(estimate_text(getattr(row.table, name)) for name in MEASURES),
                estimate_text(row.area, 3),
            )
        )
    names = ("accuracy", "precision", "recall", "specificity", "F1")
    columns = ("reader", "TP", "FN", "FP", "TN", *names, "AUC")
    return Table(
        "Readers against the truth; measures in % (95 % interval), AUC as it is",
        columns,
        tuple(rows),
        (
            "Each interval has its own denominator: recall the cases, specificity the others, precision the "
            "flags, accuracy all scans. Which method made which is said under Methods.",
            f"LSTM: flagged from {evaluation.basis.threshold:.3g} on ({evaluation.basis.threshold_rule}). CNN / max "
            "and mean of the slices' probabilities, and CNN / vote: above one half, as published.",
            *([sentence(evaluation.basis.reports_words)] if evaluation.basis.reports_words else []),
            *([open_words(evaluation.study.n_open)] if evaluation.study.n_open != 0 else []),
        ),
    )


def methods_words(evaluation: Evaluation) -> str:
    """Which method stands behind which measure, as it was really done."""
    used: dict[str, list[str]] = {}
    for row in evaluation.study.readers:
        for estimate in (*(getattr(row.table, name) for name in MEASURES), row.area):
            if estimate is not None:
                method = _COUNT_OF_PATIENTS.sub("patients", estimate.method)
                names = used.setdefault(method, [])
                if estimate.name not in names:
                    names.append(estimate.name)
    return " ".join(f"{', '.join(names)}: {method}." for method, names in used.items())


def pair_table(evaluation: Evaluation) -> Table:
    """Exact McNemar of the LSTM against every other reader."""
    rows = tuple(
        (
            f"{reader_name(pair.first)} against {reader_name(pair.second)}",
            str(pair.n_scans),
            str(pair.test.only_first),
            str(pair.test.only_second),
            f"{pair.test.p_value:.3f}" if pair.test.p_value >= 0.001 else "< 0.001",
        )
        for pair in evaluation.study.pairs
    )
    notes = [sentence(evaluation.study.pairs[0].test.method) if evaluation.study.pairs else ""]
    if evaluation.study.n_patients < evaluation.study.n_scans:
        notes.append("Of each patient the first scan counts: the test asks for independent scans.")
    columns = ("pair", "scans", "only the first is right", "only the second is right", "p")
    return Table("Do the readers differ", columns, rows, tuple(note for note in notes if note))


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def not_scored_table(evaluation: Evaluation) -> Table:
    """Labelled scans without a score, by reason: none of them counts as a negative."""
    rows = tuple(
        (plain(reason), str(cases), str(controls))
        for reason, (cases, controls) in evaluation.study.n_not_scored.items()
    )
    if evaluation.study.has_hidden_reasons:
        rows += (("other reasons", HIDDEN, HIDDEN),)
    note = (
        "They are in no row of the model above but “not evaluable counted as wrong”, if they should have been scored "
        "and were looked at."
    )
    notes = (note, HIDDEN_NOTE) if evaluation.study.has_hidden_reasons else (note,)
    return Table("Labelled, but not scored", ("reason", "with a fracture", "without"), rows, notes)


def left_out_table(left_out: Mapping[str, int], *, is_shown_small: bool) -> Table:
    """Labels that no number counts."""

    def told(n: int) -> str:
        return str(n) if is_shown_small or n >= SMALLEST_SHOWN else f"fewer than {SMALLEST_SHOWN}"

    rows = tuple((plain(reason), told(n)) for reason, n in left_out.items())
    return Table("Labels that no number counts", ("reason", "labels"), rows)


def group_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """One table a dimension."""
    found = []
    for dimension in dict.fromkeys(row.dimension for row in evaluation.study.groups):
        rows = [row for row in evaluation.study.groups if row.dimension == dimension]
        has_hidden = any(row.tp is None for row in rows)
        notes = (HIDDEN_NOTE,) if has_hidden else ()
        caption = "By height loss, in steps of 5 %" if dimension == HEIGHT_LOSS else f"By {dimension}"
        columns = (
            dimension,
            "with a fracture",
            "without",
            "missed",
            "false alarms",
            "recall",
            "specificity",
            "AUC",
        )
        found.append(
            Table(f"{caption}; LSTM, % (95 % interval)", columns, tuple(_group(row) for row in rows), notes)
        )
    return tuple(found)


def _group(row: GroupRow) -> tuple[str, ...]:
    label = SEXES.get(row.category, row.category) if row.dimension == "sex" else row.category
    return (
        label,
        *(whole(n) for n in (row.n_cases, row.n_controls, row.fn, row.fp)),
        _shown(row, row.recall),
        _shown(row, row.specificity),
        _shown(row, row.area, 3),
    )


def _shown(row: GroupRow, estimate: Estimate | None, digits: int | None = None) -> str:
    if estimate is None and row.tp is None:
        return "hidden*"
    return estimate_text(estimate, digits)


def domain_table(evaluation: Evaluation) -> Table:
    """How far the scans of each scanner lie from what the model has seen."""
    limit = evaluation.domain_limit
    rows = tuple(
        (
            row.scanner,
            str(row.n_scans),
            f"{row.median:.2f}",
            DASH if row.high is None else f"{row.high:.2f}",
            DASH if limit is None else whole(row.n_beyond),
        )
        for row in evaluation.domain
    )
    told = (
        "no limit is chosen"
        if limit is None
        else f"beyond {limit:.2f} a scan is unlike what the model has seen"
    )
    columns = ("scanner", "scans", "median distance", f"{100 * HIGH_SHARE:g} % quantile", "beyond the limit")
    note = f"Distance in the space of the 32 features; an average image of what the model has seen has 1; {told}."
    notes = [note]
    if any(row.high is None for row in evaluation.domain):
        notes.append(
            f"The quantile is given from {LEAST_FOR_HIGH} scans on: of fewer it is nearly one patient's own."
        )
    if limit is not None and any(row.n_beyond is None for row in evaluation.domain):
        notes.append(HIDDEN_NOTE)
    return Table("By scanner: distance from what the model has seen", columns, rows, tuple(notes))


def methods(evaluation: Evaluation) -> tuple[str, ...]:
    """Paragraphs: what was held against what, how it was computed, what it does not say."""
    basis, study = evaluation.basis, evaluation.study
    told = [
        "Target condition: osteoporotic vertebral fracture (Genant grade 1 or more) in the levels that the scan shows. "
        "Truth: "
        f"{basis.label_source}. {study.n_scans:,} scans of {study.n_patients:,} patients have a label that counts.",
        f"Model {basis.model_id}; scores from {basis.scores_from}. Split: {basis.split_words}.",
    ]
    if basis.bodies:
        told.append(
            f"To the LSTM's answer that of the reader of vertebrae {basis.bodies} is added; max, mean and vote are of "
            "the slices alone. So the whole model is held against them, not the LSTM by itself."
        )
    if study.n_patients < study.n_scans:
        told.append(
            "Some patients have several scans, which are not independent: the intervals come from a bootstrap of "
            "patients with all their scans. Where all patients with the denominator are right, or all wrong, the "
            "exact interval over patients."
        )
    if any(row.reader == REPORTS for row in study.readers):
        told.append("A report is positive when it states a fracture or deformity as present; doubted is not.")
    told.append(f"Intervals, 95 %: {methods_words(evaluation)}")
    told.append(_limits(basis, evaluation.curves.prevalence))
    if not basis.is_shown_small:
        told.append(
            f"Groups: counts of 1 to {SMALLEST_SHOWN - 1} are hidden, and as many others as it takes that nobody "
            "can work one out; where an error count of the whole set is itself so small, no group shows its errors. "
            f"Ages from {TOP_AGE} on are one group. The list of errors says nothing about the patients."
        )
    return tuple(told)


def _limits(basis: EvaluationBasis, prevalence: float) -> str:
    told = (
        f"In this set {100 * prevalence:.0f} % of the scored scans have a fracture. Precision, reliability and net "
        "benefit hold for that share only; recall and specificity depend on how severe and how clear the cases are."
    )
    if basis.is_enriched:
        told += (
            " The scans were drawn for an audit by what AI and reports said: recall and specificity here are those of "
            "the sample; `ovf audit` weighs them back to the archive."
        )
    return told


def versions(basis: EvaluationBasis) -> tuple[tuple[str, str], ...]:
    """Everything that the numbers depend on."""
    return (
        ("model", basis.model_id),
        ("digest of the weights", basis.model_digest),
        ("validation", basis.caveat or "see the model's card"),
        ("threshold (probability)", f"{basis.threshold:.6g}"),
        ("rule of the threshold", basis.threshold_rule),
        ("digest of the split", basis.split_digest or DASH),
        ("code", basis.code_version),
    )


def _why_no_area(counts: Counts) -> str:
    if counts.tp + counts.fn and counts.fp + counts.tn:
        return "Not given: too few patients of one class for limits."
    return "Not given: both cases and others are needed."


def headline_rows(study: ReaderStudy) -> tuple[tuple[str, str, str], ...]:
    """Title, value, sentence of the three cards on top."""
    row = next(each for each in study.readers if each.reader == LSTM)
    table, counts = row.table, row.counts
    return (
        (
            "AUC of the LSTM",
            estimate_text(row.area, 3),
            sentence(row.area.method) if row.area else _why_no_area(counts),
        ),
        (
            "Recall (sensitivity)",
            estimate_text(table.recall),
            f"{counts.tp} of {counts.tp + counts.fn} scans with a fracture were flagged.",
        ),
        (
            "Specificity",
            estimate_text(table.specificity),
            f"{counts.tn} of {counts.fp + counts.tn} scans without a fracture were not flagged.",
        ),
    )
