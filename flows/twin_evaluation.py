"""A model on real anatomy with made fractures: does a scan's logit rise when one of its vertebrae is lowered?

Each twin is compared with the shams of its scan: the same interpolation, every height kept. A scan that the model was
trained on proves nothing: train without it first (`ovf train --real-series` of the others).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from estimates.roc import Interval, share
from flows.phantom_scans import HALF_WIDTH_MM, PIXEL_MM, sequence_scan
from flows.real_scans import RealSource, make_varied
from models.dataset import FRACTURE_LOSS, LOW_LOSS
from models.infer import ScanScore, Scorer
from models.loading import load_model
from models.registry import OperatingPoint, read_operating_point
from phantom.from_real import Twin

CLEAR_LOSS = 0.25  # of a height: beyond doubt a fracture
TWINS_FILE, RESULTS_FILE = "twins.csv", "twins.json"


@dataclass(frozen=True)
class TwinResult:
    """One twin and its sham. Logits are the model's for the scan, and the highest of its images."""

    scan: str
    thickness_mm: float
    level: str
    shape: str
    loss: float
    logit: float
    sham_logit: float
    highest: float
    sham_highest: float


def judge_on_twins(
    directory: Path,
    sources: Sequence[RealSource],
    out: Path,
    *,
    pairs: int,
    seed: int,
    say: Callable[[str], None] = print,
) -> str:
    """Score `pairs` twins and their shams of each real scan, write `twins.csv` and `twins.json` to `out`; a summary.

    Raises ModelError for a model that is none, or has no operating point.
    """
    loaded = load_model(directory)
    point = read_operating_point(directory)
    scorer, results = Scorer(loaded), []
    for source in sources:
        say(f"{source.name}: scoring {pairs} twins and their shams, {len(source.marks)} vertebrae")
        results += _results_of(scorer, source, pairs, seed)
    out.mkdir(parents=True, exist_ok=True)
    _write_csv(out / TWINS_FILE, results)
    report = summarise(results, point)
    (out / RESULTS_FILE).write_text(json.dumps(report, indent=2) + "\n")
    return "\n".join(_line(name, group) for name, group in report.items())


def _results_of(scorer: Scorer, source: RealSource, pairs: int, seed: int) -> list[TwinResult]:
    results: list[TwinResult] = []
    twin: tuple[Twin, ScanScore] | None = None
    for each in make_varied(source, pairs, seed, is_for_slabs=True):
        slab = each.slab(pixel_mm=PIXEL_MM, half_width_mm=HALF_WIDTH_MM)
        (score,) = scorer.score([sequence_scan(slab, source.name, scorer.config.view)])
        if each.kind == "twin" or twin is None:
            twin = (each, score)
            continue
        results.append(_result(source, *twin, score))
    return results


def _result(source: RealSource, twin: Twin, score: ScanScore, sham: ScanScore) -> TwinResult:
    return TwinResult(
        scan=source.name,
        thickness_mm=source.series.thickness_mm,
        level=twin.level,
        shape=twin.shape,
        loss=twin.loss,
        logit=score.logit,
        sham_logit=sham.logit,
        highest=float(score.slice_logits.max()),
        sham_highest=float(sham.slice_logits.max()),
    )


def _write_csv(path: Path, results: Sequence[TwinResult]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(TwinResult)])
        writer.writeheader()
        for result in results:
            row = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(result).items()}
            writer.writerow(row)


Group = dict[str, Any]


def summarise(results: Sequence[TwinResult], point: OperatingPoint) -> dict[str, Group]:
    """By scan, slice thickness, level and shape: twins over all shams of their scan, and what is flagged."""
    highest_sham = {r.scan: max(o.sham_logit for o in results if o.scan == r.scan) for r in results}
    groups = {"all": list(results)}
    for name in ("scan", "thickness_mm", "level", "shape"):
        for value in sorted({getattr(r, name) for r in results}, key=str):
            groups[f"{name} {value}"] = [r for r in results if getattr(r, name) == value]
    return {name: _of_group(own, highest_sham, point) for name, own in groups.items()}


def _of_group(results: Sequence[TwinResult], highest_sham: dict[str, float], point: OperatingPoint) -> Group:
    clear = [r for r in results if r.loss >= CLEAR_LOSS]
    low = [r for r in results if LOW_LOSS <= r.loss < FRACTURE_LOSS]
    return {
        "clear twins above every sham": _share(r.logit > highest_sham[r.scan] for r in clear),
        "clear twins above their own sham": _share(r.logit > r.sham_logit for r in clear),
        "mean rise of clear twins": float(np.mean([r.logit - r.sham_logit for r in clear]))
        if clear
        else None,
        "clear twins flagged": _share(point.is_flagged(r.logit) for r in clear),
        "shams flagged": _share(point.is_flagged(r.sham_logit) for r in results),
        "low twins flagged": _share(point.is_flagged(r.logit) for r in low),
    }


def _share(marks: Iterable[bool]) -> dict[str, float] | None:
    """How many of how many, with exact limits; None of nothing."""
    kept = list(marks)
    if not kept:
        return None
    found: Interval = share(sum(kept), len(kept))
    return {"n": len(kept), **asdict(found)}


def _line(name: str, group: Group) -> str:
    parts = [
        f"{what} {found['value']:.2f} ({found['low']:.2f}-{found['high']:.2f}) of {found['n']:.0f}"
        for what, found in group.items()
        if isinstance(found, dict)
    ]
    return f"{name}: " + "; ".join(parts)
