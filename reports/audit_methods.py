"""The methods paragraph of an audit, made from what was really done, and the versions behind it. Pure."""

from __future__ import annotations

from estimates.audit_numbers import TARGET_CONDITION, AuditBasis, AuditNumbers
from estimates.standard import SOURCES
from estimates.suppress import SMALLEST_SHOWN, TOP_AGE
from reports.audit_headlines import endpoints
from reports.audit_words import count, endpoint_text, interval_text, is_shown, noun, small_count, value_text


def methods(numbers: AuditNumbers) -> tuple[str, ...]:
    """Paragraphs: who was counted, who said what, what was read, how it was computed, what was left out."""
    basis = numbers.basis
    told = [
        _counted(basis),
        _said(basis),
        _read(numbers),
        *_computed(numbers),
        _limits(basis),
        _left_out(basis),
    ]
    return tuple(paragraph for paragraph in told if paragraph)


def _counted(basis: AuditBasis) -> str:
    return (
        f"Target condition: {TARGET_CONDITION}. Counted were {basis.unit}, of {basis.ages}: "
        f"{small_count(basis.n_units, basis)} {noun(basis)}. Younger ones and unknown ages are rows of their own "
        "and part of no headline. All exams of a patient on one day count as one unless the unit is the study: the "
        "strongest result of the AI and the strongest statement of the reports stand for the day."
    )


def _said(basis: AuditBasis) -> str:
    threshold = "" if basis.threshold is None else f" (probability {basis.threshold:.3g} and over is a flag)"
    at = f" at operating point {basis.operating_point_id}{threshold}" if basis.operating_point_id else ""
    model = f"The AI was model {basis.model_id}{at}."
    if basis.is_simulated_only:
        model += (
            " Its weights were trained on simulated scans only and have not been validated on patients: its "
            "flags and probabilities say nothing about patients until people have read a sample."
        )
    if basis.lexicon_digest is None:
        return f"{model} No report was labelled."
    names = f" ({basis.lexicon_names})" if basis.lexicon_names else ""
    return (
        f"{model} What the reports say was read from their texts by rules{names}. Strict: only a report that states a "
        "fracture with that word counts as reported. Lenient: doubted fractures and ambiguous words (deformity, "
        "wedging, height loss) count too."
    )


def _read(numbers: AuditNumbers) -> str:
    basis = numbers.basis
    if basis.audit_id is None:
        return (
            "No sample was drawn and nobody has read a scan of this archive: neither prevalence nor missed rate can "
            "be estimated, for flags and reports both err."
        )
    drawn = (
        f"Audit {basis.audit_id} drew {small_count(basis.n_drawn, basis)} of {small_count(basis.n_units, basis)} "
        f"{noun(basis)} at random (seed {basis.seed}) from {len(numbers.cells)} cells of AI result, report result and "
        "score. Cells, fractions and seed were stored before anything was read; the reading list shows neither "
        "score nor report."
    )
    if not basis.n_read:
        return f"{drawn} No verdict has been imported yet."
    graded = "; ".join(endpoint_text(each) for each in endpoints(numbers))
    parts = [
        f"{drawn} {small_count(basis.n_read, basis)} cases have a verdict, by {_readers(basis)} (Genant grades). "
        f"Endpoints, the primary one first: {graded}.",
    ]
    for n, what in ((basis.n_not_evaluable, "not evaluable"), (basis.n_unsettled, "without agreement")):
        if n:
            parts.append(f"{small_count(n, basis).capitalize()} were {what} and count as not read.")
    parts += [
        f"{each.quantity[0].upper()}{each.quantity[1:]}: {value_text(each)} ({interval_text(each)})."
        for each in numbers.select(section="agreement")
        if is_shown(each)
    ]
    parts += basis.changes
    return " ".join(parts)


def _readers(basis: AuditBasis) -> str:
    if basis.n_readers == 1:
        return "one blinded reader each"
    return f"up to {basis.n_readers} blinded readers each, differences settled by adjudication"


_SECTIONS = {
    "prevalence": "Shares and prevalence",
    "missed": "Missed-diagnosis rate",
    "accuracy": "Accuracy",
    "bounds": "Bounds",
    "beside": "Estimates beside",
    "sensitivity": "Errors of the readers",
    "agreement": "Agreement",
}


def _computed(numbers: AuditNumbers) -> list[str]:
    """The methods that the shown numbers name, and what each was used for."""
    used: dict[str, list[str]] = {}
    for section, title in _SECTIONS.items():
        for number in numbers.select(section=section):
            if is_shown(number) and number.method:
                used.setdefault(number.method, []).append(title)
    told = [f"{', '.join(dict.fromkeys(titles))}: {method}." for method, titles in used.items()]
    if any("standardised" in number.quantity and is_shown(number) for number in numbers.numbers):
        standard = numbers.basis.standard
        source = SOURCES.get(standard, "")
        told.append(f"Age standard: {standard}, cut to the ages counted. {source}.")
    return [" ".join(told)]


def _limits(basis: AuditBasis) -> str:
    return (
        f"These are numbers of scanned {noun(basis)} of one archive, not of a population; no standardisation changes "
        "that. A scan shows some levels only: a negative reads “none in the levels seen”. A case that a report of an "
        "earlier day stated is known, not missed."
    )


def _left_out(basis: AuditBasis) -> str:
    if basis.is_shown_small:
        return "Small counts are shown: this page is for use inside the house only."
    return (
        f"Counts of 1 to {SMALLEST_SHOWN - 1} are hidden, and as many others as it takes that nobody can work one out; "
        f"shares go with their counts. Ages from {TOP_AGE} on are one group."
    )


def versions(basis: AuditBasis) -> tuple[tuple[str, str], ...]:
    """Name → version or digest of everything that the numbers depend on."""
    threshold = "none" if basis.threshold is None else f"{basis.threshold:.6g}"
    return (
        ("model", basis.model_id),
        ("digest of the weights", basis.model_digest),
        ("validation", basis.caveat or "see the model's card"),
        ("operating point", basis.operating_point_id or "none"),
        ("threshold (probability)", threshold),
        ("rules for reports", basis.lexicon_names or "none"),
        ("digest of the rules", basis.lexicon_digest or "none"),
        ("audit", basis.audit_id or "none drawn"),
        ("seed", "none" if basis.seed is None else str(basis.seed)),
        ("drawn and with a verdict", f"{count(basis.n_drawn)}, {small_count(basis.n_read, basis)}"),
        ("age standard", basis.standard),
        ("program", basis.code_version),
    )
