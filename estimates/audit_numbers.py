"""The numbers of one audit as a page or a table shows them: frozen, each with all that must stand beside it."""

from __future__ import annotations

from dataclasses import dataclass

from estimates.result import SIMULATED_CAVEAT, Estimate

TARGET_CONDITION = "osteoporotic vertebral fracture (Genant) in the levels that the scan shows, T4 to L5"
SHOWN, SUPPRESSED, REFUSED = "shown", "suppressed", "refused"


@dataclass(frozen=True)
class AuditBasis:
    """What all numbers of one audit rest on. Audit, seed and readers are empty before a sample was drawn or read."""

    model_id: str
    model_digest: str
    is_simulated_only: bool
    operating_point_id: str | None
    threshold: float | None
    lexicon_digest: str | None
    lexicon_names: str | None
    rule: str  # first | last | patient-day | all
    from_age_years: int
    audit_id: str | None
    seed: int | None
    n_units: int  # of the frame now
    n_drawn: int
    n_read: int  # cases with a verdict
    n_not_evaluable: int
    n_unsettled: int
    n_readers: int  # most readers of one case
    is_frame_unchanged: bool | None  # None before a sample was drawn
    code_version: str
    standard: str  # of age standardisation
    is_shown_small: bool  # small cells are shown: for internal use
    is_point_current: bool = True  # the operating point named here is the one that counts now

    @property
    def ages(self) -> str:
        return f"{self.from_age_years} years and over"

    @property
    def unit(self) -> str:
        """One of what is counted."""
        units = {
            "first": "patients, by their first eligible day",
            "last": "patients, by their last eligible day",
            "patient-day": "patient-days",
            "all": "studies",
        }
        return units[self.rule]

    @property
    def changes(self) -> tuple[str, ...]:
        """What is no longer as it was when the sample was drawn, in sentences."""
        told = []
        if self.is_frame_unchanged is False:
            told.append(
                "The archive has changed since the sample was drawn: the readings stand for it as it was then."
            )
        if not self.is_point_current:
            told.append(
                f"Another operating point counts since the sample was drawn: all flags here are those of "
                f"{self.operating_point_id}. Another sample (ovf audit sample --new) audits those of today."
            )
        return tuple(told)

    @property
    def reference(self) -> str:
        """What a case is held against."""
        if not self.n_read:
            return "none: not read by people"
        return f"{self.n_readers} blinded reader{'s' if self.n_readers > 1 else ''}, {self.n_read} cases"

    @property
    def caveat(self) -> str:
        return SIMULATED_CAVEAT if self.is_simulated_only else ""


@dataclass(frozen=True)
class Number:
    """One number and everything that must stand beside it; one row of numbers.csv.

    `value` to `denominator` are None where it is suppressed or refused; `note` says why. Weighted numerators and
    denominators are numbers of units in the archive that the reads stand for.
    """

    section: str  # prevalence | missed | accuracy | agreement | bounds | beside | sensitivity
    quantity: str
    endpoint: str
    definition: str  # strict | lenient: what counts as reported; empty where it does not matter
    dimension: str
    category: str
    value: float | None
    low: float | None
    high: float | None
    numerator: float | None
    denominator: float | None
    confidence: float
    method: str
    conditioned_on: str
    status: str = SHOWN
    note: str = ""


@dataclass(frozen=True)
class WaterfallStep:
    """One step of the way (reason None), or one reason why studies were lost before it."""

    step: str  # found | ct | eligible | scored | with_report | audited
    outcome: str | None
    reason: str | None
    n_studies: int | None  # None: suppressed


@dataclass(frozen=True)
class StratumRow:
    """Flags and reports of one group of units; the parts sum to `n_units`. None: suppressed."""

    dimension: str
    category: str
    is_counted: bool  # False: of ages that do not count
    n_units: int | None
    n_flagged: int | None
    n_not_flagged: int | None
    n_not_scored: int | None
    n_undecided: int | None
    n_report_fracture: int | None
    n_report_ambiguous: int | None
    n_report_none: int | None
    n_no_report: int | None


@dataclass(frozen=True)
class CellRow:
    """One cell of the audit: units, drawn, with a verdict, cases of the primary endpoint. None: suppressed."""

    ai: str
    report: str
    stratum: int
    score_from: float | None
    score_below: float | None
    n_units: int | None
    n_drawn: int | None
    n_read: int | None
    n_cases: int | None


@dataclass(frozen=True)
class FollowRow:
    """Patients by what came after their first flagged day. None: suppressed."""

    report_then: str
    is_confirmed: bool
    n_later_silent: int  # 5: five or more
    is_reported_later: bool
    n_patients: int | None
    n_later_reports: int | None
    days_to_report: float | None


@dataclass(frozen=True)
class WorklistRow:
    """One unit to read. Identity is None unless it was asked for; the age is pooled from 90 on."""

    list: str  # missed | ambiguous
    place: int
    study_key: str
    series_key: str | None
    site: str
    study_year: int | None
    age_years: int | None
    sex: str
    statement: str
    probability: float
    expected_cases: float  # of this and all before it
    reads_per_case: float | None
    was_read: bool
    patient_id: str | None = None
    accession_numbers: str | None = None
    study_date: str | None = None


@dataclass(frozen=True)
class AuditNumbers:
    """Everything that the page of an audit shows."""

    basis: AuditBasis
    waterfall: tuple[WaterfallStep, ...]
    strata: tuple[StratumRow, ...]
    cells: tuple[CellRow, ...]
    numbers: tuple[Number, ...]
    follow_up: tuple[FollowRow, ...]
    worklist: tuple[WorklistRow, ...]

    def find(self, quantity: str, **wanted: str) -> Number | None:
        """The first number of that quantity and of the fields given, such as endpoint, definition, dimension."""
        for number in self.numbers:
            if number.quantity == quantity and all(getattr(number, k) == v for k, v in wanted.items()):
                return number
        return None

    def select(self, **wanted: str) -> tuple[Number, ...]:
        """All numbers of the fields given."""
        return tuple(
            number for number in self.numbers if all(getattr(number, k) == v for k, v in wanted.items())
        )


def number_of(
    estimate: Estimate,
    *,
    section: str,
    quantity: str | None = None,
    endpoint: str = "",
    definition: str = "",
    dimension: str = "all",
    category: str = "all",
    note: str = "",
) -> Number:
    """An estimate as a number of a table."""
    return Number(
        section,
        quantity or estimate.name,
        endpoint,
        definition,
        dimension,
        category,
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.numerator,
        estimate.denominator,
        estimate.confidence,
        estimate.method,
        estimate.given,
        note=note,
    )


def refused_number(
    reason: str,
    *,
    section: str,
    quantity: str,
    endpoint: str = "",
    definition: str = "",
    dimension: str = "all",
    category: str = "all",
) -> Number:
    """A number that would be wrong, in its place in the table, with the reason."""
    place = (section, quantity, endpoint, definition, dimension, category)
    return Number(*place, None, None, None, None, None, 0.95, "", "", REFUSED, reason)
