"""Writes the numbers of an evaluation as tidy CSV: one row is one number, one point, or one error, and all it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from estimates.evaluation_numbers import Evaluation
from estimates.reader_study import AS_WRONG, LSTM, DomainRow, ReaderRow
from estimates.result import Estimate
from flows.model_files import EVALUATION_FILE
from tasks.report_files import write_rows
from warehouse.paths import private_files, replace_file

Rows = list[dict[str, Any]]
MEASURES = ("accuracy", "precision", "recall", "specificity", "f1")


def write_tables(evaluation: Evaluation, folder: Path) -> dict[str, int]:
    """Write every table into the folder (made when absent), owner-only; returns file name → rows."""
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, rows in tables_of(evaluation).items():
        if rows:
            written[f"{name}.csv"] = write_rows(folder / f"{name}.csv", list(rows[0]), rows, ())
        else:
            (folder / f"{name}.csv").unlink(missing_ok=True)  # of an earlier evaluation
    return written


def keep_beside_model(evaluation: Evaluation, directory: Path) -> None:
    """Leave the numbers of a model's own test part beside its weights, where `ovf model show` finds them."""
    readers = {
        row.reader: {
            estimate.name: {"value": estimate.value, "low": estimate.low, "high": estimate.high}
            for estimate in _estimates(row)
        }
        for row in evaluation.study.readers
    }
    study, basis = evaluation.study, evaluation.basis
    told = {
        "n_scans": study.n_scans,
        "n_patients": study.n_patients,
        "truth": basis.label_source,
        "model_digest": basis.model_digest,
        "threshold": basis.threshold,
        "threshold_rule": basis.threshold_rule,
        **readers,
    }
    replace_file(directory / EVALUATION_FILE, (json.dumps(told, indent=2) + "\n").encode())


def tables_of(evaluation: Evaluation) -> dict[str, Rows]:
    """Table name → rows. Every row of numbers carries model, truth and caveat."""
    beside = _beside(evaluation)
    return {
        "numbers": [row | beside for row in [*_readers(evaluation), *_groups(evaluation)]],
        "counts": [_count(row, evaluation.study.n_open) | beside for row in evaluation.study.readers],
        "pairs": [_pair(pair) | beside for pair in evaluation.study.pairs],
        "not_scored": _not_scored(evaluation),
        "curves": list(_curves(evaluation)),
        "domain": [_domain(row, evaluation.domain_limit) for row in evaluation.domain],
        "errors": _errors(evaluation),
    }


def _not_scored(evaluation: Evaluation) -> Rows:
    study = evaluation.study
    rows: Rows = [
        {
            "reason": reason,
            "n_cases": cases,
            "n_controls": controls,
            "is_open": int(reason in study.open_reasons),
        }
        for reason, (cases, controls) in study.n_not_scored.items()
    ]
    if study.has_hidden_reasons:
        rows.append({"reason": "other", "n_cases": "", "n_controls": "", "is_open": ""})
    return rows


def _beside(evaluation: Evaluation) -> dict[str, Any]:
    basis = evaluation.basis
    return {
        "truth": basis.label_source,
        "model_id": basis.model_id,
        "model_digest": basis.model_digest,
        "threshold": basis.threshold,
        "threshold_rule": basis.threshold_rule,
        "split_digest": basis.split_digest or "",
        "split": basis.split_words,
        "code_version": basis.code_version,
        "caveat": basis.caveat,
    }


def _count(row: ReaderRow, n_open: int | None) -> dict[str, Any]:
    """Four counts; for the LSTM also how many scans it has not looked at yet, which count nowhere; empty: hidden."""
    told = "" if row.reader not in (LSTM, AS_WRONG) or n_open is None else n_open
    return {"reader": row.reader, **asdict(row.counts), "n_not_looked_at": told}


def _readers(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    for row in evaluation.study.readers:
        for estimate in _estimates(row):
            yield _number(estimate, {"reader": row.reader, "dimension": "all", "category": "all"})


def _estimates(row: ReaderRow) -> list[Estimate]:
    """The measures of the published table and the area, those that there are."""
    found = (*(getattr(row.table, name) for name in MEASURES), row.area)
    return [estimate for estimate in found if estimate is not None]


def _groups(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    for row in evaluation.study.groups:
        place = {"reader": LSTM, "dimension": row.dimension, "category": row.category}
        for name in ("n_cases", "n_controls", "tp", "fn", "fp", "tn"):
            value = getattr(row, name)
            yield (
                _blank()
                | place
                | {
                    "quantity": name,
                    "value": "" if value is None else value,
                    "status": "suppressed" if value is None else "shown",
                }
            )
        for estimate in (row.recall, row.specificity, row.area):
            if estimate is not None:
                yield _number(estimate, place)


def _blank() -> dict[str, Any]:
    names = ("reader", "dimension", "category", "quantity", "value", "low", "high")
    return dict.fromkeys((*names, "numerator", "denominator", "confidence", "method", "given", "status"), "")


def _number(estimate: Estimate, place: dict[str, str]) -> dict[str, Any]:
    return (
        _blank()
        | place
        | {
            "quantity": estimate.name,
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "numerator": estimate.numerator,
            "denominator": estimate.denominator,
            "confidence": estimate.confidence,
            "method": estimate.method,
            "given": estimate.given,
            "status": "shown",
        }
    )


def _pair(pair: Any) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "n_scans": pair.n_scans,
        "only_first_right": pair.test.only_first,
        "only_second_right": pair.test.only_second,
        "p_value": pair.test.p_value,
        "method": pair.test.method,
    }


def _curves(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    curves = evaluation.curves
    named = {
        "roc": (curves.roc.x, curves.roc.y) if curves.roc else ((), ()),
        "precision_recall": (curves.precision_recall.x, curves.precision_recall.y)
        if curves.precision_recall
        else ((), ()),
        "decision_model": (curves.decision.thresholds, curves.decision.model),
        "decision_everybody": (curves.decision.thresholds, curves.decision.everybody),
    }
    for name, (xs, ys) in named.items():
        for x, y in zip(xs, ys, strict=True):
            yield {"curve": name, "x": x, "y": y, "low": "", "high": "", "n": ""}
    for one in curves.reliability:
        yield {
            "curve": "reliability",
            "x": one.mean_probability,
            "y": one.observed.value,
            "low": one.observed.low,
            "high": one.observed.high,
            "n": one.n,
        }


def _domain(row: DomainRow, limit: float | None) -> dict[str, Any]:
    """One scanner; what is hidden is empty, and `status` says so."""
    is_hidden = limit is not None and row.n_beyond is None
    told = {name: "" if value is None else value for name, value in asdict(row).items()}
    return told | {"status": "suppressed" if is_hidden else "shown"}


def _errors(evaluation: Evaluation) -> Rows:
    """Every wrong answer; facts about the patient only where small cells are shown."""
    rows = []
    for scan in evaluation.errors:
        row: dict[str, Any] = {
            "kind": "missed" if scan.is_case else "false alarm",
            "study_key": scan.study_key,
            "probability": scan.score[LSTM],
        }
        if evaluation.basis.is_shown_small:
            row |= {"grade": scan.grade, "height_loss": scan.height_loss, **scan.groups}
        rows.append(row)
    return rows
