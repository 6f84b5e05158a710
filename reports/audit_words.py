"""How the page of an audit says a number, a missing number, and a code. Pure."""

from __future__ import annotations

from estimates.audit_numbers import REFUSED, SHOWN, AuditBasis, Number
from estimates.suppress import SMALLEST_SHOWN

HIDDEN = "hidden*"
NOT_GIVEN = "not given"
HIDDEN_NOTE = f"* hidden: a count of <{SMALLEST_SHOWN}, or one that would give such a count away."
NBSP = "\N{NO-BREAK SPACE}"
AGREEMENT = "agreement"
_COUNTED = "cases, "  # quantities that are numbers of cases, not shares


def count(n: float | None) -> str:
    """`1,234`; None is a hidden count."""
    return HIDDEN if n is None else f"{n:,.0f}"


def small_count(n: int, basis: AuditBasis) -> str:
    """A count that nothing else hid yet: 1 to 4 are not told, unless the page is for inside the house."""
    is_small = 0 < n < SMALLEST_SHOWN and not basis.is_shown_small
    return f"fewer than {SMALLEST_SHOWN}" if is_small else count(n)


def percent(share: float) -> str:
    return f"{100 * share:.1f}{NBSP}%"


def is_shown(number: Number | None) -> bool:
    return number is not None and number.status == SHOWN and number.value is not None


def value_text(number: Number | None) -> str:
    """The value alone: a share in percent, a kappa as it is, a count as a count; or that it is hidden or not given."""
    if number is None:
        return ""
    if number.value is None or number.status != SHOWN:
        return NOT_GIVEN if number.status == REFUSED else HIDDEN
    return _said(number, number.value)


def interval_text(number: Number) -> str:
    """`95 % interval 24.4 to 30.2 %`; empty where there is none."""
    if number.low is None or number.high is None:
        return ""
    confidence = f"{100 * number.confidence:g}{NBSP}%"
    low = _said(number, number.low).replace(f"{NBSP}%", "")
    return f"{confidence} interval {low} to {_said(number, number.high)}"


def cell_text(number: Number | None) -> str:
    """`27.3 (24.4-30.2)`: for columns whose heading says the unit."""
    if number is None or not is_shown(number):
        return value_text(number)
    assert number.value is not None
    said = _said(number, number.value).replace(f"{NBSP}%", "")
    if number.low is None or number.high is None:
        return said
    low, high = (_said(number, end).replace(f"{NBSP}%", "") for end in (number.low, number.high))
    return f"{said}{NBSP}({low}\N{EN DASH}{high})"


def _said(number: Number, value: float) -> str:
    if number.section == AGREEMENT:
        return f"{value:.2f}"
    return f"{value:,.0f}" if number.quantity.startswith(_COUNTED) else percent(value)


def unit_of(number: Number) -> str:
    """What the value is measured in, for a column of mixed numbers."""
    if number.section == AGREEMENT:
        return ""
    return "cases" if number.quantity.startswith(_COUNTED) else "%"


def noun(basis: AuditBasis) -> str:
    """`patients`, `patient-days` or `studies`."""
    return basis.unit.split(",")[0]


def plain(code: str) -> str:
    """A code as words: `not_scored` → `not scored`."""
    return code.replace("_", " ")


def endpoint_text(endpoint: str) -> str:
    return endpoint.replace(">=", "\N{GREATER-THAN OR EQUAL TO}")
