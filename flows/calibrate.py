"""`ovf model calibrate`: what a score means at this hospital. Rows of their own; nothing is scored again.

A read, random sample of the archive comes first (the logistic line of Platt, with the design weights of an audit);
the shift by a known prevalence is the fallback. Then the threshold, by a stated rule.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection as Connection

from estimates.calibration import (
    Calibration,
    fit_platt,
    kept_threshold,
    threshold_for_share,
    threshold_for_weighted_specificity,
)
from estimates.prior import prior_shift_logits
from flows.audit_reads import is_case, read_sample
from flows.audit_verdicts import Endpoint
from flows.errors import SettingsError
from flows.labels import known_studies
from flows.model_rows import SHIPPED
from flows.scored_models import ScoredModel, listed, scored_model
from tasks.report_files import ReportFileError, read_rows
from warehouse.domain_records import DomainLimitRecord
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import OperatingPointRecord
from warehouse.store import Store

KEPT = "the same scans as before"  # a rule of its own, said once however often it is kept
SIMULATED_SHARE = 0.5  # of cases in every training on simulated scans
ANSWERS = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Rule:
    """How the threshold is chosen; at most one. None of them: the same scans stay flagged."""

    target_specificity: float | None = None
    reads_per_week: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What counts for a model now."""

    model_digest: str
    model_id: str
    calibration: Calibration
    shipped: Calibration
    shipped_share: float | None  # of cases, for which `shipped` holds; None: not told
    threshold: float
    operating_point_id: str
    rule: str
    domain_id: str | None
    domain_limit: float | None
    fitted_on: str | None


