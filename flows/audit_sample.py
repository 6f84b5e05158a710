"""Draws an audit sample and writes its reading list. What was drawn is stored and never silently drawn again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from estimates.audit_cells import Frame
from estimates.audit_design import AuditDesign, DrawnSample, draw_sample, plan_audit
from flows.audit_frame import (
    AuditError,
    AuditModel,
    audit_model,
    frame_digest,
    frame_of,
    read_units,
    unit_row,
)
from flows.scored_models import ScoredModel, scored_model
from flows.version import code_version
from tasks.report_files import ReportFileError, read_rows, write_rows
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.queries import query
from warehouse.records import AuditCellRecord, AuditRecord, AuditUnitRecord
from warehouse.store import Store
from warehouse.tables import WAREHOUSE_TABLES

# What a reader fills in, beside the case; the same columns are read back.
READING_COLUMNS = (
    "reader",
    "adjudication",
    "level",
    "grade",
    "endplate_depression",
    "cause",
    "not_evaluable",
)
IDENTIFIED_COLUMNS = ("patient_id", "accession_numbers", "study_date")


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """What was asked for. `seed` None: any, when a new sample is drawn."""

    reads: int
    seed: int | None
    rule: str
    from_age_years: int
    model_id: str | None  # or digest, or its first digits


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A stored sample: `is_new` says whether it was drawn just now."""

    audit: AuditRecord
    cells: tuple[AuditCellRecord, ...]
    is_new: bool


def sample(store: Store, order: SampleOrder, *, fresh_seed: int, is_further: bool = False) -> StoredSample:
    """Draw and store a sample, or give back the one that is there.

    The newest sample is given back when it is what was asked for. AuditError when it is not: then `is_further`
    draws another beside it. `fresh_seed` is taken when the order names none.
    """
    with store.read_live() as connection:
        there = latest_sample(connection)
        audit_id = f"A{1 + _n_audits(connection)}"
        is_same_model = there is None or is_further or _is_same_model(connection, there.audit, order)
    if there is not None and not is_further:
        _check_same(there.audit, order, is_same_model=is_same_model)
        return there
    seed = fresh_seed if order.seed is None else order.seed
    with store.read() as connection:  # the published copy: a large frame takes a while, and a sweep may go on
        model = audit_model(connection, order.model_id)
        units = read_units(connection, model.model_digest, order.rule, order.from_age_years)
    batch = drawn_batch(units, model, order, seed, audit_id)
    with store.write() as connection:
        if f"A{1 + _n_audits(connection)}" != audit_id:
            raise AuditError("another sample was drawn meanwhile: look at it first")
        insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))
    return StoredSample(batch.audits[0], tuple(batch.audit_cells), is_new=True)


def _n_audits(connection: Connection) -> int:
    return len(connection.execute("SELECT audit_id FROM audit").fetchall())


def latest_sample(connection: Connection) -> StoredSample | None:
    """The sample drawn last; None before the first."""
    rows = connection.execute("SELECT * FROM audit ORDER BY length(audit_id) DESC, audit_id DESC LIMIT 1")
    found = rows.fetchall()
    if not found:
        return None
    audit = AuditRecord(*found[0])
    cells = connection.execute("SELECT * FROM audit_cell WHERE audit_id = ? ORDER BY cell", [audit.audit_id])
    return StoredSample(audit, tuple(AuditCellRecord(*row) for row in cells.fetchall()), is_new=False)


def _is_same_model(connection: Connection, audit: AuditRecord, order: SampleOrder) -> bool:
    if order.model_id is None:
        return True
    return scored_model(connection, order.model_id).model_digest == audit.model_digest


def _check_same(audit: AuditRecord, order: SampleOrder, *, is_same_model: bool) -> None:
    asked = (order.rule, order.from_age_years)
    is_same = (
        asked == (audit.rule, audit.from_age_years)
        and order.seed in (None, audit.seed)
        and is_same_model
        and min(order.reads, audit.n_units) == audit.n_drawn
    )
    if not is_same:
        raise AuditError(
            f"audit {audit.audit_id} was drawn already, with {audit.n_drawn} reads, seed {audit.seed}, rule "
            f"{audit.rule}, ages from {audit.from_age_years} and flags of "
            f"{ScoredModel(audit.model_id, audit.model_digest)}: ask for the same to get its reading list again, or "
            "add --new to draw another one beside it"
        )


