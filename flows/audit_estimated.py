"""Numbers from the readings: prevalence, missed diagnoses, accuracy of AI and reports, by group and grade. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from estimates.audit_cells import Cell, Definition
from estimates.audit_domains import share_of_labels, standardised_from_reads
from estimates.audit_estimates import (
    Reader,
    missed_rate,
    predictive_value,
    prevalence,
    sensitivity,
    share_of_missed,
    specificity,
)
from estimates.audit_limits import MonteCarlo
from estimates.audit_numbers import AuditBasis, Number, number_of, refused_number
from estimates.audit_reads import AuditReads
from estimates.bounds import audit_bounds
from estimates.result import Estimate, Refused
from flows.audit_prevalence import band_of, standard_bands, standard_weights
from flows.audit_reads import (
    AMBIGUOUS,
    DENIED,
    GROUPS,
    KNOWN,
    MISSABLE,
    SILENT,
    Label,
    ReadSample,
    finding_label,
    group_label,
    group_labels,
    group_missable_label,
    labelled_reads,
    missable_finding_label,
    missable_label,
    silence_label,
)
from flows.audit_verdicts import CASE_CLASSES, Endpoint
from warehouse.records import AuditUnitRecord

READER_GROUP = "reader group"  # of the reports, not of the audit
PREVALENCE, MISSED_RATE, SHARE_OF_MISSED = "prevalence", "missed-diagnosis rate", "share of missed"


@dataclass(frozen=True, slots=True)
class Told:
    """Where the estimates of one endpoint come from, and how their limits are drawn."""

    sample: ReadSample
    endpoint: Endpoint
    basis: AuditBasis
    how: MonteCarlo

    def reads(self, classes: Sequence[str], label: Label) -> tuple[AuditReads, list[tuple[Cell, int]]]:
        """The reads by label, and the cells without any."""
        return labelled_reads(self.sample, classes, label)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number stands in the table."""

    section: str
    quantity: str
    endpoint: str
    definition: str = ""
    dimension: str = "all"
    category: str = "all"


Unread = list[tuple[Cell, int]]


def estimated_numbers(sample: ReadSample, basis: AuditBasis, how: MonteCarlo) -> list[Number]:
    """Every estimate of both endpoints. What would be wrong stands in its place as refused, with the reason."""
    numbers: list[Number] = []
    for endpoint in Endpoint:
        told = Told(sample, endpoint, basis, how)
        for part in (_prevalence, _missed, _accuracy, _by_grade, _by_group):
            numbers += part(told)
    return numbers


def tried(place: Place, make: Callable[[], Estimate]) -> Number:
    """The estimate as a number, or its refusal in the same place."""
    try:
        return number_of(make(), **asdict(place))
    except Refused as error:
        return refused_number(str(error), **asdict(place))


def _whole(
    place: Place, make: Callable[[AuditReads], Estimate], reads: AuditReads, unread: Unread
) -> list[Number]:
    """An estimate over all cells; while some have no verdict it is refused, and its bounds stand beside."""
    if not unread:
        return [tried(place, partial(make, reads))]
    # Not how many units: a note is not suppressed, and the number may be a small one.
    numbers = [refused_number(f"{len(unread)} cells have no verdict that counts", **asdict(place))]
    if not reads.cells:
        return numbers
    low, high = (
        replace(place, section="bounds", quantity=f"{place.quantity}, unread cells at their {end}")
        for end in ("lowest", "highest")
    )
    try:
        found = audit_bounds(reads, unread, make)
    except (Refused, ValueError) as error:
        return [*numbers, refused_number(str(error), **asdict(low))]
    return [*numbers, number_of(found.lowest, **asdict(low)), number_of(found.highest, **asdict(high))]


def _prevalence(told: Told) -> list[Number]:
    classes = CASE_CLASSES[told.endpoint]
    reads, unread = told.reads(classes, finding_label(told.endpoint))
    place = Place("prevalence", PREVALENCE, told.endpoint)
    return [*_whole(place, partial(prevalence, how=told.how), reads, unread), _standardised(told)]


def _standardised(told: Told) -> Number:
    """Prevalence standardised by age to the same bands as the flagged share."""
    by_age = GROUPS["age"]
    bands = standard_bands(told.basis.from_age_years)
    labels = [group_labels(f"from {band}") for band in bands]
    names = [name for pair in labels for name in pair]

    def make() -> Estimate:
        label = group_label(told.endpoint, lambda unit: f"from {band_of(by_age(unit), bands)}")
        reads, unread = told.reads(names, label)
        if unread:
            raise Refused(f"{len(unread)} cells have no verdict that counts")
        weights = standard_weights(bands, told.basis.standard)
        given = f"{told.basis.unit}, {told.basis.ages}, standard {told.basis.standard} cut to these ages"
        return standardised_from_reads(reads, labels, weights, given=given, how=told.how)

    return tried(Place("prevalence", f"{PREVALENCE}, age-standardised", told.endpoint), make)


