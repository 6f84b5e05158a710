"""The numbers of an audit, from a warehouse: asks the queries, calls the estimates, hides what is too small to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from estimates.audit_limits import MonteCarlo
from estimates.audit_numbers import (
    AuditBasis,
    AuditNumbers,
    CellRow,
    FollowRow,
    Number,
    StratumRow,
    WaterfallStep,
    refused_number,
)
from estimates.audit_suppression import suppressed
from estimates.rogan_gladen import Accuracy
from flows.audit_beside import CurrentFrame, numbers_beside
from flows.audit_estimated import MISSED_RATE, PREVALENCE, estimated_numbers
from flows.audit_frame import (
    FROM_AGE_YEARS,
    AuditError,
    AuditModel,
    audit_model,
    frame_digest,
    frame_of,
    read_units,
    studies_at_hand,
)
from flows.audit_prevalence import prevalence_numbers
from flows.audit_reads import ReadSample, is_case, read_sample, unread_since
from flows.audit_verdicts import Endpoint, Settled
from flows.audit_worklist import worklist_rows
from flows.scored_models import ScoredModel
from flows.version import code_version
from warehouse.queries import query

STANDARD = "who-2000-2025"


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What is asked of a warehouse. None: as the audit was drawn, or the default where none was."""

    model_id: str | None = None  # or digest, or its first digits
    rule: str | None = None  # first
    from_age_years: int | None = None  # 50
    audit_id: str | None = None  # the newest
    standard: str = STANDARD
    worklist_length: int = 100
    is_showing_small: bool = False
    is_identified: bool = False
    accuracy: Accuracy | None = None
    how: MonteCarlo = field(default_factory=MonteCarlo)


def audit_numbers(
    connection: Connection, request: AuditRequest | None = None, say: Callable[[str], None] = print
) -> AuditNumbers:
    """All numbers of the page and the tables, from an open warehouse (the published copy; identified: with identities).

    Raises SettingsError when nothing was scored, AuditError when the request is not what the sample was drawn for.
    """
    asked = request or AuditRequest()
    sample = read_sample(connection, asked.audit_id)
    if asked.audit_id is not None and sample is None:
        raise AuditError("there is no audit of that name: leave --audit out for the newest")
    model = audit_model(connection, asked.model_id or (sample.audit.model_digest if sample else None), say)
    population = _population(asked, sample, model)
    if sample is not None and asked.audit_id is None:
        for later in unread_since(connection, sample):
            say(f"audit {later} has no readings yet: the numbers are of audit {sample.audit.audit_id}")
    drawn_by = sample.audit.operating_point_id if sample else None
    with studies_at_hand(connection, model.model_digest, drawn_by):
        whole = _whole(connection, asked, model, sample, population)
    return whole if asked.is_showing_small else suppressed(whole)


def _whole(
    connection: Connection,
    asked: AuditRequest,
    model: AuditModel,
    sample: ReadSample | None,
    population: tuple[str, int],
) -> AuditNumbers:
    """All numbers, small ones too."""
    rule, from_age = population
    units = read_units(connection, model.model_digest, rule, from_age)
    current = _current_frame(units, sample)
    strata = _strata(connection, model, rule, from_age)
    basis = _basis(
        asked,
        model,
        sample,
        population=population,
        n_units=units.num_rows,
        is_unchanged=current is not None,
    )
    numbers = prevalence_numbers(strata, basis, asked.accuracy)
    if sample is not None and sample.judged:
        numbers += estimated_numbers(sample, basis, asked.how)
        numbers += numbers_beside(sample, current, basis, asked.how)
    else:
        numbers += _nothing_read()
    return AuditNumbers(
        basis,
        _waterfall(connection, model, sample),
        tuple(strata),
        _cells(sample) if sample else (),
        tuple(numbers),
        _follow_up(connection, model, from_age, sample),
        worklist_rows(connection, basis, sample, asked.worklist_length, is_identified=asked.is_identified),
    )


def _population(asked: AuditRequest, sample: ReadSample | None, model: AuditModel) -> tuple[str, int]:
    """Rule and lowest age: those of the sample; what is asked otherwise must agree with it."""
    if sample is None:
        from_age = FROM_AGE_YEARS if asked.from_age_years is None else asked.from_age_years
        return asked.rule or "first", from_age
    audit = sample.audit
    drawn = {"rule": audit.rule, "from_age_years": audit.from_age_years}
    for name, value in drawn.items():
        if getattr(asked, name) not in (None, value):
            option = {"rule": "--rule", "from_age_years": "--from-age"}[name]
            raise AuditError(f"audit {audit.audit_id} was drawn with {option} {value}: leave {option} out")
    if audit.model_digest != model.model_digest:
        drawn_for = ScoredModel(audit.model_id, audit.model_digest)
        raise AuditError(f"audit {audit.audit_id} was drawn with the flags of {drawn_for}: leave --model out")
    return audit.rule, audit.from_age_years


