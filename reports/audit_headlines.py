"""The headlines of an audit: each a sentence with its interval, and beside it all that it rests on. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from estimates.audit_numbers import REFUSED, TARGET_CONDITION, AuditNumbers, Number
from reports.audit_words import (
    HIDDEN,
    NOT_GIVEN,
    count,
    endpoint_text,
    interval_text,
    is_shown,
    noun,
    percent,
    value_text,
)

FLAGGED_SHARE, REPORTED_SHARE = "flagged share", "reported share"
PREVALENCE, CORRECTED, MISSED_RATE = "prevalence", "corrected prevalence", "missed-diagnosis rate"
STRICT, LENIENT = "strict", "lenient"


@dataclass(frozen=True)
class Headline:
    """One headline. `interval` is empty where no value is shown; `rests_on` never is."""

    title: str
    value: str
    interval: str
    sentence: str
    rests_on: tuple[tuple[str, str], ...]
    caveat: str
    is_shown: bool


@dataclass(frozen=True)
class _Kind:
    """What is asked for, and its sentence with {value} and {noun}."""

    title: str
    quantity: str
    definition: str
    sentence: str
    is_weighted: bool = True
    is_told_when_refused: bool = True


_ALWAYS = (
    _Kind("Flagged by the AI", FLAGGED_SHARE, "", "The AI flagged {value} of the scored {noun}", False),
    _Kind(
        "Reported, strict definition",
        REPORTED_SHARE,
        STRICT,
        "Reports say “fracture” in {value} of the {noun} with a report",
        False,
    ),
    _Kind(
        "Reported, lenient definition",
        REPORTED_SHARE,
        LENIENT,
        "Reports say “fracture”, doubt one, or use an ambiguous word in {value} of the {noun} with a report",
        False,
    ),
)
_READ = (
    _Kind(
        "Prevalence", PREVALENCE, "", "An estimated {value} of the scanned {noun} have a vertebral fracture"
    ),
    _Kind(
        "Missed, strict definition",
        MISSED_RATE,
        STRICT,
        "The report does not say “fracture” in an estimated {value} of the cases that have a report",
    ),
    _Kind(
        "Missed, lenient definition",
        MISSED_RATE,
        LENIENT,
        "The report has not even a doubt or an ambiguous word in an estimated {value} of the cases that have a report",
    ),
    _Kind(
        "Sensitivity of the AI",
        "sensitivity of the AI",
        "",
        "The AI flags an estimated {value} of the cases that it scored",
        is_told_when_refused=False,
    ),
    _Kind(
        "Specificity of the AI",
        "specificity of the AI",
        "",
        "The AI leaves an estimated {value} of the scored {noun} without a fracture unflagged",
        is_told_when_refused=False,
    ),
    _Kind(
        "Positive predictive value of the AI",
        "positive predictive value of the AI",
        "",
        "An estimated {value} of what the AI flags are cases",
        is_told_when_refused=False,
    ),
)
_CORRECTED = _Kind(
    "Corrected prevalence",
    CORRECTED,
    "",
    "Corrected for the errors of the AI, {value} of the scanned {noun} have a vertebral fracture",
)


def headlines(numbers: AuditNumbers) -> tuple[Headline, ...]:
    """In the order of the page. What may not be given stands there with the reason."""
    told = [_headline(numbers, kind) for kind in (*_READ, *_ALWAYS)]
    corrected = numbers.find(CORRECTED)
    if is_shown(corrected) and numbers.basis.is_simulated_only and not numbers.basis.n_read:
        raise ValueError("weights from simulated scans and no readings: no corrected prevalence may be shown")
    if corrected is not None and (is_shown(corrected) or not numbers.basis.n_read):
        told.append(_headline(numbers, _CORRECTED))
    return tuple(each for each in told if each is not None)


def endpoints(numbers: AuditNumbers) -> tuple[str, ...]:
    """The endpoints, the primary one first, as the numbers name them."""
    return tuple(dict.fromkeys(number.endpoint for number in numbers.numbers if number.endpoint))


def primary(numbers: AuditNumbers) -> str:
    return next(iter(endpoints(numbers)), "")


def _headline(numbers: AuditNumbers, kind: _Kind) -> Headline | None:
    wanted = {"dimension": "all", "definition": kind.definition}
    number = numbers.find(kind.quantity, **wanted) or numbers.find(kind.quantity, dimension="all")
    if number is None or not (is_shown(number) or kind.is_told_when_refused):
        return None
    return Headline(
        kind.title,
        value_text(number).replace(HIDDEN, "hidden"),
        interval_text(number),
        _sentence(numbers, kind, number),
        _rests_on(numbers, number),
        numbers.basis.caveat,
        is_shown(number),
    )


def _sentence(numbers: AuditNumbers, kind: _Kind, number: Number) -> str:
    if not is_shown(number) or number.value is None:
        state = NOT_GIVEN if number.status == REFUSED else "hidden"
        return f"{kind.title}: {state}. Why: {number.note}."
    of_whom = noun(numbers.basis)
    told = kind.sentence.format(value=percent(number.value), noun=of_whom)
    sentence = f"{told} ({interval_text(number)}){_counts(number, kind)}."
    return sentence + _other_endpoint(numbers, number)


def _counts(number: Number, kind: _Kind) -> str:
    if number.numerator is None or number.denominator is None:
        return ""
    about = "about " if kind.is_weighted else ""
    return f": {about}{count(number.numerator)} of {count(number.denominator)}"


def _other_endpoint(numbers: AuditNumbers, number: Number) -> str:
    """The same with the other endpoint, in a short sentence."""
    if not number.endpoint:
        return ""
    others = [
        f" With {endpoint_text(other.endpoint)}: {value_text(other)} ({interval_text(other)})."
        for other in numbers.select(
            section=number.section, quantity=number.quantity, definition=number.definition, dimension="all"
        )
        if other.endpoint != number.endpoint and is_shown(other)
    ]
    return "".join(others[:1])


def _endpoint_of(number: Number) -> str:
    if number.endpoint:
        return endpoint_text(number.endpoint)
    if number.quantity == FLAGGED_SHARE:
        return "a flag of the AI at its operating point; a flag is no fracture"
    if number.quantity == REPORTED_SHARE:
        return "a statement of the report; a statement is no fracture"
    return "a case at the operating point of the AI"


def _reference_of(numbers: AuditNumbers, number: Number) -> str:
    if number.quantity in (FLAGGED_SHARE, REPORTED_SHARE):
        return "none: not read by people"
    if number.quantity == CORRECTED:
        return "an external set that people read" if is_shown(number) else "none"
    return numbers.basis.reference


_Telling = Callable[[AuditNumbers, Number], str]
_RESTS_ON: tuple[tuple[str, _Telling], ...] = (
    ("target condition", lambda numbers, number: TARGET_CONDITION),
    ("endpoint", lambda numbers, number: _endpoint_of(number)),
    ("ages", lambda numbers, number: numbers.basis.ages),
    ("counted", lambda numbers, number: number.conditioned_on or numbers.basis.unit),
    ("reference", _reference_of),
    ("method", lambda numbers, number: number.method or "none"),
)


def _rests_on(numbers: AuditNumbers, number: Number) -> tuple[tuple[str, str], ...]:
    return tuple((name, tell(numbers, number)) for name, tell in _RESTS_ON)