def _missed(told: Told) -> list[Number]:
    """Missed rate and its parts. Cases that an earlier report stated are known, not missed: left out of both sides."""
    numbers: list[Number] = []
    reads, unread = told.reads((MISSABLE, KNOWN), missable_label(told.endpoint))
    silence, _ = told.reads((DENIED, SILENT, AMBIGUOUS), silence_label(told.endpoint))
    with_report = [(cell, n) for cell, n in unread if cell.has_report]
    for definition in Definition:
        rate = partial(missed_rate, definition=definition, classes=(MISSABLE,), how=told.how)
        place = Place("missed", MISSED_RATE, told.endpoint, definition)
        numbers += _whole(place, rate, reads, with_report)
        part = replace(place, quantity=SHARE_OF_MISSED, dimension="report")
        # Ambiguous words count as reported under the lenient definition.
        for kind in (DENIED, SILENT, *((AMBIGUOUS,) if definition is Definition.STRICT else ())):
            share = partial(share_of_missed, silence, (kind,), definition, told.how)
            numbers.append(tried(replace(part, category=kind), share))
    return numbers


_MEASURES = (
    ("sensitivity", sensitivity),
    ("specificity", specificity),
    ("positive predictive value", predictive_value),
)


def _accuracy(told: Told) -> list[Number]:
    reads, unread = told.reads(CASE_CLASSES[told.endpoint], finding_label(told.endpoint))
    scored = [(cell, n) for cell, n in unread if cell.is_scored]
    with_report = [(cell, n) for cell, n in unread if cell.has_report]
    numbers = []
    for name, measure in _MEASURES:
        place = Place("accuracy", f"{name} of the AI", told.endpoint)
        numbers += _whole(place, partial(measure, reader=Reader.AI, how=told.how), reads, scored)
        for definition in Definition:
            of_reports = partial(measure, reader=Reader.REPORTS, definition=definition, how=told.how)
            place = Place("accuracy", f"{name} of the reports", told.endpoint, definition)
            numbers += _whole(place, of_reports, reads, with_report)
    return numbers


def _by_grade(told: Told) -> list[Number]:
    """Sensitivity and missed rate of each grade, and its share of what was missed."""
    grades = CASE_CLASSES[told.endpoint]
    every, _ = told.reads(grades, finding_label(told.endpoint))
    missable, _ = told.reads(grades, missable_finding_label(told.endpoint))
    numbers = []
    for grade in grades:
        place = Place("accuracy", "sensitivity of the AI", told.endpoint, "", "grade", grade)
        found = partial(sensitivity, every, Reader.AI, classes=(grade,), how=told.how)
        numbers.append(tried(place, found))
        for definition in Definition:
            place = Place("missed", MISSED_RATE, told.endpoint, definition, "grade", grade)
            rate = partial(missed_rate, missable, definition, (grade,), told.how)
            share = partial(share_of_missed, missable, (grade,), definition, told.how)
            numbers += [tried(place, rate), tried(replace(place, quantity=SHARE_OF_MISSED), share)]
    return numbers


def _by_group(told: Told) -> list[Number]:
    """Prevalence and missed rates by sex, age, year, site, scanner and coverage; missed rates by who reported."""
    numbers = []
    for dimension, group in GROUPS.items():
        numbers += _prevalence_in_groups(told, dimension, group) + _missed_in_groups(told, dimension, group)
    if any(unit.reader_group for unit, _ in told.sample.judged):
        numbers += _missed_in_groups(told, READER_GROUP, lambda unit: unit.reader_group or "unknown")
    return numbers


def _groups(told: Told, group: Callable[[AuditUnitRecord], str]) -> list[str]:
    return sorted({group(unit) for unit, _ in told.sample.judged})


def _prevalence_in_groups(
    told: Told, dimension: str, group: Callable[[AuditUnitRecord], str]
) -> list[Number]:
    groups = _groups(told, group)
    labels = [name for one in groups for name in group_labels(one)]
    reads, _ = told.reads(labels, group_label(told.endpoint, group))
    numbers = []
    for one in groups:
        case, none = group_labels(one)
        given = f"{dimension} {one}; {told.basis.unit}"
        share = partial(share_of_labels, reads, (case,), (none,), name=PREVALENCE, given=given, how=told.how)
        place = Place("prevalence", PREVALENCE, told.endpoint, "", dimension, one)
        numbers.append(tried(place, share))
    return numbers


def _missed_in_groups(told: Told, dimension: str, group: Callable[[AuditUnitRecord], str]) -> list[Number]:
    groups = _groups(told, group)
    missable, _ = told.reads(groups, group_missable_label(told.endpoint, group))
    numbers = []
    for one in groups:
        for definition in Definition:
            rate = partial(missed_rate, missable, definition, (one,), told.how)
            place = Place("missed", MISSED_RATE, told.endpoint, definition, dimension, one)
            numbers.append(tried(place, rate))
    return numbers
