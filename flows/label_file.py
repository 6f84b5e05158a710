"""Reads a file of labels, row by row: which study, and whether a person found an osteoporotic vertebral fracture.

Pure: rows in, labels out. The columns are those of docs/evaluation.md; `truth.csv` of `ovf demo` is such a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phantom.families import FAMILIES

# How a row names its study, the first that is filled counts.
STUDY_KEY, STUDY_UID, ACCESSION = "study_key", "study_instance_uid", "accession_number"
NAME_COLUMNS = (STUDY_KEY, STUDY_UID, ACCESSION)
LABEL_COLUMNS = ("label", "has_fracture")
GRADE_COLUMNS = ("grade", "worst_grade")
# A study with one of these and no osteoporotic fracture is neither a case nor a control: classes of their own.
OTHER_CAUSE_COLUMNS = ("has_traumatic", "has_pathological", "has_cement")
# The truth of a simulated hospital (`ovf demo`): one of the simulator's families, and the worst grade. Elsewhere a
# column `family` may hold surnames.
SIMULATOR_COLUMN, SIMULATOR_GRADE = "family", "worst_grade"
_YES = frozenset({"1", "yes", "y", "true", "case", "positive", "fracture", "present", "是"})
_NO = frozenset({"0", "no", "n", "false", "control", "negative", "none", "absent", "否"})
GRADES = {"0": 0, "1": 1, "2": 2, "3": 3}
FIRST_ROW = 2  # of a CSV with its header line

NO_LABEL, NOT_EVALUABLE, OTHER_CAUSE = "no_label", "reader_not_evaluable", "other_cause"


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one study; `is_case` None: it has no label that counts, and `reason` says why."""

    is_case: bool | None
    grade: int | None = None  # worst Genant grade, 0 to 3; None: not told
    height_loss: float | None = None  # largest share of a height lost in any body, 0 to 1; None: not told
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row: a study, named by one of NAME_COLUMNS, and its label."""

    column: str
    name: str
    label: Label


@dataclass(frozen=True, slots=True)
class LabelFile:
    """All rows, and what was wrong with those that are not among them. Messages hold no value of a row."""

    rows: tuple[LabelRow, ...]
    errors: tuple[str, ...]
    is_simulated: bool


class BadLabel(ValueError):
    """A value that a row must not have."""


def missing_columns(columns: Sequence[str]) -> str | None:
    """What the file lacks, in words; None when it can be read."""
    if not set(columns) & set(NAME_COLUMNS):
        return f"no column that names the study: one of {', '.join(NAME_COLUMNS)}"
    if not set(columns) & {*LABEL_COLUMNS, *GRADE_COLUMNS}:
        return f"no label: one of {', '.join((*LABEL_COLUMNS, *GRADE_COLUMNS))}"
    return None


def read_labels(rows: Iterable[Mapping[str, Any]], losses: Mapping[str, float] | None = None) -> LabelFile:
    """Every row as a label. `losses`: StudyInstanceUID → largest share lost, where the file itself has none."""
    found: list[LabelRow] = []
    errors: list[str] = []
    is_simulated = False
    for number, row in enumerate(rows, start=FIRST_ROW):
        is_simulated = is_simulated or (
            _text(row, SIMULATOR_COLUMN) in FAMILIES and bool(_text(row, SIMULATOR_GRADE))
        )
        try:
            found.append(_row(row, losses or {}))
        except BadLabel as error:
            errors.append(f"row {number}: {error}")
    return LabelFile(tuple(found), tuple(errors), is_simulated)


def losses_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """StudyInstanceUID → largest loss of a body shown whole, from `truth_vertebrae.csv`; other causes do not count."""
    found: dict[str, float] = {}
    for row in rows:
        if _text(row, "is_visible") != "1" or _text(row, "cause") not in ("", "osteoporotic"):
            continue
        uid, loss = _text(row, STUDY_UID), float(_text(row, "loss") or 0)
        found[uid] = max(found.get(uid, 0.0), loss)
    return found


def _row(row: Mapping[str, Any], losses: Mapping[str, float]) -> LabelRow:
    column = next((name for name in NAME_COLUMNS if _text(row, name)), None)
    if column is None:
        raise BadLabel("it names no study")
    loss = _loss(row)
    if loss is None:
        loss = losses.get(_text(row, STUDY_UID))
    return LabelRow(column, _text(row, column), _label(row, loss))


def _label(row: Mapping[str, Any], loss: float | None) -> Label:
    if _yes_or_no(row, "not_evaluable"):
        return Label(None, reason=NOT_EVALUABLE)
    grade, told = _grade(row), _told(row)
    if told is None and grade is None:
        return Label(None, reason=NO_LABEL)
    is_case = told if told is not None else bool(grade)
    if grade is not None and bool(grade) != is_case:
        raise BadLabel("label and grade contradict each other")
    has_other_cause = [_yes_or_no(row, name) for name in OTHER_CAUSE_COLUMNS]
    if not is_case and any(has_other_cause):
        return Label(None, grade, loss, OTHER_CAUSE)
    return Label(is_case, grade, loss)


def _told(row: Mapping[str, Any]) -> bool | None:
    told = {_yes_or_no(row, name) for name in LABEL_COLUMNS if _answer(row, name)}
    if len(told) > 1:
        raise BadLabel(f"{' and '.join(LABEL_COLUMNS)} contradict each other")
    return told.pop() if told else None


def _yes_or_no(row: Mapping[str, Any], column: str) -> bool:
    """An empty one is a no."""
    text = _answer(row, column).lower()
    if text and text not in _YES | _NO:
        raise BadLabel(f"{column} is none of 1, 0, yes, no, case, control, positive, negative")
    return text in _YES


def _grade(row: Mapping[str, Any]) -> int | None:
    told = {_answer(row, name) for name in GRADE_COLUMNS} - {""}
    if not told <= GRADES.keys():
        raise BadLabel("the grade is none of 0, 1, 2, 3")
    if len(told) > 1:
        raise BadLabel(f"{' and '.join(GRADE_COLUMNS)} contradict each other")
    return GRADES[told.pop()] if told else None


def _loss(row: Mapping[str, Any]) -> float | None:
    text = _answer(row, "height_loss")
    if not text:
        return None
    try:
        loss = float(text)
    except ValueError:
        raise BadLabel("the height loss is no number") from None
    if not 0 <= loss <= 1:
        raise BadLabel("the height loss is no share from 0 to 1")
    return loss


def _answer(row: Mapping[str, Any], name: str) -> str:
    """As a person would have written it: a column with gaps comes as 1.0 and nan from spreadsheets and data frames."""
    text = _text(row, name)
    if text.lower() in ("nan", "<na>"):
        return ""
    return text[:-2] if text.endswith(".0") and text[:-2].isdigit() else text


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()
