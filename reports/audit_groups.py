"""The numbers of an audit by group (sex, age, year, site, scanner, coverage), and the table of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from estimates.audit_numbers import REFUSED, AuditNumbers, Number
from reports.audit_headlines import (
    FLAGGED_SHARE,
    LENIENT,
    MISSED_RATE,
    PREVALENCE,
    REPORTED_SHARE,
    STRICT,
    primary,
)
from reports.audit_words import HIDDEN_NOTE, cell_text, count, is_shown
from reports.figures.dots import Dot

SEXES = {"F": "women", "M": "men", "O": "other", "unknown": "sex unknown"}
PERCENT_INTERVAL = "% (95 % interval)"


@dataclass(frozen=True)
class Table:
    """One table; the first column names the group. `notes` stand below it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """One group of a dimension with its numbers; None where the audit has no such number."""

    label: str
    n_units: int | None
    flagged: Number | None
    reported: tuple[Number | None, Number | None]  # strict, lenient
    prevalence: Number | None = None
    missed: tuple[Number | None, Number | None] = (None, None)
    is_counted: bool = True

    def numbers(self) -> tuple[Number | None, ...]:
        return (self.flagged, *self.reported, self.prevalence, *self.missed)


def groups_of(numbers: AuditNumbers, dimension: str) -> tuple[Group, ...]:
    """All groups of a dimension, `under` first and `unknown` last; ages that do not count after those that do."""
    endpoint = primary(numbers)
    shares = {
        key: numbers.select(section="prevalence", quantity=key[0], definition=key[1])
        for key in ((FLAGGED_SHARE, ""), (REPORTED_SHARE, STRICT), (REPORTED_SHARE, LENIENT))
    }
    found = []
    for i, row in enumerate(numbers.strata):  # the shares stand in the order of the strata
        if row.dimension != dimension:
            continue
        flagged, strict, lenient = (_at(rows, i, dimension, row.category) for rows in shares.values())
        read = {"endpoint": endpoint, "dimension": dimension, "category": row.category}
        by = [
            numbers.find(MISSED_RATE, section="missed", definition=each, **read) for each in (STRICT, LENIENT)
        ]
        found.append(
            Group(
                group_label(dimension, row.category),
                row.n_units,
                flagged,
                (strict, lenient),
                numbers.find(PREVALENCE, section="prevalence", **read) if row.is_counted else None,
                (by[0], by[1]) if row.is_counted else (None, None),
                row.is_counted,
            )
        )
    return tuple(sorted(found, key=_order))


def _at(rows: Sequence[Number], place: int, dimension: str, category: str) -> Number | None:
    """The share of that row of the strata: ages of a band can be counted in one row and not in another."""
    if place < len(rows) and (rows[place].dimension, rows[place].category) == (dimension, category):
        return rows[place]
    return next((n for n in rows if (n.dimension, n.category) == (dimension, category)), None)


def _order(group: Group) -> tuple[bool, bool, bool, str]:
    is_unknown = "unknown" in group.label
    return (not group.is_counted, is_unknown, not group.label.startswith("under"), group.label)


def group_label(dimension: str, category: str) -> str:
    """`F` of sex is `women`; `50-59, F` is `50-59, women`; everything else as it is."""
    if dimension == "sex":
        return SEXES.get(category, category)
    if dimension == "age and sex":
        age, _, sex = category.rpartition(", ")
        return f"{age}, {SEXES.get(sex, sex)}"
    return category


def dot_of(number: Number | None) -> Dot | None:
    if number is None:
        return None
    if not is_shown(number):
        return Dot(None, None, None, cell_text(number))
    return Dot(number.value, number.low, number.high, cell_text(number))


def notes_of(labelled: Sequence[tuple[str, Sequence[Number | None]]]) -> tuple[str, ...]:
    """Why numbers are hidden or not given, each reason once, with the groups."""
    notes: list[str] = []
    reasons: dict[str, list[str]] = {}
    for label, row in labelled:
        for number in row:
            if number is None or is_shown(number):
                continue
            if number.status == REFUSED:
                reasons.setdefault(number.note, []).append(label)
            elif HIDDEN_NOTE not in notes:
                notes.append(HIDDEN_NOTE)
    for reason, labels in reasons.items():
        notes.append(f"Not given ({', '.join(dict.fromkeys(labels))}): {reason}.")
    return tuple(notes)


def group_table(numbers: AuditNumbers, dimension: str, title: str) -> Table:
    """Every number of every group of the dimension."""
    groups = groups_of(numbers, dimension)
    has_prevalence = any(group.prevalence for group in groups)
    columns = [title, numbers.basis.unit.split(",")[0], "flagged", "reported, strict", "reported, lenient"]
    rows = []
    for group in groups:
        name = group.label if group.is_counted else f"{group.label} (not of the ages counted)"
        shares = [cell_text(each) for each in (group.flagged, *group.reported)]
        if has_prevalence:
            shares.append(cell_text(group.prevalence))
        rows.append((name, count(group.n_units), *shares))
    if has_prevalence:
        columns.append("prevalence (from the readings)")
    notes = notes_of([(group.label, group.numbers()[:4]) for group in groups])
    if not any(HIDDEN_NOTE in note for note in notes) and any(group.n_units is None for group in groups):
        notes = (HIDDEN_NOTE, *notes)
    caption = f"By {title}; shares in {PERCENT_INTERVAL}"
    return Table(caption, tuple(columns), tuple(rows), notes)
