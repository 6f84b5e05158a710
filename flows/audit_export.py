"""Writes the numbers of an audit as tidy tables, CSV and Parquet: one row is one number with all it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from estimates.audit_numbers import (
    TARGET_CONDITION,
    AuditBasis,
    AuditNumbers,
    CellRow,
    FollowRow,
    Number,
    StratumRow,
    WaterfallStep,
    WorklistRow,
)
from warehouse.paths import private_files, sync_folder

_TYPES = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "str | None": pa.string(),
    "int | None": pa.int64(),
    "float | None": pa.float64(),
}
IDENTITY_COLUMNS = ("patient_id", "accession_numbers", "study_date")


def write_tables(numbers: AuditNumbers, folder: Path, *, is_identified: bool = False) -> dict[str, int]:
    """Write every table into the folder (made when absent), owner-only; returns file name → rows."""
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, table in tables_of(numbers, is_identified=is_identified).items():
        for suffix in (".csv", ".parquet"):
            _write(table, folder / f"{name}{suffix}")
            written[f"{name}{suffix}"] = table.num_rows
    sync_folder(folder)
    return written


def tables_of(numbers: AuditNumbers, *, is_identified: bool = False) -> dict[str, pa.Table]:
    """Table name → rows. Every number carries model, lexicon, readers and target condition in its own row."""
    beside = beside_columns(numbers.basis)
    worklist = _table(WorklistRow, numbers.worklist)
    if not is_identified:
        worklist = worklist.drop_columns(list(IDENTITY_COLUMNS))
    return {
        "numbers": _with_columns(_table(Number, numbers.numbers), beside),
        "waterfall": _with_columns(_table(WaterfallStep, numbers.waterfall), _model_columns(beside)),
        "strata": _with_columns(_table(StratumRow, numbers.strata), beside),
        "cells": _with_columns(_table(CellRow, numbers.cells), beside),
        "follow_up": _with_columns(_table(FollowRow, numbers.follow_up), _model_columns(beside)),
        "worklist": _with_columns(worklist, _model_columns(beside)),
    }


def beside_columns(basis: AuditBasis) -> dict[str, object]:
    """What stands beside every number."""
    return {
        "target_condition": TARGET_CONDITION,
        "ages": basis.ages,
        "unit": basis.unit,
        "reference": basis.reference,
        "n_readers": basis.n_readers,
        "n_cases_read": basis.n_read,
        "audit_id": basis.audit_id,
        "seed": basis.seed,
        "model_id": basis.model_id,
        "model_digest": basis.model_digest,
        "operating_point_id": basis.operating_point_id,
        "threshold": basis.threshold,
        "lexicon_digest": basis.lexicon_digest,
        "code_version": basis.code_version,
        "caveat": basis.caveat,
    }


def _model_columns(beside: Mapping[str, object]) -> dict[str, object]:
    names = ("model_id", "model_digest", "operating_point_id", "lexicon_digest", "code_version", "caveat")
    return {name: beside[name] for name in names}


def _table(record: type, rows: Sequence[Any]) -> pa.Table:
    schema = pa.schema([(field.name, _TYPES[str(field.type)]) for field in fields(record)])
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)


def _with_columns(table: pa.Table, values: Mapping[str, object]) -> pa.Table:
    for name, value in values.items():
        kind = {int: pa.int64(), float: pa.float64()}.get(type(value), pa.string())
        if name in ("seed", "threshold"):
            kind = pa.int64() if name == "seed" else pa.float64()
        table = table.append_column(name, pa.array([value] * table.num_rows, kind))
    return table


def _write(table: pa.Table, target: Path) -> None:
    """Whole or not at all, owner-only."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with private_files(), temporary.open("wb") as stream:
            if target.suffix == ".csv":
                pa_csv.write_csv(table, stream)
            else:
                pq.write_table(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