def drawn_batch(
    units: pa.Table, model: AuditModel, order: SampleOrder, seed: int, audit_id: str
) -> LandingBatch:
    """The rows of one new sample. Raises AuditError when the frame is empty or the reads are too few."""
    if model.operating_point_id is None or model.threshold is None:
        raise AuditError(
            "the model has no current operating point: nothing is flagged, so there are no cells"
        )
    if not units.num_rows:
        raise AuditError("no eligible scan of these ages is known: nothing to draw from")
    frame = frame_of(units)
    try:
        design = plan_audit(frame, order.reads, seed)
    except ValueError as error:
        raise AuditError(f"--reads: {error}") from error
    drawn = draw_sample(units["unit_key"].to_pylist(), frame, design)
    audit = AuditRecord(
        audit_id=audit_id,
        rule=order.rule,
        from_age_years=order.from_age_years,
        seed=seed,
        n_units=units.num_rows,
        n_drawn=design.n_reads,
        frame_digest=frame_digest(units, frame),
        model_digest=model.model_digest,
        model_id=model.model_id,
        operating_point_id=model.operating_point_id,
        threshold=model.threshold,
        lexicon_digest=model.lexicon_digest,
        code_version=code_version(),
        drawn_at=dt.datetime.now(dt.UTC),
    )
    return LandingBatch(
        audits=[audit],
        audit_cells=_cell_records(audit_id, design, frame),
        audit_units=_unit_records(audit_id, units, drawn),
    )


def _cell_records(audit_id: str, design: AuditDesign, frame: Frame) -> list[AuditCellRecord]:
    edges: list[float | None] = [None, *frame.edges, None]
    is_split = {row.cell for row in design.cells if row.cell.stratum}
    split_pairs = {(cell.ai, cell.report) for cell in is_split}
    records = []
    for number, row in enumerate(design.cells):
        in_strata = (row.cell.ai, row.cell.report) in split_pairs
        low, high = edges[row.cell.stratum : row.cell.stratum + 2] if in_strata else (None, None)
        records.append(
            AuditCellRecord(
                audit_id,
                number,
                row.cell.ai.value,
                row.cell.report.value,
                row.cell.stratum,
                low,
                high,
                row.n_units,
                row.n_reads,
                row.planned_share,
            )
        )
    return records


def _unit_records(audit_id: str, units: pa.Table, drawn: DrawnSample) -> list[AuditUnitRecord]:
    """Numbered in the order of reading, which is random: a case's number says nothing of its cell."""
    records = []
    for position, (place, cell) in enumerate(
        zip(drawn.units.tolist(), drawn.cell_of.tolist(), strict=True), 1
    ):
        row = unit_row(units, place)
        records.append(
            AuditUnitRecord(
                audit_id=audit_id,
                case_id=f"{audit_id}-{position:04d}",
                position=position,
                cell=cell,
                unit_key=row["unit_key"],
                patient_key=row["patient_key"],
                study_key=row["study_key"],
                study_keys=row["study_keys"],
                study_date=row["study_date"],
                age_years=row["age_years"],
                sex=None if row["sex"] == "unknown" else row["sex"],
                site=row["site"],
                scanner=row["scanner"],
                coverage=row["coverage"],
                statement=row["statement"],
                is_known_before=row["is_known_before"],
                probability=row["probability"],
                reader_group=row["reader_group"],
            )
        )
    return records


def check_target(target: Path) -> None:
    """Make the folder of a reading list. Raises AuditError where the file holds what a reader has filled in.

    Asked before a sample is drawn: what is drawn stays.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        is_filled = target.exists() and any(
            str(row.get(name) or "").strip() for row in read_rows(target) for name in READING_COLUMNS
        )
    except (OSError, ReportFileError) as error:
        raise AuditError(
            f"{target} is not overwritten, it cannot be read or made: name another --out"
        ) from error
    if is_filled:
        raise AuditError(
            f"{target} holds verdicts and is not overwritten: name another --out, or import it (`ovf audit readings`)"
        )


def write_reading_list(store: Store, audit_id: str, target: Path, *, is_identified: bool) -> int:
    """Write the cases in their order with empty columns for a verdict; returns how many.

    Neither score, report nor cell. Identified: with what is needed to open the scan.
    """
    opened = store.read_live_identified() if is_identified else store.read_live()
    name = "audit_reading_list_identified" if is_identified else "audit_reading_list"
    with opened as connection:
        rows = connection.execute(query(name), {"audit_id": audit_id})
        names = [column[0] for column in rows.description]
        listed = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    columns = ("case_id", *(IDENTIFIED_COLUMNS if is_identified else ()), *READING_COLUMNS)
    guarded = IDENTIFIED_COLUMNS[:2] if is_identified else ()
    return write_rows(target, columns, (_list_row(row) for row in listed), guarded)


def _list_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **dict.fromkeys(READING_COLUMNS, "")}
