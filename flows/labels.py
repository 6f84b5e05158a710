"""Who is a case: labels by study, from a label file, from report statements, or from the readings of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from duckdb import DuckDBPyConnection as Connection

from flows.audit_reads import read_sample
from flows.audit_verdicts import CASE_CLASSES, OTHER_CAUSES, Endpoint, Settled, Verdict
from flows.errors import SettingsError
from flows.label_file import (
    ACCESSION,
    NO_LABEL,
    NOT_EVALUABLE,
    OTHER_CAUSE,
    STUDY_KEY,
    STUDY_UID,
    Label,
    LabelFile,
    LabelRow,
    losses_of,
    missing_columns,
    read_labels,
)
from flows.report_links import studies_of
from tasks.report_files import ReportFileError, columns_of, read_rows
from warehouse.queries import query
from warehouse.store import Store

MAX_ERRORS_TOLD = 20
VERTEBRAE_FILE = "truth_vertebrae.csv"  # beside the truth.csv of `ovf demo`
NOT_IN_WAREHOUSE, AMBIGUOUS_NAME = "not_in_warehouse", "several_studies_of_that_name"
Doubt = Literal["leave-out", "case", "control"]
# Where labels come from, as a split keeps it.
FROM_FILE, FROM_REPORTS, FROM_READINGS = "label file", "reports", "readings of an audit"
REPORT_WORDS = "report statements"  # their source, in words


class LabelError(SettingsError):
    """Labels that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Study → label, who gave them, and how many of their rows met no study."""

    by_study: Mapping[str, Label]
    source: str  # in words, for cards and pages
    is_simulated: bool = False
    n_unlinked: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""  # FROM_FILE, FROM_REPORTS, FROM_READINGS; empty: not known
    sample: str = ""  # what the rule of a threshold that was chosen on these scans calls them; empty: nothing


@dataclass(frozen=True, slots=True)
class ReportRule:
    """What becomes of reports in doubt."""

    possible: Doubt = "leave-out"  # the report doubts or suspects a fracture
    ambiguous: Doubt = "leave-out"  # only deformity, wedging or height loss

    @property
    def words(self) -> str:
        return f"possible: {self.possible}, ambiguous wording: {self.ambiguous}"


def labels_from_file(store: Store, path: Path) -> Labels:
    """The labels of a file, linked to studies by key, or by UID or accession number through the identity file.

    Raises LabelError: no such columns, a row that is none, or not one of its studies is here.
    """
    read = _read_file(path)
    if read.errors:
        told = "; ".join(read.errors[:MAX_ERRORS_TOLD])
        raise LabelError(f"{path.name} has {len(read.errors)} rows that are no labels: {told}")
    labels = _linked(store, read, path.name)
    if not any(label.is_case is not None for label in labels.by_study.values()):
        raise LabelError(
            f"none of the {len(read.rows)} rows of {path.name} labels a study of this warehouse: "
            "is it the right warehouse, and was the archive swept?"
        )
    return labels


def _read_file(path: Path) -> LabelFile:
    try:
        lacking = missing_columns(columns_of(path))
        if lacking:
            raise LabelError(f"{path.name} has {lacking} (docs/evaluation.md)")
        beside = path.parent / VERTEBRAE_FILE
        losses = losses_of(read_rows(beside)) if path.name == "truth.csv" and beside.is_file() else None
        return read_labels(read_rows(path), losses)
    except FileNotFoundError:
        raise LabelError(f"there is no file {path.name}") from None
    except OSError as error:
        raise LabelError(f"{path.name} cannot be read: {error.strerror}") from error
    except ReportFileError as error:
        raise LabelError(str(error)) from error


def _linked(store: Store, read: LabelFile, name: str) -> Labels:
    named = [row for row in read.rows if row.column != STUDY_KEY]
    with store.read() as connection:
        known = known_studies(connection, [row.name for row in read.rows if row.column == STUDY_KEY])
    if named and not store.paths.identity.is_file():
        raise LabelError(
            f"{name} names studies by UID or accession number, and the identity file is not beside the warehouse: "
            f"put {store.paths.identity.name} back, or give a column {STUDY_KEY}"
        )
    studies = {(STUDY_KEY, key): [key] for key in known}
    if named:
        with store.read_identified() as connection:
            studies |= _studies_named(connection, named)
    found: dict[str, Label] = {}
    lost: Counter[str] = Counter()
    for row in read.rows:
        keys = studies.get((row.column, row.name), [])
        if len(keys) != 1:
            lost[AMBIGUOUS_NAME if keys else NOT_IN_WAREHOUSE] += 1
        elif found.setdefault(keys[0], row.label) != row.label:
            raise LabelError(f"{name} labels one study in two different ways")
    return Labels(found, f"label file {name}", read.is_simulated, dict(lost), FROM_FILE, name)


def known_studies(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Those of some study keys that are studies of this warehouse."""
    return {key for (key,) in connection.execute(query("known_studies"), {"keys": list(keys)}).fetchall()}


