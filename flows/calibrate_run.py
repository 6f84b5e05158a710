"""Puts `ovf model calibrate` together: reads the warehouse, calibrates, chooses the threshold, lands one row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from estimates.calibration import Calibration
from flows import calibrate
from flows.audit_readings import NEEDED_COLUMNS, import_readings, unread_columns
from flows.audit_verdicts import Endpoint
from flows.calibrate import Numbers, ReadScans, Rule
from flows.errors import SettingsError
from tasks.report_files import ReportFileError, columns_of, read_rows
from warehouse.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """What a calibration was asked for."""

    readings: Path | None
    audit_id: str | None
    prevalence: float | None
    trained_share: float | None  # None: what the model came with
    endpoint: str  # primary | any
    rule: Rule


def calibrate_model(warehouse: Path, model: str | None, asked: Asked) -> list[str]:
    """Land the new operating point and publish; returns what to say. Raises SettingsError, WarehouseError.

    Numbers that are those which count already are not landed: an operating point's name stands in what was published.
    """
    store = Store.open(warehouse, create=False)
    audit_id = asked.audit_id if asked.readings is None else _imported(store, asked.readings)
    with store.read_live() as connection:
        numbers = calibrate.current_numbers(connection, model)
        logits, weeks = calibrate.logits_of(connection, numbers)
        read: ReadScans | None = None
        if audit_id is not None:
            endpoint = Endpoint.PRIMARY if asked.endpoint == "primary" else Endpoint.ANY_GRADE
            read = calibrate.read_audited(connection, audit_id, endpoint, logits)
        elif asked.readings is not None:
            read = calibrate.read_simple(connection, asked.readings, logits)
    calibration, lines = _calibration(numbers, read, asked)
    threshold, rule = calibrate.chosen_threshold(
        asked.rule, calibration, numbers, read, (list(logits.values()), weeks)
    )
    if read is not None and read.source not in rule:  # an evaluation on the same scans must say so
        rule = f"{rule}; calibrated on {read.source}"
    if (calibration, threshold) == (numbers.calibration, numbers.threshold):
        return [
            *lines,
            f"{numbers.model_id}: {numbers.operating_point_id} has these numbers already, and goes on counting",
        ]
    point = calibrate.operating_point(numbers, calibration, threshold, rule)
    calibrate.land_and_publish(store, point)
    n_flagged = int((calibration.probability(list(logits.values())) >= threshold).sum())
    return [
        *lines,
        f"threshold {threshold:.4f}: {rule}",
        f"{numbers.model_id}: operating point {point.operating_point_id} counts from now on "
        f"(before: {numbers.operating_point_id}); {n_flagged:,} of {len(logits):,} judged studies are flagged. "
        "Nothing was scored again.",
    ]


def _calibration(numbers: Numbers, read: ReadScans | None, asked: Asked) -> tuple[Calibration, list[str]]:
    if read is not None:
        return calibrate.recalibrated(read)
    if asked.prevalence is not None:
        return calibrate.shifted(numbers, asked.prevalence, asked.trained_share)
    return numbers.calibration, ["calibration unchanged"]


def _imported(store: Store, path: Path) -> str | None:
    """The audit whose filled reading list a file is, its verdicts imported as `ovf audit readings` does; else None."""
    try:
        columns = columns_of(path)
        if not all(name in columns for name in NEEDED_COLUMNS):
            return None
        if unread := unread_columns(columns):
            raise SettingsError(f"{path.name}: {unread}; nothing was stored")
        found = import_readings(store, read_rows(path))
    except (ReportFileError, OSError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}") from error
    if found.errors:
        raise SettingsError(f"{path.name}: {found.errors[0]}; nothing was stored")
    if len(found.audit_ids) != 1:
        held = (
            f"verdicts of {' and '.join(found.audit_ids)}: name one with --audit"
            if found.audit_ids
            else "no verdict"
        )
        raise SettingsError(f"{path.name} holds {held}")
    return found.audit_ids[0]
