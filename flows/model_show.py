"""What there is to know of an installed model, in the order of CLAIM 2024 and TRIPOD+AI. Reads no weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.model_files import EVALUATION_FILE, PROTOCOL_FILE, TRAINING_FILES
from models.domain import read_domain
from models.registry import (
    BODY_READERS,
    MIDLINE_FINDERS,
    ModelError,
    ModelListing,
    PartKind,
    describe_model,
    read_operating_point,
    read_part,
)

# Of the frozen test set: what stands for each group of families; the rest is in the card.
GROUPS = ("all families", "seen families", "unseen families")
SHOWN = ("auc_by_rule", "sensitivity", "specificity", "not_evaluable", "flagged_low_bodies", "by_grade")


def model_text(model: str | Path) -> str:
    """Sections as Markdown. Raises ModelError."""
    found = describe_model(model)
    parts = (
        ("Title and identity", _identity(found)),
        ("Intended use", [found.intended_use]),
        ("Training data and splits", _training(found)),
        ("Images and preparation", _images(found)),
        ("Architecture", _architecture(found)),
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


def _architecture(found: ModelListing) -> list[str]:
    lines = [f"- {found.architecture}"]
    if found.view.midline:
        lines.append(_part("the spine's middle is found by", MIDLINE_FINDERS, found.view.midline))
    if found.bodies:
        heard = f"{_part('vertebrae are read by', BODY_READERS, found.bodies)}; "
        lines.append(heard + f"its logit, within bounds, times {found.body_weight:g} is added to the LSTM's")
    return lines


def _part(words: str, kind: PartKind, name: str) -> str:
    return f"- {words} `{name}` (SHA-256 {kind.sha256_by_name[name]})"


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
    """The frozen test set first: the model's own test part is smaller, and of the families that it was taught by."""
    found = [*_frozen_test(directory), *_own_test(directory)]
    return found or [
        "- none kept beside it: `ovf evaluate --model FOLDER` on its stored test part keeps them"
    ]


def _frozen_test(directory: Path) -> list[str]:
    path = directory / PROTOCOL_FILE
    if not path.is_file():
        return []
    report = _read(path)
    lines = [f"Frozen test set `{report['protocol']}`, {report['studies']}; simulated scans:", ""]
    for group in (name for name in GROUPS if name in report):
        own = report[group]
        shown = {name: own[name] for name in SHOWN if name in own}
        lines += [
            f"{group}: {own['n_positive']} positive, {own['n_negative']} negative",
            "",
            *_table(shown),
            "",
        ]
    return lines


def _own_test(directory: Path) -> list[str]:
    path = directory / EVALUATION_FILE
    if not path.is_file():
        return []
    values = _read(path)
    counts = [
        f"{key} {value}" for key, value in values.items() if isinstance(value, int) and key.startswith("n_")
    ]
    at = f"; flagged from {values['threshold']:.4f} on" if "threshold" in values else ""
    at += f" ({values['threshold_rule']})" if "threshold_rule" in values else ""
    return [f"Its own test part: {', '.join(counts)}{at}", "", *_table(values)]


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(read_part(path))
        return values
    except ValueError as error:
        raise ModelError(f"{path.name} of the model is damaged") from error


def _table(values: Any) -> list[str]:
    rows = [
        f"| {name} | {value:.3f} | {low:.3f}-{high:.3f} |"
        for name, value, low, high in _intervals("", values)
    ]
    return ["| what | value | 95 % limits |", "|---|---|---|", *rows]


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
        *(
            [f"- holds for {point.case_share:.1%} cases among the scans"]
            if point.case_share is not None
            else []
        ),
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
