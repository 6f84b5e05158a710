"""The sections of an audit's page that show groups: each with its pictures and the tables of the same numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from estimates.audit_numbers import AuditNumbers, Number
from reports.audit_groups import (
    PERCENT_INTERVAL,
    SEXES,
    Group,
    Table,
    dot_of,
    group_table,
    groups_of,
    notes_of,
)
from reports.audit_headlines import LENIENT, MISSED_RATE, STRICT, primary
from reports.audit_words import cell_text, is_shown
from reports.figures.dots import Dot, DotRow, dot_chart
from reports.figures.svg import Figure

DIMENSIONS = ("sex", "age", "year", "site", "scanner", "coverage")


@dataclass(frozen=True)
class Section:
    """A heading with its pictures and tables."""

    name: str
    title: str
    pictures: tuple[Figure, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class _Plot:
    """What a chart of groups shows: `pick` gives one number for each of the series."""

    name: str
    title: str
    axis: str
    series: tuple[str, ...]
    pick: Callable[[Group], tuple[Number | None, ...]]


def _flagged(name: str, title: str) -> _Plot:
    return _Plot(name, title, "flagged, % of scored", ("flagged",), lambda group: (group.flagged,))


def _prevalence(name: str, title: str) -> _Plot:
    return _Plot(name, title, "prevalence, %", ("prevalence",), lambda group: (group.prevalence,))


_MISSED = _Plot(
    "forest-missed",
    "Missed-diagnosis rate (strict) in subgroups",
    "missed, % of cases with a report",
    ("missed",),
    lambda group: (group.missed[0],),
)
_SHARES = _Plot(
    "groups",
    "Flagged, and reported (strict), by year, site, scanner and coverage",
    "% of scored; % of those with a report",
    ("flagged by the AI", "reported (strict)"),
    lambda group: (group.flagged, group.reported[0]),
)


def sections(numbers: AuditNumbers) -> tuple[Section, ...]:
    """In the order of the page. Nothing about missed diagnoses when nobody has read."""
    found = [_age_and_sex(numbers), _other_groups(numbers)]
    if numbers.basis.n_read:
        found.append(_missed(numbers))
    return (*found, _forest(numbers))


def _age_and_sex(numbers: AuditNumbers) -> Section:
    """Flagged share by age and sex, and prevalence by age and by sex where people have read."""
    pictures = [_flagged_by_age_and_sex(numbers)]
    if any(group.prevalence for group in groups_of(numbers, "age")):
        plot = _prevalence("prevalence-age", "Prevalence by age, and by sex")
        pictures.append(_by_dimension(numbers, ("age", "sex"), plot))
    tables = [
        group_table(numbers, dimension, title)
        for dimension, title in (("age", "age in years"), ("sex", "sex"), ("age and sex", "age and sex"))
    ]
    title = "Prevalence by age and sex" if numbers.basis.n_read else "Flagged and reported, by age and sex"
    return Section("age", title, tuple(pictures), tuple(tables))


def _flagged_by_age_and_sex(numbers: AuditNumbers) -> Figure:
    """Women and men beside each other; ages and sexes by themselves where small counts hide all of the former."""
    crossed = groups_of(numbers, "age and sex")
    if not any(is_shown(group.flagged) for group in crossed):
        plot = _flagged("age-sex", "Flagged by the AI, by age, and by sex")
        return _by_dimension(numbers, ("age", "sex"), plot)
    sexes = [sex for sex in SEXES.values() if any(_sex(group) == sex for group in crossed)]
    rows = []
    for group in (each for each in groups_of(numbers, "age") if each.is_counted):
        found = {_sex(each): each.flagged for each in crossed if _age(each) == group.label}
        rows.append(DotRow(group.label, tuple(dot_of(found.get(sex)) for sex in sexes)))
    title = "Flagged by the AI, by age and sex"
    return dot_chart("age-sex", title, "flagged, % of scored", sexes, rows)


def _sex(group: Group) -> str:
    return group.label.rpartition(", ")[2]


def _age(group: Group) -> str:
    return group.label.rpartition(", ")[0]


def _by_dimension(numbers: AuditNumbers, dimensions: Sequence[str], plot: _Plot) -> Figure:
    """Groups of several dimensions under each other, with everybody's share as a dashed line."""
    everybody = groups_of(numbers, "all")
    rows = []
    for dimension in dimensions:
        groups = [group for group in groups_of(numbers, dimension) if group.is_counted]
        if len(dimensions) > 1 and groups:
            rows.append(DotRow(dimension))
        rows += [DotRow(group.label, _dots(plot, group)) for group in groups]
    references = [each.value if each else None for each in plot.pick(everybody[0])] if everybody else []
    return dot_chart(plot.name, plot.title, plot.axis, plot.series, rows, references=references)


def _dots(plot: _Plot, group: Group) -> tuple[Dot | None, ...]:
    return tuple(dot_of(each) for each in plot.pick(group))