@dataclass(frozen=True, slots=True)
class ReadScans:
    """Read scans that the model may judge: logit, answer and design weight of each, and where they come from."""

    logits: list[float]
    is_case: list[bool]
    weights: list[float]
    source: str
    n_without_score: int  # read, but the model has no score of it (or may not judge it)
    n_unknown: int = 0  # read, but no study of this warehouse

    @property
    def left_out(self) -> str:
        """What was read and does not count, in words."""
        unknown = f", {self.n_unknown} are no studies of this warehouse" if self.n_unknown else ""
        return f"{self.n_without_score} more were read but have no score that counts{unknown}"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The new operating point, and what to tell of it."""

    point: OperatingPointRecord
    lines: tuple[str, ...]


def current_numbers(connection: Connection, model: str | None) -> Numbers:
    """The numbers of one model with scores here. Raises SettingsError: none, several, or no operating point."""
    wanted = scored_model(connection, model).model_digest if model is not None else None
    asked = {"model_digest": wanted, "shipped": SHIPPED, "simulated_share": SIMULATED_SHARE}
    rows = connection.execute(query("current_numbers"), asked).fetchall()
    if len(rows) != 1:
        names = listed([ScoredModel(row[1], row[0]) for row in rows])
        raise SettingsError(
            f"name one model with scores here with --model, by id or digest; there are: {names}"
        )
    digest, model_id, slope, intercept, threshold, *told, own_slope, own_intercept, own_share = rows[0]
    if threshold is None:
        raise SettingsError(f"{model_id} has no operating point here: sweep or rescore with it first")
    now, own = Calibration(slope, intercept), Calibration(own_slope, own_intercept)
    return Numbers(digest, model_id, now, own, own_share, threshold, *told)


def logits_of(connection: Connection, numbers: Numbers) -> tuple[dict[str, float], int]:
    """Study key → logit of every study that the model may judge; and in how many weeks there are such studies.

    Weeks without a study do not count: one wrong date would stretch the archive over a century.
    """
    rows = connection.execute(query("model_logits"), {"model_digest": numbers.model_digest}).fetchall()
    weeks = {row[2] for row in rows if row[2] is not None}
    return {row[0]: float(row[1]) for row in rows}, max(1, len(weeks))


def read_audited(
    connection: Connection, audit_id: str | None, endpoint: Endpoint, logits: Mapping[str, float]
) -> ReadScans:
    """The judged units of an audit sample; a unit weighs as many as it was drawn for. Raises SettingsError."""
    sample = read_sample(connection, audit_id)
    if sample is None or not sample.judged:
        of_it = f" of audit {audit_id}" if audit_id else ""
        raise SettingsError(f"no readings{of_it} are stored: `ovf audit sample`, then `ovf audit readings`")
    n_read: dict[int, int] = {}
    for unit, _ in sample.judged:
        n_read[unit.cell] = n_read.get(unit.cell, 0) + 1
    n_units = {cell.cell: cell.n_units for cell in sample.cells}
    found = ReadScans([], [], [], f"audit {sample.audit.audit_id}, {endpoint.value}", 0)
    n_without = 0
    for unit, verdict in sample.judged:
        said = [logits[key] for key in unit.study_keys if key in logits]
        if not said:
            n_without += 1
            continue
        found.logits.append(max(said))  # a unit's score is its strongest exam's
        found.is_case.append(is_case(verdict, endpoint))
        found.weights.append(n_units[unit.cell] / n_read[unit.cell])
    return ReadScans(found.logits, found.is_case, found.weights, found.source, n_without)


def read_simple(connection: Connection, path: Path, logits: Mapping[str, float]) -> ReadScans:
    """A file of `study_key, fracture` (yes or no): a simple random sample.

    Raises SettingsError: with the line, or when not one row names a study of this warehouse.
    """
    found = ReadScans([], [], [], f"{path.name}, taken as a simple random sample", 0)
    unscored, seen = [], set()
    for number, row in enumerate(_rows(path), start=2):
        key, answer = (str(row.get(name) or "").strip() for name in ("study_key", "fracture"))
        if not key or answer.lower() not in ANSWERS or key in seen:
            raise SettingsError(
                f"{path.name}, line {number}: a study_key, once, and yes or no under fracture"
            )
        seen.add(key)
        if key not in logits:
            unscored.append(key)
            continue
        found.logits.append(logits[key])
        found.is_case.append(ANSWERS[answer.lower()])
        found.weights.append(1.0)
    known = known_studies(connection, unscored)
    if unscored and not known and not found.logits:
        raise SettingsError(
            f"{path.name}: none of its {len(unscored)} rows names a study of this warehouse; "
            "study_key is the pseudonym that `ovf export scores` writes"
        )
    n_unknown = len(unscored) - len(known)
    return ReadScans(found.logits, found.is_case, found.weights, found.source, len(known), n_unknown)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from read_rows(path)
    except ReportFileError as error:
        raise SettingsError(str(error)) from error


def recalibrated(read: ReadScans) -> tuple[Calibration, list[str]]:
    """The logistic line of the read scans, and what to say of it. Raises SettingsError."""
    try:
        fitted = fit_platt(read.logits, read.is_case, read.weights)
    except ValueError as error:
        raise SettingsError(f"{read.source}: {error} ({read.left_out})") from error
    calibration = fitted.calibration
    return calibration, [
        f"calibrated on {fitted.n_cases} cases and {fitted.n_others} others ({read.source}; {read.left_out})",
        f"probability = logistic({calibration.slope:.3f} (SE {fitted.slope_se:.3f}) × logit "
        f"{calibration.intercept:+.3f} (SE {fitted.intercept_se:.3f})); "
        f"weighted share of cases {fitted.share_observed:.1%}, mean probability {fitted.mean_predicted:.1%}",
    ]


def shifted(
    numbers: Numbers, prevalence: float, trained_share: float | None
) -> tuple[Calibration, list[str]]:
    """The calibration that the model shipped with, moved by a prior shift. Raises SettingsError.

    Not the one that counts now: that may be a shift already, or fitted on read scans of this archive.
    `trained_share` None: the share of cases that the model came with.
    """
    share = numbers.shipped_share if trained_share is None else trained_share
    if share is None:
        raise SettingsError(
            f"{numbers.model_id} does not tell the share of cases that it was trained or calibrated with: name it with "
            "--trained-share (its card has the numbers)"
        )
    try:
        shift = prior_shift_logits(share, prevalence)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    base = numbers.shipped
    return Calibration(base.slope, base.intercept + shift), [
        f"the model's own calibration shifted by {shift:+.2f} logits, from {share:.1%} cases in training to "
        f"{prevalence:.1%} here; it takes the place of any other (before: {numbers.operating_point_id})",
        "A fallback: it holds only where cases look alike in both places. A read sample comes first (--readings).",
    ]


def chosen_threshold(
    rule: Rule,
    calibration: Calibration,
    numbers: Numbers,
    read: ReadScans | None,
    studies: tuple[Sequence[float], int],
) -> tuple[float, str]:
    """The threshold on the calibrated probability, and its rule in words. Raises SettingsError.

    `studies`: the logits of all judged studies, and in how many weeks they lie.
    """
    logits, weeks = studies
    try:
        if rule.target_specificity is not None:
            if read is None:
                raise ValueError("--target-specificity needs read scans (--readings or --audit)")
            others = ~np.array(read.is_case, bool)
            probabilities = calibration.probability(read.logits)[others]
            found = threshold_for_weighted_specificity(
                probabilities, np.array(read.weights)[others], rule.target_specificity
            )
            return found, f"specificity of at least {rule.target_specificity:g} on {read.source}"
        if rule.reads_per_week is not None:
            if not 0 < rule.reads_per_week < math.inf:
                raise ValueError("--reads-per-week is a number above 0")
            share = min(1.0, rule.reads_per_week * weeks / max(1, len(logits)))
            found = threshold_for_share(calibration.probability(logits), share)
            return found, (
                f"at most {rule.reads_per_week:g} flagged a week among the {len(logits)} studies scored here "
                f"({weeks} weeks with studies)"
            )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    if rule.threshold is not None:
        if not 0 < rule.threshold < 1:
            raise SettingsError("a threshold is a probability: above 0 and below 1")
        return rule.threshold, "as given"
    if not 0 < numbers.threshold < 1:  # flags all or none, whatever a logit means
        return numbers.threshold, f"as before ({numbers.rule})"
    if calibration == numbers.calibration:
        return numbers.threshold, numbers.rule
    kept = kept_threshold(logits, numbers.calibration, numbers.threshold, calibration)
    return kept, numbers.rule if numbers.rule.startswith(KEPT) else f"{KEPT} ({numbers.rule})"


def operating_point(
    numbers: Numbers, calibration: Calibration, threshold: float, rule: str
) -> OperatingPointRecord:
    """The new row; named by its numbers, so that an earlier one is never overwritten."""
    content = f"{numbers.model_digest} {calibration!r} {threshold!r} {rule}"
    return OperatingPointRecord(
        model_digest=numbers.model_digest,
        operating_point_id="here-" + hashlib.sha256(content.encode()).hexdigest()[:10],
        calibration_slope=calibration.slope,
        calibration_intercept=calibration.intercept,
        threshold=threshold,
        rule=rule,
        is_current=True,
    )


def domain_limit(numbers: Numbers, limit: float | None, rule: str) -> DomainLimitRecord:
    """A limit of this hospital on the distances that are there; None takes it away. Raises SettingsError."""
    if limit is not None and not math.isfinite(limit):
        raise SettingsError("a limit is a distance; 0 means none")
    if numbers.domain_id is None:
        raise SettingsError(f"{numbers.model_id} has no domain reference: there is nothing to limit")
    return DomainLimitRecord(
        model_digest=numbers.model_digest,
        limit_id=f"here-{limit}" if limit is not None else "here-none",
        domain_id=numbers.domain_id,
        limit_distance=limit,
        rule=rule,
        fitted_on=numbers.fitted_on or "",
        is_current=True,
    )


def land_and_publish(store: Store, row: object) -> None:
    """Make a number count, for readers too."""
    store.land(LandingBatch.of([row]))
    store.publish()
