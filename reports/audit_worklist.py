"""The worklist on the page of an audit: which scans to read first, with their pictures where there are some. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from estimates.audit_numbers import AuditNumbers, WorklistRow
from estimates.suppress import TOP_AGE

PNG_START = b"\x89PNG\r\n\x1a\n"
TITLES = {
    "missed": "Flagged, and the report denies a fracture or does not mention one",
    "ambiguous": "Flagged, and the report doubts a fracture or uses ambiguous words",
}


@dataclass(frozen=True)
class Thumbnail:
    """PNG files of a series: the slab that the model saw, and the same with its heat map."""

    slab_png: bytes
    heat_png: bytes | None = None


@dataclass(frozen=True)
class Picture:
    """One picture as the page holds it."""

    data_uri: str
    alt: str


@dataclass(frozen=True)
class Entry:
    """One row of the worklist."""

    place: int
    pictures: tuple[Picture, ...]
    facts: tuple[str, ...]
    identity: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Worklist:
    """One of the lists. `columns` name the facts."""

    title: str
    summary: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    has_pictures: bool
    has_identities: bool


COLUMNS = ("site", "year", "age", "sex", "report", "probability", "read")
YIELD_COLUMNS = ("expected cases so far", "reads per case")


def worklists(numbers: AuditNumbers, thumbnails: Mapping[str, Thumbnail]) -> tuple[Worklist, ...]:
    """Each list that has rows. `thumbnails`: series key → pictures. ValueError when a picture is no PNG."""
    has_yield = bool(numbers.basis.n_read) or not numbers.basis.is_simulated_only
    found = []
    for name in dict.fromkeys(row.list for row in numbers.worklist):
        rows = [row for row in numbers.worklist if row.list == name]
        entries = tuple(_entry(row, thumbnails.get(row.series_key or ""), has_yield) for row in rows)
        found.append(
            Worklist(
                TITLES.get(name, name),
                _summary(rows, has_yield),
                COLUMNS + (YIELD_COLUMNS if has_yield else ()),
                entries,
                any(entry.pictures for entry in entries),
                any(entry.identity for entry in entries),
            )
        )
    return tuple(found)


def _summary(rows: Sequence[WorklistRow], has_yield: bool) -> str:
    last = rows[-1]
    if not has_yield:
        return (
            f"{len(rows)} scans, the likeliest first. How many cases they hold cannot be said: the probabilities were "
            "learned from simulated scans and nobody has read a sample. They order the list, no more."
        )
    per_case = f", {last.reads_per_case:.1f} reads per case" if last.reads_per_case is not None else ""
    return (
        f"{len(rows)} scans, the likeliest first. Reading all of them is expected to find "
        f"{last.expected_cases:.1f} cases{per_case} (sum of the probabilities of the model, scaled by what readers "
        "found in the sample where at least ten were read; a planning number without an interval)."
    )


def _entry(row: WorklistRow, thumbnail: Thumbnail | None, has_yield: bool) -> Entry:
    facts = (
        row.site,
        "unknown" if row.study_year is None else str(row.study_year),
        _age(row.age_years),
        row.sex,
        row.statement,
        f"{row.probability:.3f}",
        "yes" if row.was_read else "no",
    )
    per_case = "-" if row.reads_per_case is None else f"{row.reads_per_case:.1f}"
    yields = (f"{row.expected_cases:.1f}", per_case) if has_yield else ()
    identity = (row.patient_id, row.accession_numbers, row.study_date)
    told = tuple(each for each in identity if each)
    return Entry(row.place, _pictures(row, thumbnail), facts + yields, told, row.study_key)


def _age(age_years: int | None) -> str:
    if age_years is None:
        return "unknown"
    return f"{TOP_AGE} and over" if age_years >= TOP_AGE else str(age_years)


def _pictures(row: WorklistRow, thumbnail: Thumbnail | None) -> tuple[Picture, ...]:
    if thumbnail is None:
        return ()
    named = (
        (thumbnail.slab_png, "slab of the spine"),
        (thumbnail.heat_png, "heat map of the model over the slab"),
    )
    return tuple(
        Picture(_data_uri(png), f"{what}, place {row.place} of the list")
        for png, what in named
        if png is not None
    )


def _data_uri(png: bytes) -> str:
    if not png.startswith(PNG_START):
        raise ValueError("a thumbnail is no PNG file")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
