"""What lands together, and its staging file: one Arrow row with one list of structs per record class.

A worker writes `staging/RUN/SHARD.arrow` before it returns: temporary name, fsync, rename. A repeat finds it and
returns at once. The schema comes from the dataclasses.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse import night_records, records
from warehouse.domain_records import DomainDistanceRecord, DomainLimitRecord
from warehouse.paths import private_files, sync_folder
from warehouse.publication_record import PublicationRecord
from warehouse.tables import ALL_TABLES, Table


@dataclass(slots=True)
class LandingBatch:
    """Rows that land in one transaction (identities first, in their own file). Any list may be empty.

    File counts of an archive are replaced as a whole, so they travel with its ArchiveRecord.
    """

    runs: list[records.RunRecord] = field(default_factory=list)
    archives: list[records.ArchiveRecord] = field(default_factory=list)
    file_counts: list[records.FileCountRecord] = field(default_factory=list)
    studies: list[records.StudyRecord] = field(default_factory=list)
    series: list[records.SeriesRecord] = field(default_factory=list)
    selections: list[records.SelectionRecord] = field(default_factory=list)
    slabs: list[records.SlabRecord] = field(default_factory=list)
    rejections: list[records.RejectionRecord] = field(default_factory=list)
    models: list[records.ModelRecord] = field(default_factory=list)
    operating_points: list[records.OperatingPointRecord] = field(default_factory=list)
    scores: list[records.ScoreRecord] = field(default_factory=list)
    reports: list[records.ReportRecord] = field(default_factory=list)
    report_statements: list[records.ReportStatementRecord] = field(default_factory=list)
    lexica: list[records.LexiconRecord] = field(default_factory=list)
    audits: list[records.AuditRecord] = field(default_factory=list)
    audit_cells: list[records.AuditCellRecord] = field(default_factory=list)
    audit_units: list[records.AuditUnitRecord] = field(default_factory=list)
    audit_readings: list[records.AuditReadingRecord] = field(default_factory=list)
    nights: list[night_records.NightRecord] = field(default_factory=list)
    watermarks: list[night_records.WatermarkRecord] = field(default_factory=list)
    night_alerts: list[night_records.NightAlertRecord] = field(default_factory=list)
    canaries: list[night_records.CanaryRecord] = field(default_factory=list)
    night_problems: list[night_records.NightProblemRecord] = field(default_factory=list)
    publications: list[PublicationRecord] = field(default_factory=list)
    domain_limits: list[DomainLimitRecord] = field(default_factory=list)
    domain_distances: list[DomainDistanceRecord] = field(default_factory=list)
    patient_identities: list[records.PatientIdentity] = field(default_factory=list)
    study_identities: list[records.StudyIdentity] = field(default_factory=list)
    series_identities: list[records.SeriesIdentity] = field(default_factory=list)
    report_texts: list[records.ReportText] = field(default_factory=list)
    report_evidences: list[records.ReportEvidence] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[object]) -> LandingBatch:
        """A batch of records of any mix of classes, in their order. TypeError for what is no record."""
        batch = cls()
        lists = {table.record: getattr(batch, _LIST_OF_TABLE[table.name]) for table in ALL_TABLES}
        for row in rows:
            if type(row) not in lists:
                raise TypeError(f"{type(row).__name__} is not a record of the warehouse")
            lists[type(row)].append(row)
        return batch

    def extend(self, other: LandingBatch) -> None:
        """Add the rows of another batch behind these."""
        for name in _LIST_OF_TABLE.values():
            getattr(self, name).extend(getattr(other, name))


@dataclass(frozen=True, slots=True)
class LandingCounts:
    """What a landing did, by table."""

    # rows that were not there, or took another's place
    inserted: Mapping[str, int] = field(default_factory=dict)
    # rows that went because a better one came
    replaced: Mapping[str, int] = field(default_factory=dict)
    n_staging_files: int = 0
    bad_files: tuple[str, ...] = ()  # names of staging files that could not be read; renamed to *.bad

    def new_rows(self, table: str) -> int:
        """Rows a table has more than before."""
        return self.inserted.get(table, 0) - self.replaced.get(table, 0)


_LIST_OF_TABLE = {
    "run": "runs",
    "archive": "archives",
    "file_count": "file_counts",
    "study": "studies",
    "series": "series",
    "selection": "selections",
    "slab": "slabs",
    "rejection": "rejections",
    "model": "models",
    "operating_point": "operating_points",
    "score": "scores",
    "patient_identity": "patient_identities",
    "study_identity": "study_identities",
    "series_identity": "series_identities",
    "report": "reports",
    "report_statement": "report_statements",
    "lexicon": "lexica",
    "audit": "audits",
    "audit_cell": "audit_cells",
    "audit_unit": "audit_units",
    "audit_reading": "audit_readings",
    "night": "nights",
    "watermark": "watermarks",
    "night_alert": "night_alerts",
    "canary": "canaries",
    "night_problem": "night_problems",
    "publication": "publications",
    "domain_limit": "domain_limits",
    "domain_distance": "domain_distances",
    "report_text": "report_texts",
    "report_evidence": "report_evidences",
}


_TIME = pa.timestamp("us")


class StagingUnreadable(Exception):
    """A staging file is torn, or from a version with other records."""


def to_arrow(batch: LandingBatch) -> dict[str, pa.Table]:
    """Table name → rows, for every table that has any."""
    found = {}
    for table in ALL_TABLES:
        rows = getattr(batch, _LIST_OF_TABLE[table.name])
        if rows:
            found[table.name] = pa.table(_columns(table, rows), schema=table.arrow_schema)
    return found


def write_staging(path: Path, batch: LandingBatch) -> None:
    """Write a batch as one Arrow IPC file, owner-only, all or nothing. It holds identities until it has landed."""
    schema = staging_schema()
    lists = []
    for table in ALL_TABLES:
        rows = getattr(batch, _LIST_OF_TABLE[table.name])
        structs = pa.StructArray.from_arrays(_columns(table, rows), fields=list(table.arrow_schema))
        lists.append(pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), structs))
    lists = [column.cast(field.type) for column, field in zip(lists, schema, strict=True)]
    one_row = pa.record_batch(lists, schema=schema)
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_file(buffer, schema) as writer:
        writer.write_batch(one_row)
    _write_durably(path, buffer.getvalue())


def staging_tables(path: Path) -> dict[str, pa.Table]:
    """The rows of a staging file by table name. Raises StagingUnreadable, or OSError as it comes."""
    try:
        with pa.OSFile(str(path), "rb") as stream, pa.ipc.open_file(stream) as reader:
            if not reader.schema.equals(staging_schema()) or reader.num_record_batches != 1:
                raise StagingUnreadable(path.name)
            one_row = reader.get_batch(0)
            one_row.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, OSError):
            raise
        raise StagingUnreadable(path.name) from error
    return {
        name: pa.Table.from_batches([pa.RecordBatch.from_struct_array(column.values)])
        for name, column in zip(one_row.schema.names, one_row.columns, strict=True)
        if len(column.values)
    }


def read_staging(path: Path) -> LandingBatch:
    """Read a staging file back as records."""
    batch = LandingBatch()
    tables = staging_tables(path)
    for table in ALL_TABLES:
        if table.name in tables:
            setattr(batch, _LIST_OF_TABLE[table.name], to_records(table, tables[table.name]))
    return batch


def to_records(table: Table, rows: pa.Table) -> list[Any]:
    """Arrow rows as records of the table's class; times get their zone (UTC) back."""
    return [table.record(**{name: _aware(value) for name, value in row.items()}) for row in rows.to_pylist()]


