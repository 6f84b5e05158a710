"""Numbers that need no reading: flagged and reported shares by group, standardised, with bounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from estimates.audit_numbers import AuditBasis, Number, StratumRow, number_of, refused_number
from estimates.bounds import missing_bounds
from estimates.proportion import clopper_pearson
from estimates.result import Estimate, Refused
from estimates.rogan_gladen import Accuracy, lang_reiczigel
from estimates.standard import age_standard, fay_feuer, truncated

FLAGGED_SHARE = "flagged share"
REPORTED_SHARE = "reported share"
CORRECTED = "corrected prevalence"
SECTION = "prevalence"
BANDS_FROM = (50, 60, 70, 80)  # of standardised numbers; the last is open: above it single decades are thin

StratumCount = Callable[[StratumRow], int]


def prevalence_numbers(
    strata: Sequence[StratumRow], basis: AuditBasis, accuracy: Accuracy | None
) -> list[Number]:
    """All of them; `strata` are not suppressed yet."""
    numbers = [number for row in strata for number in _shares(row, basis)]
    everybody = [row for row in strata if row.dimension == "all"]
    if everybody:
        numbers += _bounds(everybody[0], basis)
        numbers += _standardised(strata, basis)
        numbers.append(_corrected(everybody[0], basis, accuracy))
    return numbers


def n_scored(row: StratumRow) -> int:
    return (row.n_flagged or 0) + (row.n_not_flagged or 0)


def n_with_report(row: StratumRow) -> int:
    return (row.n_report_fracture or 0) + (row.n_report_ambiguous or 0) + (row.n_report_none or 0)


def _n_flagged(row: StratumRow) -> int:
    return row.n_flagged or 0


def _n_strict(row: StratumRow) -> int:
    return row.n_report_fracture or 0


def _n_lenient(row: StratumRow) -> int:
    return _n_strict(row) + (row.n_report_ambiguous or 0)


# Quantity, definition, count, of how many, of whom.
_SHARES: tuple[tuple[str, str, StratumCount, StratumCount, str], ...] = (
    (FLAGGED_SHARE, "", _n_flagged, n_scored, "scored"),
    (REPORTED_SHARE, "strict", _n_strict, n_with_report, "with a report"),
    (REPORTED_SHARE, "lenient", _n_lenient, n_with_report, "with a report"),
)


def _shares(row: StratumRow, basis: AuditBasis) -> list[Number]:
    numbers = []
    for quantity, definition, count, of, whom in _SHARES:
        place = {"definition": definition, "dimension": row.dimension, "category": row.category}
        given = f"{basis.unit}, {whom}, {_ages(row, basis)}"
        if of(row):
            share = clopper_pearson(count(row), of(row), name=quantity, given=given)
            numbers.append(number_of(share, section=SECTION, **place))
        else:
            numbers.append(refused_number(f"nobody {whom} here", section=SECTION, quantity=quantity, **place))
    return numbers


def _ages(row: StratumRow, basis: AuditBasis) -> str:
    return basis.ages if row.is_counted else "ages outside the target condition"


def _bounds(row: StratumRow, basis: AuditBasis) -> list[Number]:
    """The flagged share if none, and if all, of what was not scored were flagged."""
    missing = (row.n_not_scored or 0) + (row.n_undecided or 0)
    if not n_scored(row):
        return []
    found = missing_bounds(row.n_flagged or 0, n_scored(row), missing, given=f"{basis.unit}, {basis.ages}")
    return [
        number_of(found.best, section="bounds", quantity="flagged share, not scored ones not flagged"),
        number_of(found.worst, section="bounds", quantity="flagged share, not scored ones all flagged"),
    ]


def standard_bands(from_age_years: int) -> tuple[int, ...]:
    """Ages from which the standardised bands run, whoever is there: a band without anybody is refused, not left out."""
    return (from_age_years, *(start for start in BANDS_FROM if start > from_age_years))


def band_of(category: str, bands: Sequence[int]) -> int | None:
    """The age from which the band of an age category (`audit_units.age`) runs; None for an unknown age."""
    if category == "unknown":
        return None
    start = 0 if category == "under 50" else int(category[:2])
    return max((band for band in bands if band <= start), default=bands[0])


def standard_weights(starts: Sequence[int], name: str) -> tuple[float, ...]:
    """Weights of the bands that open at these ages. Refused when the standard has no band there."""
    try:
        return truncated(age_standard(name), starts).weights
    except ValueError as error:
        raise Refused(str(error)) from error


def _standardised(strata: Sequence[StratumRow], basis: AuditBasis) -> list[Number]:
    rows = [row for row in strata if row.dimension == "age" and row.is_counted]
    bands = standard_bands(basis.from_age_years)
    numbers = []
    for quantity, definition, count, of, whom in _SHARES:
        name = f"{quantity}, age-standardised"
        try:
            weights = standard_weights(bands, basis.standard)
            n = [_sum(rows, bands, band, of) for band in bands]
            x = [_sum(rows, bands, band, count) for band in bands]
            given = f"{basis.unit}, {whom}, {basis.ages}, standard {basis.standard} cut to these ages"
            found = fay_feuer(x, n, weights, given=given, name=name)
            numbers.append(number_of(found, section=SECTION, definition=definition))
        except (Refused, ValueError) as error:
            numbers.append(refused_number(str(error), section=SECTION, quantity=name, definition=definition))
    return numbers


def _sum(rows: Sequence[StratumRow], bands: Sequence[int], band: int, count: StratumCount) -> int:
    return sum(count(row) for row in rows if band_of(row.category, bands) == band)


def _corrected(row: StratumRow, basis: AuditBasis, accuracy: Accuracy | None) -> Number:
    """Rogan-Gladen with Lang-Reiczigel, only from a named set that people read; else the reason why not."""
    if basis.is_simulated_only and not basis.n_read:
        return _refused(
            "the weights were trained on simulated scans and nobody has read a scan of this archive"
        )
    if accuracy is None:
        return _refused(
            "flags are no fractures: name an external human-read set (--accuracy), or audit a sample"
        )
    if not n_scored(row):
        return _refused("nothing was scored")
    try:
        given = f"{basis.unit}, scored, {basis.ages}"
        found: Estimate = lang_reiczigel(_n_flagged(row), n_scored(row), accuracy, given=given).estimate
    except Refused as error:
        return _refused(str(error))
    return number_of(found, section=SECTION)


def _refused(reason: str) -> Number:
    return refused_number(reason, section=SECTION, quantity=CORRECTED)