def _other_groups(numbers: AuditNumbers) -> Section:
    """Flagged and reported shares by year, site, scanner and coverage."""
    dimensions = ("year", "site", "scanner", "coverage")
    tables = tuple(group_table(numbers, dimension, dimension) for dimension in dimensions)
    picture = _by_dimension(numbers, dimensions, _SHARES)
    return Section("groups", "By year, site, scanner and coverage", (picture,), tables)


def _forest(numbers: AuditNumbers) -> Section:
    """Subgroups under each other: prevalence and missed rate where people have read, else the flagged share."""
    plots = [
        _flagged("forest", "Flagged share in subgroups (nobody has read: no prevalence, no missed rate)")
    ]
    if numbers.basis.n_read:
        plots = [_prevalence("forest", "Prevalence in subgroups"), _MISSED]
    pictures = tuple(_by_dimension(numbers, DIMENSIONS, plot) for plot in plots)
    return Section("forest", "Subgroups", pictures, ())


MISSED_BY = ("grade", "year", "site", "reader group")


@dataclass(frozen=True)
class _MissedRow:
    """One group: its missed rates and its share of all missed ones, under both definitions."""

    dimension: str
    category: str
    rates: tuple[Number | None, Number | None]
    share: Number | None


def _missed(numbers: AuditNumbers) -> Section:
    """Missed rate by grade, year, site and group of those who reported, and how the missed ones were missed."""
    endpoint = primary(numbers)
    found = [row for each in MISSED_BY for row in _missed_rows(numbers, endpoint, each)]
    rows: list[DotRow] = []
    for i, row in enumerate(found):
        if i == 0 or found[i - 1].dimension != row.dimension:
            rows.append(DotRow(row.dimension))
        rows.append(DotRow(row.category, tuple(dot_of(each) for each in row.rates)))
    overall = _pair(numbers, endpoint, "all", "all")
    picture = dot_chart(
        "missed",
        f"Missed-diagnosis rate by {_listed(list(dict.fromkeys(row.dimension for row in found)))}",
        "missed, % of cases with a report",
        ("strict: only “fracture” is reported", "lenient: ambiguous words too"),
        rows,
        references=[each.value if each else None for each in overall],
    )
    return Section(
        "missed", "Missed diagnoses", (picture,), (_missed_table(found), _how_missed(numbers, endpoint))
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("group",)
    return f"{', '.join(first)} and {last}" if first else last


def _missed_rows(numbers: AuditNumbers, endpoint: str, dimension: str) -> list[_MissedRow]:
    wanted = {"section": "missed", "endpoint": endpoint, "dimension": dimension}
    listed = dict.fromkeys(number.category for number in numbers.select(quantity=MISSED_RATE, **wanted))
    return [
        _MissedRow(
            dimension,
            category,
            _pair(numbers, endpoint, dimension, category),
            numbers.find("share of missed", category=category, definition=STRICT, **wanted),
        )
        for category in listed
    ]


def _pair(
    numbers: AuditNumbers, endpoint: str, dimension: str, category: str
) -> tuple[Number | None, Number | None]:
    """The missed rate under the strict and under the lenient definition."""
    wanted = {"section": "missed", "endpoint": endpoint, "dimension": dimension, "category": category}
    strict, lenient = (numbers.find(MISSED_RATE, definition=each, **wanted) for each in (STRICT, LENIENT))
    return strict, lenient


def _missed_table(found: Sequence[_MissedRow]) -> Table:
    listed = [
        (
            row.category if row.dimension == "grade" else f"{row.dimension} {row.category}",
            *(cell_text(each) for each in row.rates),
            cell_text(row.share) or "-",
        )
        for row in found
    ]
    columns = ("group", "missed, strict", "missed, lenient", "share of all missed, strict")
    notes = notes_of([(row.category, (*row.rates, row.share)) for row in found])
    return Table(f"Missed-diagnosis rate, {PERCENT_INTERVAL}", columns, tuple(listed), notes)


def _how_missed(numbers: AuditNumbers, endpoint: str) -> Table:
    """Denied, silent, or in ambiguous words: the share of each among the missed."""
    found = numbers.select(
        section="missed", quantity="share of missed", endpoint=endpoint, dimension="report"
    )
    rows: dict[str, dict[str, Number]] = {}
    for number in found:
        rows.setdefault(number.category, {})[number.definition] = number
    listed = [
        (kind, *(cell_text(by.get(definition)) or "-" for definition in (STRICT, LENIENT)))
        for kind, by in rows.items()
    ]
    notes = notes_of([(number.category, (number,)) for number in found])
    columns = ("what the report does instead", "strict", "lenient")
    caption = f"How the missed ones were missed, {PERCENT_INTERVAL} of the missed"
    return Table(caption, columns, tuple(listed), notes)
