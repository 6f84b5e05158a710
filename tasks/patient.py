"""Age, sex and dates of a patient as the header states them. Impossible stays missing (T34). Pure."""

from __future__ import annotations

import datetime as dt
import re

# Nobody is known to have lived longer than 122 years; 120 is the limit of the fault catalogue (T34).
MAX_AGE_YEARS = 120
_AGE = re.compile(r"\s*(\d{1,3})\s*([DWMY])\s*")  # DICOM AS is nnnX; unpadded forms such as 22Y are common
_DAYS_PER = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_SEXES = {"F", "M", "O"}


def parse_date(value: str | None) -> dt.date | None:
    """A DICOM DA (YYYYMMDD, or the retired YYYY.MM.DD), or None when absent or impossible."""
    digits = (value or "").strip().replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def parse_age(value: str | None) -> int | None:
    """Whole years of a DICOM AS such as 067Y or 018M. Zero and over 120 are placeholders, not ages: None."""
    match = _AGE.fullmatch(value or "")
    if match is None or int(match[1]) == 0:
        return None
    years = int(int(match[1]) * _DAYS_PER[match[2]] / 365.25)
    return years if years <= MAX_AGE_YEARS else None


def age_on(birth: dt.date | None, day: dt.date | None) -> int | None:
    """Completed years between two dates. Born on or after the day, or over 120 years before it: None."""
    if birth is None or day is None or birth >= day:
        return None
    years = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    return years if years <= MAX_AGE_YEARS else None


def age_years(patient_age: str | None, birth_date: str | None, day: dt.date | None) -> int | None:
    """Age at the scan: PatientAge when it is possible, else from birth and study date, else None."""
    stated = parse_age(patient_age)
    return stated if stated is not None else age_on(parse_date(birth_date), day)


def parse_sex(value: str | None) -> str | None:
    """F, M or O; anything else is unknown."""
    sex = (value or "").strip().upper()
    return sex if sex in _SEXES else None
