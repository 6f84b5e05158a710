"""What there is to know of an installed model, in the order of CLAIM 2024 and TRIPOD+AI. Reads no weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.domain import read_domain
from models.registry import ModelListing, describe_model, read_operating_point
from models.split_file import SPLIT_FACTS_FILE, SPLIT_FILE

TRAINING_FILES = ("training.json", SPLIT_FACTS_FILE, SPLIT_FILE)
EVALUATION_FILE = "evaluation.json"


def model_text(model: str | Path) -> str:
    """Sections as Markdown. Raises ModelError."""
    found = describe_model(model)
    parts = (
        ("Title and identity", _identity(found)),
        ("Intended use", [found.intended_use]),
        ("Training data and splits", _training(found)),
        ("Images and preparation", _images(found)),
        ("Architecture", [found.architecture]),
        ("Performance, with intervals", _performance(found.directory)),
        ("Calibration and operating point", _operating_point(found.directory)),
        ("Domain: what it may judge", _domain(found.directory)),
        ("Its card (data, limits, how it was trained)", [found.card.strip()]),
    )
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in parts) + "\n"


def _identity(found: ModelListing) -> list[str]:
    caveat = (
        "trained on simulated scans only; not for clinical use" if found.is_simulated_only else "see its card"
    )
    return [
        f"- id: {found.model_id}",
        f"- digest (SHA-256 over weights and config): {found.digest}",
        f"- {caveat}",
        f"- weights: {found.n_bytes / 1e6:.0f} MB, safetensors",
    ]


def _images(found: ModelListing) -> list[str]:
    view = found.view
    pixel = f"{view.pixel_mm} mm" if view.pixel_mm else "the whole coverage in one image"
    middle = "the middle of the vertebral bodies, row by row" if view.midline else "the patient's middle"
    return [
        "- slab: sagittal slices of 3 mm around the patient's middle; "
        f"read, around {middle}: the central {view.central_share:.0%} "
        f"of the width, ± {view.min_half_mm:g} to {view.max_half_mm:g} mm",
        f"- view `{view.name}`: {view.tile_rows} × {view.tile_cols} pixels of {pixel}, HU {view.hu_low:g} to "
        f"{view.hu_high:g}",
    ]


def _training(found: ModelListing) -> list[str]:
    """Digests of what says who was in which split; the words are the card's."""
    lines = []
    for name in TRAINING_FILES:
        path = found.directory / name
        if path.is_file():
            lines.append(f"- {name}: SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return lines or ["- no file of its splits is kept beside it; see its card"]


def _performance(directory: Path) -> list[str]:
    path = directory / EVALUATION_FILE
    if not path.is_file():
        return ["- none kept beside it; see its card"]
    values = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        f"| {name} | {value:.3f} | {low:.3f}-{high:.3f} |"
        for name, value, low, high in _intervals("", values)
    ]
    counts = [
        f"{key} {value}" for key, value in values.items() if isinstance(value, int) and key.startswith("n_")
    ]
    return [", ".join(counts), "", "| what | value | 95 % limits |", "|---|---|---|", *rows]


def _intervals(name: str, values: Any) -> Iterator[tuple[str, float, float, float]]:
    """Everything with a value and limits, however deep."""
    if not isinstance(values, dict):
        return
    if {"value", "low", "high"} <= values.keys():
        yield name, values["value"], values["low"], values["high"]
        return
    for key, inner in values.items():
        yield from _intervals(f"{name}, {key}" if name else str(key), inner)


def _operating_point(directory: Path) -> list[str]:
    point = read_operating_point(directory)
    return [
        f"- probability = logistic({point.calibration_slope:g} × logit {point.calibration_intercept:+g})",
        f"- flagged from {point.threshold:.4f} on: {point.rule} ({point.chosen_on})",
        "- as shipped; a hospital's own numbers are rows of its warehouse (`ovf model calibrate`)",
    ]


def _domain(directory: Path) -> list[str]:
    domain = read_domain(directory)
    if domain is None:
        return ["- no reference: nothing is excluded for looking unlike its training data"]
    limit = "none" if domain.limit is None else f"{domain.limit:.3f} ({domain.limit_rule})"
    return [
        f"- reference {domain.domain_id}: {domain.n_scans} scans ({domain.fitted_on})",
        f"- limit: {limit}",
    ]