def _studies_named(connection: Connection, rows: Iterable[LabelRow]) -> dict[tuple[str, str], list[str]]:
    by_column: dict[str, list[str]] = {STUDY_UID: [], ACCESSION: []}
    for row in rows:
        by_column[row.column].append(row.name)
    found: dict[tuple[str, str], list[str]] = {}
    uids = connection.execute(query("label_uids"), {"uids": by_column[STUDY_UID]}).fetchall()
    for uid, study_key in uids:
        found.setdefault((STUDY_UID, uid), []).append(study_key)
    for number, studies in studies_of(connection, by_column[ACCESSION]).items():
        found[ACCESSION, number] = [study.study_key for study in studies]
    return found


def labels_from_reports(rows: Iterable[Mapping[str, Any]], rule: ReportRule) -> Labels:
    """Labels from what the report of each study states; `rows` as `cohort_scans.sql` gives them."""
    found = {str(row["study_key"]): report_label(row, rule) for row in rows}
    if not any(label.is_case for label in found.values()):
        raise LabelError(
            "no report of this warehouse states a fracture: import reports first (`ovf reports import`), "
            "or give a label file with --labels"
        )
    return Labels(found, f"{REPORT_WORDS} ({rule.words})", origin=FROM_REPORTS)


def report_label(row: Mapping[str, Any], rule: ReportRule) -> Label:
    """present → case, absent or unmentioned → control; other causes and treated fractures are classes of their own."""
    statement = row["statement"]
    if statement in (None, "unread"):
        return Label(None, reason="no_report")
    if statement in ("absent", "unmentioned"):
        return Label(False)
    if row["cause"] is not None or row["treatment"] is not None:
        return Label(None, reason=OTHER_CAUSE)
    doubt = None
    if statement == "possible":
        doubt = ("report_possible", rule.possible)
    elif row["wording"] != "fracture":
        doubt = ("report_ambiguous", rule.ambiguous)
    if doubt is None or doubt[1] == "case":
        return Label(True)
    return Label(False) if doubt[1] == "control" else Label(None, reason=doubt[0])


def labels_from_readings(connection: Connection, audit_id: str | None) -> Labels:
    """What the readers of an audit's sample found (Genant grade 1 or more), by the study that stands for each unit."""
    sample = read_sample(connection, audit_id)
    if sample is None or not sample.verdicts:
        of_it = f" of audit {audit_id}" if audit_id else ""
        raise LabelError(f"no readings{of_it} are stored: `ovf audit sample`, then `ovf audit readings`")
    found = {
        unit.study_key: _verdict_label(sample.verdicts[unit.case_id])
        for unit in sample.units
        if unit.case_id in sample.verdicts
    }
    name = f"audit {sample.audit.audit_id}"
    return Labels(found, f"{sample.n_readers} blinded readers of {name}", origin=FROM_READINGS, sample=name)


def _verdict_label(verdict: Verdict) -> Label:
    if verdict.finding is None:
        is_blank = verdict.settled is Settled.NOT_EVALUABLE
        return Label(None, reason=NOT_EVALUABLE if is_blank else NO_LABEL)
    if verdict.finding in OTHER_CAUSES:
        return Label(None, reason=OTHER_CAUSE)
    is_case = verdict.finding in CASE_CLASSES[Endpoint.ANY_GRADE]
    digits = [int(sign) for sign in verdict.finding if sign.isdigit()]
    return Label(is_case, digits[0] if digits else 0)