def _current_frame(units: pa.Table, sample: ReadSample | None) -> CurrentFrame | None:
    """The frame now, if it is the one that the sample was drawn from."""
    if sample is None or units["ai"].null_count or units.num_rows != sample.audit.n_units:
        return None
    frame = frame_of(units)
    return CurrentFrame(units, frame) if frame_digest(units, frame) == sample.audit.frame_digest else None


def _basis(
    asked: AuditRequest,
    model: AuditModel,
    sample: ReadSample | None,
    *,
    population: tuple[str, int],
    n_units: int,
    is_unchanged: bool,
) -> AuditBasis:
    """What all numbers rest on: the model as audited, else the model that counts now."""
    audit = sample.audit if sample else None
    return AuditBasis(
        model_id=model.model_id,
        model_digest=model.model_digest,
        is_simulated_only=model.is_simulated_only,
        operating_point_id=audit.operating_point_id if audit else model.operating_point_id,
        threshold=audit.threshold if audit else model.threshold,
        lexicon_digest=audit.lexicon_digest if audit else model.lexicon_digest,
        lexicon_names=model.lexicon_names,
        rule=population[0],
        from_age_years=population[1],
        audit_id=audit.audit_id if audit else None,
        seed=audit.seed if audit else None,
        n_units=n_units,
        n_drawn=audit.n_drawn if audit else 0,
        n_read=len(sample.judged) if sample else 0,
        n_not_evaluable=sample.n_settled(Settled.NOT_EVALUABLE) if sample else 0,
        n_unsettled=sample.n_settled(Settled.UNSETTLED) if sample else 0,
        n_readers=sample.n_readers if sample else 0,
        is_frame_unchanged=is_unchanged if sample else None,
        code_version=code_version(),
        standard=asked.standard,
        is_shown_small=asked.is_showing_small,
        is_point_current=audit is None or audit.operating_point_id == model.operating_point_id,
    )


def _nothing_read() -> list[Number]:
    reason = "no scan of this archive was read: draw a sample (`ovf audit sample`) and import its readings"
    sections = {PREVALENCE: "prevalence", MISSED_RATE: "missed", "sensitivity of the AI": "accuracy"}
    return [
        refused_number(reason, section=section, quantity=quantity, endpoint=Endpoint.PRIMARY)
        for quantity, section in sections.items()
    ]


def _asked_rows(connection: Connection, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = connection.execute(query(name), parameters)
    columns = [column[0] for column in rows.description]
    return [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]


def _strata(connection: Connection, model: AuditModel, rule: str, from_age: int) -> list[StratumRow]:
    asked = {"model_digest": model.model_digest, "rule": rule, "from_age": from_age}
    rows = _asked_rows(connection, "audit_strata", asked)
    return [StratumRow(category=row.pop("value"), **row) for row in rows]


def _waterfall(
    connection: Connection, model: AuditModel, sample: ReadSample | None
) -> tuple[WaterfallStep, ...]:
    asked = {
        "model_digest": model.model_digest,
        "audit_id": sample.audit.audit_id if sample else None,
        "judged": [unit.case_id for unit, _ in sample.judged] if sample else [],
    }
    rows = _asked_rows(connection, "audit_waterfall", asked)
    return tuple(WaterfallStep(row["step"], row["outcome"], row["reason"], row["n_studies"]) for row in rows)


def _cells(sample: ReadSample) -> tuple[CellRow, ...]:
    read = [(unit.cell, is_case(verdict, Endpoint.PRIMARY)) for unit, verdict in sample.judged]
    return tuple(
        CellRow(
            row.ai,
            row.report,
            row.stratum,
            row.score_from,
            row.score_below,
            row.n_units,
            row.n_drawn,
            sum(cell == row.cell for cell, _ in read),
            sum(cell == row.cell and found for cell, found in read),
        )
        for row in sample.cells
    )


def _follow_up(
    connection: Connection, model: AuditModel, from_age: int, sample: ReadSample | None
) -> tuple[FollowRow, ...]:
    judged: Sequence[Any] = sample.judged if sample else ()
    confirmed = [unit.unit_key for unit, verdict in judged if is_case(verdict, Endpoint.ANY_GRADE)]
    asked = {"model_digest": model.model_digest, "from_age": from_age, "confirmed": confirmed}
    rows = _asked_rows(connection, "audit_longitudinal", asked)
    return tuple(FollowRow(**row) for row in rows)
