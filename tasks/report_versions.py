"""Takes the versions of one report, returns the label of each: an addendum is read with the report it belongs to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.statements import Labeller, ReportLabel

# At one date a correction comes after an addendum, an addendum after the report; as in the view current_report.
_ORDER = {"preliminary": 0, "cancelled": 0, "final": 1, "addendum": 2, "corrected": 3}
_BEFORE_ALL = dt.datetime.min
# An addendum that repeats this much of its report is the whole report, issued anew.
_REPEATED_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a report."""

    report_key: str
    status: str
    reported_at: dt.datetime | None
    sequence: int
    text: str
    is_in_group: bool = True  # False: another patient's, or nobody's; read by itself


def label_versions(versions: Sequence[Version], labeller: Labeller) -> dict[str, ReportLabel]:
    """Report key → label. Does not depend on the order in which the versions were imported."""
    labels: dict[str, ReportLabel] = {}
    base = ""
    addenda: list[str] = []
    for version in sorted(versions, key=_place):
        text = version.text
        if version.is_in_group and version.status in ("final", "corrected"):
            base, addenda = text, []
        elif version.is_in_group and version.status == "addendum":
            if _repeats(text, base):
                base, addenda = text, []
            else:
                addenda.append(text)
                text = "\n\n".join([base, *(f"ADDENDUM:\n{addendum}" for addendum in addenda)])
        labels[version.report_key] = labeller.label(text)
    return labels


def _place(version: Version) -> tuple[dt.datetime, int, int]:
    when = version.reported_at.replace(tzinfo=None) if version.reported_at else _BEFORE_ALL
    return when, _ORDER[version.status], version.sequence


def _repeats(text: str, base: str) -> bool:
    plain = "".join(base.split())
    return len(plain) >= _REPEATED_CHARACTERS and plain in "".join(text.split())