def join_rows(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """The rows of several batches, one behind the other."""
    names = {name for part in parts for name in part}
    return {name: pa.concat_tables([part[name] for part in parts if name in part]) for name in names}


def sum_counts(left: LandingCounts, right: LandingCounts) -> LandingCounts:
    """Both landings together."""
    return LandingCounts(
        inserted=_sum(left.inserted, right.inserted),
        replaced=_sum(left.replaced, right.replaced),
        n_staging_files=left.n_staging_files + right.n_staging_files,
        bad_files=left.bad_files + right.bad_files,
    )


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left.keys() | right.keys()}


@cache
def staging_schema() -> pa.Schema:
    """Schema of a staging file: one list of structs per record class."""
    return pa.schema(
        [
            pa.field(table.name, pa.list_(pa.struct(list(table.arrow_schema))), nullable=False)
            for table in ALL_TABLES
        ]
    )


def _write_durably(path: Path, content: pa.Buffer) -> None:
    """Temporary name, fsync, rename. A landing may remove the run's empty folder just now: then make it again."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    for is_last in (False, False, True):
        try:
            with private_files():
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = temporary.open("wb")
            break
        except FileNotFoundError:
            if is_last:
                raise
    with stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def _columns(table: Table, rows: Iterable[Any]) -> list[pa.Array]:
    rows = list(rows)
    return [_column(table, column, rows) for column in table.arrow_schema]


def _column(table: Table, column: pa.Field, rows: list[Any]) -> pa.Array:
    found = map(attrgetter(column.name), rows)
    values = pa.array(list(map(_plain, found) if column.type == _TIME else found), column.type)
    if values.null_count and not column.nullable:
        raise ValueError(f"{table.name}.{column.name} may not be None")
    return values


def _plain(value: Any) -> Any:
    """Times become UTC without a zone, as the tables hold them; a time without a zone is refused."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored; use UTC")
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value
