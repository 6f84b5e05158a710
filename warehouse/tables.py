"""Which dataclass is which table, its key, and how a row meets one that is already there. No I/O here."""

from __future__ import annotations

import datetime as dt
import types
import typing
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache

import pyarrow as pa

from warehouse import night_records, records
from warehouse.domain_records import DomainDistanceRecord, DomainLimitRecord
from warehouse.publication_record import PublicationRecord


class Meeting(StrEnum):
    """What landing does when a row with the same key is already there."""

    KEEP = "keep"  # the row that is there stays
    REPLACE = "replace"  # the new row takes its place
    RECOUNT = "recount"  # the row stays; its counts of files and bytes follow the new one
    UNLESS_FINAL = "unless_final"  # replaced only while it is failed or pending
    UNLESS_KEPT = "unless_kept"  # replaced only by a slab whose file was kept


@dataclass(frozen=True, slots=True)
class Table:
    """One table: the record it stores, its name, its key, and the rule for a repeated key."""

    record: type
    name: str
    key: tuple[str, ...]
    meeting: Meeting

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(field.name for field in fields(self.record))

    @property
    def lookup(self) -> str:
        """The column of the key that tells most rows apart; landing scans the table by it."""
        return next((name for name in ("series_key", "study_key") if name in self.key), self.key[0])

    @property
    def arrow_schema(self) -> pa.Schema:
        """Arrow types of the columns, nullable only where the dataclass says `| None`."""
        return _arrow_schema(self.record)

    @property
    def sql_types(self) -> dict[str, tuple[str, bool]]:
        """Column name → (DuckDB type, may be null), as the record's annotations ask."""
        return {field.name: (_SQL[field.type], field.nullable) for field in self.arrow_schema}


DECISION_KEY = ("profile_digest", "reader_version", "storage_recipe", "view_recipe", "model_digest")
SCORE_KEY = ("series_key", "series_revision", "storage_recipe", "view_recipe", "model_digest")

WAREHOUSE_TABLES = (
    Table(records.RunRecord, "run", ("run_id",), Meeting.REPLACE),
    Table(records.ArchiveRecord, "archive", ("archive_key",), Meeting.REPLACE),
    Table(records.FileCountRecord, "file_count", ("archive_key", "outcome", "reason"), Meeting.REPLACE),
    Table(records.StudyRecord, "study", ("archive_key", "study_key"), Meeting.REPLACE),
    Table(records.SeriesRecord, "series", ("series_key", "series_revision"), Meeting.RECOUNT),
    Table(
        records.SelectionRecord,
        "selection",
        ("study_key", "study_revision", "series_key", "profile_digest", "reader_version"),
        Meeting.UNLESS_FINAL,
    ),
    Table(
        records.SlabRecord, "slab", ("series_key", "series_revision", "storage_recipe"), Meeting.UNLESS_KEPT
    ),
    Table(records.ModelRecord, "model", ("model_digest",), Meeting.KEEP),
    Table(
        records.OperatingPointRecord,
        "operating_point",
        ("model_digest", "operating_point_id"),
        Meeting.REPLACE,
    ),
    Table(records.ScoreRecord, "score", SCORE_KEY, Meeting.KEEP),
    # Behind the scores: a score wins over a rejection.
    Table(
        records.RejectionRecord,
        "rejection",
        ("series_key", "series_revision", *DECISION_KEY),
        Meeting.UNLESS_FINAL,
    ),
    Table(records.ReportRecord, "report", ("report_key",), Meeting.REPLACE),
    Table(
        records.ReportStatementRecord, "report_statement", ("report_key", "lexicon_digest"), Meeting.REPLACE
    ),
    Table(records.LexiconRecord, "lexicon", ("lexicon_digest",), Meeting.REPLACE),
    # Drawn once: a sample that is there stays.
    Table(records.AuditRecord, "audit", ("audit_id",), Meeting.KEEP),
    Table(records.AuditCellRecord, "audit_cell", ("audit_id", "cell"), Meeting.KEEP),
    Table(records.AuditUnitRecord, "audit_unit", ("audit_id", "case_id"), Meeting.KEEP),
    Table(
        records.AuditReadingRecord,
        "audit_reading",
        ("audit_id", "case_id", "reader", "is_adjudication", "level"),
        Meeting.REPLACE,
    ),
    Table(night_records.NightRecord, "night", ("run_id",), Meeting.REPLACE),
    Table(night_records.WatermarkRecord, "watermark", ("archive_key",), Meeting.REPLACE),
    Table(night_records.NightAlertRecord, "night_alert", ("run_id", "signal", "subject"), Meeting.REPLACE),
    Table(
        night_records.CanaryRecord,
        "canary",
        ("model_digest", "storage_recipe", "view_recipe", "precision", "golden_case"),
        Meeting.REPLACE,
    ),
    Table(
        night_records.NightProblemRecord,
        "night_problem",
        ("archive_key", "series_key", "series_revision", "reason"),
        Meeting.REPLACE,
    ),
    Table(PublicationRecord, "publication", ("target", "sop_instance_uid"), Meeting.REPLACE),
    Table(DomainLimitRecord, "domain_limit", ("model_digest", "limit_id"), Meeting.REPLACE),
    Table(DomainDistanceRecord, "domain_distance", (*SCORE_KEY, "domain_id"), Meeting.KEEP),
)
IDENTITY_TABLES = (
    Table(records.PatientIdentity, "patient_identity", ("patient_key",), Meeting.REPLACE),
    Table(records.StudyIdentity, "study_identity", ("study_key",), Meeting.REPLACE),
    Table(records.SeriesIdentity, "series_identity", ("series_key",), Meeting.REPLACE),
    Table(records.ReportText, "report_text", ("report_key",), Meeting.REPLACE),
    Table(
        records.ReportEvidence,
        "report_evidence",
        ("report_key", "lexicon_digest", "number"),
        Meeting.REPLACE,
    ),
)
ALL_TABLES = WAREHOUSE_TABLES + IDENTITY_TABLES
# Tables of the store itself; they have no record.
INTERNAL_TABLES = ("schema_migration", "store_stamp", "installed_views", "forgotten")

# bool before int: a bool is an int. Lists of floats are fp32: what the network computed, at half the size.
_ARROW: dict[object, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.date: pa.date32(),
    dt.datetime: pa.timestamp("us"),
    list[str]: pa.list_(pa.string()),
    list[int]: pa.list_(pa.int32()),
    list[float]: pa.list_(pa.float32()),
}
_SQL: dict[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.list_(pa.int32()): "INTEGER[]",
    pa.list_(pa.float32()): "FLOAT[]",
}


@cache
def _arrow_schema(record: type) -> pa.Schema:
    hints = typing.get_type_hints(record)
    return pa.schema([_arrow_field(field.name, hints[field.name]) for field in fields(record)])


def _arrow_field(name: str, hint: object) -> pa.Field:
    if isinstance(hint, types.UnionType):
        (inner,) = (option for option in typing.get_args(hint) if option is not type(None))
        return pa.field(name, _ARROW[inner], nullable=True)
    return pa.field(name, _ARROW[hint], nullable=False)
