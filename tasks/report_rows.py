"""Takes a row of a file of reports, returns an `ImportedReport`: what every hospital writes differently, made alike."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

REQUIRED = ("accession_number", "report_date", "text")
OPTIONAL = ("patient_id", "report_id", "status", "reader_group")
LONGEST_GROUP = 60  # characters of the name of a group

# Words of report systems, HL7 OBX-11 / OBR-25 letters and FHIR codes among them.
_STATUS_WORDS = {
    "final": (
        *("", "final", "f", "approved", "verified", "signed", "authenticated", "complete", "completed"),
        *("已审核", "审核", "终审", "正式", "已发布", "最终"),
    ),
    "preliminary": (
        *(
            "preliminary",
            "prelim",
            "p",
            "draft",
            "unsigned",
            "unverified",
            "dictated",
            "wet read",
            "registered",
        ),
        *("partial", "初步", "草稿", "未审核", "书写", "已书写", "临时", "初审", "待审核"),
    ),
    "addendum": ("addendum", "a", "appended", "addended", "supplement", "补充", "补充报告", "追加"),
    "corrected": (
        *("corrected", "c", "amended", "revised", "correction", "更正", "修正", "修订", "更正报告", "修改"),
    ),
    "cancelled": (
        *("cancelled", "canceled", "x", "entered-in-error", "deleted", "void", "withdrawn"),
        *("作废", "取消", "已撤销", "撤销"),
    ),
}
# Where a system adds a number or a noun: "Addendum 1", "Preliminary Report". The first that fits.
_STATUS_PARTS = {
    "cancelled": ("cancel", "作废", "撤销"),
    "addendum": ("addend", "补充", "追加"),
    "corrected": ("correct", "amend", "revis", "更正", "修订", "修正"),
    "preliminary": ("prelim", "draft", "初步", "草稿", "未审核"),
}
# HL7 table 0085 besides: in the laboratory or department, not yet verified; deleted or wrong.
_HL7 = {"r": "preliminary", "i": "preliminary", "s": "preliminary", "d": "cancelled", "w": "cancelled"}
_STATUS = _HL7 | {word: status for status, words in _STATUS_WORDS.items() for word in words}

_DATE = re.compile(
    r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[T\s]*(\d{1,2})[:时]?(\d{2})(?:[:分]?(\d{2}))?(?:[.,]\d+)?\s*([ap])?\.?(?:m\b)?\S*)?\s*$",
    re.IGNORECASE,
)
_GERMAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:\s+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\s*$")


@dataclass(frozen=True, slots=True)
class ImportedReport:
    """One row of a file. The repr shows nothing of it: rows name people."""

    accession_number: str | None
    patient_id: str | None
    report_id: str | None
    status: str  # preliminary | final | addendum | corrected | cancelled
    reported_at: dt.datetime | None
    text: str
    has_unknown_status: bool
    has_unreadable_date: bool
    reader_group: str | None = None

    def __repr__(self) -> str:
        return f"ImportedReport(status={self.status!r}, n_characters={len(self.text)})"

    def key(self, make_key: Callable[..., str]) -> str:
        """Pseudonym of the content; the report's id is left out, so that the same content twice is one report."""
        when = self.reported_at.isoformat() if self.reported_at else ""
        return make_key(self.accession_number or "", self.patient_id or "", when, self.status, self.text)


def read_report(row: Mapping[str, Any]) -> ImportedReport:
    """Read a row. A status nobody knows counts as final, a date that cannot be read as none; both are remembered."""
    word = (_text(row.get("status")) or "").casefold()
    status = _STATUS.get(word) or _status_of_parts(word)
    given = row.get("report_date")
    reported_at = parse_date(given)
    text = row.get("text")
    return ImportedReport(
        accession_number=_text(row.get("accession_number")),
        patient_id=_text(row.get("patient_id")),
        report_id=_text(row.get("report_id")),
        status=status or "final",
        reported_at=reported_at,
        text=text if isinstance(text, str) else "",
        has_unknown_status=status is None,
        has_unreadable_date=reported_at is None and bool(_text(given)),
        reader_group=(_text(row.get("reader_group")) or "")[:LONGEST_GROUP] or None,
    )


def _status_of_parts(word: str) -> str | None:
    return next(
        (status for status, parts in _STATUS_PARTS.items() if any(part in word for part in parts)), None
    )


def parse_date(value: object) -> dt.datetime | None:
    """A date, with its time if any, as written; UTC stands for "as there". None when year, month, day are in doubt.

    Read: ISO, 20240131, 20240131093000, 2024/1/31, 2024年1月31日, 31.01.2024. Not read: 1/2/2024, which is two days.
    """
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    text = _text(value) or ""
    half = ""
    found = _DATE.match(text)
    if found:
        year, month, day, *clock = found.groups()
        half = (clock.pop() or "").casefold()
    else:
        found = _GERMAN_DATE.match(text)
        if not found:
            return None
        day, month, year, *clock = found.groups()
    hour, minute, second = (int(part or 0) for part in clock)
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return dt.datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return None


def _text(value: object) -> str | None:
    """A cell without blanks around it; whole numbers that came as floats lose their .0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip(" \t\r\n\x00\ufeff") or None
