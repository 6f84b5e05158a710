"""The scans of an evaluation: every study with a label, what the model and the report say of it, and its groups.

Scores come from the warehouse; those of a model that has scored nothing there are made now, from the stored slabs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from estimates.reader_study import LSTM, MAX, MEAN, REPORTS, VOTE, ReadScan
from flows.label_file import Label
from models.pooling import SLICE_THRESHOLD, max_probability, mean_probability, vote_share
from tasks.kernels import classify_kernel
from warehouse.reasons import BEYOND_DOMAIN, FEW_VERTEBRAE, Outcome

if TYPE_CHECKING:
    from models.domain import DomainReference
    from models.infer import ScanScore

DIMENSIONS = ("sex", "age", "vendor", "kernel", "slice thickness", "coverage", "contrast")
# Bands of slice thickness in mm: over 3 mm a grade 1 loss cannot be resolved (docs/operators-guide.md).
THICKNESS_MM = (1.25, 2.5, 3.0)
SCANS_PER_CALL = 16
SLAB_UNREADABLE, NO_SLAB, NOT_FINITE = "slab_unreadable", "slab_not_kept", "not_finite"


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said of one scan: calibrated probability, flag, and the raw answer for each image."""

    probability: float
    is_flagged: bool
    slice_logits: Sequence[float]
    slice_index: Sequence[int]
    view_recipe: str
    domain_distance: float | None = None


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Why nothing that a model said of a scan counts; and its distance from the domain, where that is known."""

    reason: str
    domain_distance: float | None = None
    is_open: bool = False  # this model has not looked at it yet


Scores = Mapping[str, Said | Unsaid]  # by study


def said_in_warehouse(rows: Sequence[Mapping[str, Any]]) -> dict[str, Said | Unsaid]:
    """Scores as they are stored; studies without one have the reason of the sweep."""
    found: dict[str, Said | Unsaid] = {}
    for row in rows:
        if row["outcome"] == "scored" and row["logit"] is not None and row["is_flagged"] is not None:
            found[row["study_key"]] = Said(
                row["probability"],
                bool(row["is_flagged"]),
                row["slice_logits"],
                row["slice_index"],
                row["view_recipe"],
                row["domain_distance"],
            )
        else:
            found[row["study_key"]] = _unsaid(row, row["domain_distance"])
    return found


def _unsaid(row: Mapping[str, Any], domain_distance: float | None = None) -> Unsaid:
    """As the sweep left it. What only other models have scored is pending too."""
    is_open = row["outcome"] == Outcome.PENDING
    return Unsaid(row["reason"] or row["outcome"], domain_distance, is_open)


def said_now(
    rows: Sequence[Mapping[str, Any]],
    model: Path,
    slab_path: Callable[[str, str], Path],
    say: Callable[[int], None],
) -> dict[str, Said | Unsaid]:
    """Score the slabs of these rows with a model that the warehouse has no scores of."""
    from models.domain import read_domain
    from models.infer import Scorer
    from models.loading import load_model
    from models.registry import read_operating_point
    from tasks.jpeg2000 import SlabFileError, read_slab
    from tasks.slab import view_of

    loaded = load_model(model)
    scorer, point, domain = Scorer(loaded), read_operating_point(model), read_domain(model)
    found: dict[str, Said | Unsaid] = {}
    left = iter(rows)
    while part := list(islice(left, SCANS_PER_CALL)):
        views = []
        for row in part:
            try:
                slab = read_slab(slab_path(row["series_key"] or "", row["series_revision"] or ""))
                views.append((row["study_key"], view_of(slab, loaded.config.view)))
            except FileNotFoundError:
                # Of another model: it had the slab.
                had_slab = row["outcome"] == Outcome.SCORED or row["reason"] in (BEYOND_DOMAIN, FEW_VERTEBRAE)
                found[row["study_key"]] = Unsaid(NO_SLAB, is_open=True) if had_slab else _unsaid(row)
            except (SlabFileError, OSError, ValueError):
                found[row["study_key"]] = Unsaid(SLAB_UNREADABLE)
        scores = scorer.score([view for _, view in views])
        for (study_key, view), score in zip(views, scores, strict=True):
            if not score.is_finite:
                found[study_key] = Unsaid(NOT_FINITE)
                continue
            distance = domain.distance(score.slice_features) if domain else None
            refusal = refusal_of(score, domain, distance)
            if refusal is not None:
                found[study_key] = Unsaid(refusal, distance)
                continue
            found[study_key] = Said(
                point.probability(score.logit),
                point.is_flagged(score.logit),
                score.slice_logits.tolist(),
                view.slice_index.tolist(),
                loaded.config.view.name,
                distance,
            )
        say(len(found))
    return found


def refusal_of(score: ScanScore, domain: DomainReference | None, distance: float | None) -> str | None:
    """Why a score does not count, as the view `score_refusal` says of those in a warehouse; None: it counts."""
    if score.lacks_vertebrae:
        return FEW_VERTEBRAE
    is_beyond = domain is not None and distance is not None and domain.is_beyond(distance)
    return BEYOND_DOMAIN if is_beyond else None


def evaluation_scans(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Label], scores: Scores
) -> list[ReadScan]:
    """One scan for each row with a label that counts, by time."""
    ordered = sorted(rows, key=lambda row: (str(row["study_date"] or "9999"), row["study_key"]))
    found = []
    for row in ordered:
        label = labels.get(row["study_key"])
        if label is not None and label.is_case is not None:
            found.append(_scan(row, label, scores[row["study_key"]]))
    return found


def _scan(row: Mapping[str, Any], label: Label, said: Said | Unsaid) -> ReadScan:
    answers: dict[str, bool] = {}
    values: dict[str, float] = {}
    loudest = None
    if isinstance(said, Said):
        logits = np.asarray(said.slice_logits, np.float64)
        values = {
            LSTM: said.probability,
            MAX: max_probability(logits),
            MEAN: mean_probability(logits),
            VOTE: vote_share(logits),
        }
        answers = {name: bool(value > SLICE_THRESHOLD) for name, value in values.items()}
        answers[LSTM] = said.is_flagged
        loudest = int(said.slice_index[int(logits.argmax())])
    if row["statement"] in ("present", "possible", "absent", "unmentioned"):
        answers[REPORTS] = row["statement"] == "present"
    return ReadScan(
        study_key=row["study_key"],
        person_key=row["person_key"],
        is_case=bool(label.is_case),
        is_eligible=bool(row["is_eligible"]),
        reason=said.reason if isinstance(said, Unsaid) else None,
        said=answers,
        score=values,
        groups=groups_of(row),
        grade=label.grade,
        height_loss=label.height_loss,
        series=(row["series_key"], row["series_revision"]) if loudest is not None else None,
        slice_index=loudest,
        view_recipe=said.view_recipe if isinstance(said, Said) else None,
        scanner=row["scanner"],
        domain_distance=said.domain_distance,
        is_open=isinstance(said, Unsaid) and said.is_open,
    )


def groups_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Dimension → category of one row of `evaluation_scans.sql`."""
    contrast = row["has_contrast"]
    return {
        "sex": row["sex"] or "unknown",
        "age": row["age"],
        "vendor": _vendor(row["manufacturer"]),
        "kernel": classify_kernel(row["convolution_kernel"]).name.lower(),
        "slice thickness": _thickness(row["slice_thickness_mm"]),
        "coverage": row["coverage"],
        "contrast": "unknown" if contrast is None else "given" if contrast else "none given",
    }


def _vendor(manufacturer: str | None) -> str:
    """The maker's first word: `Siemens Healthineers` and `SIEMENS` are one."""
    words = (manufacturer or "").upper().replace("_", " ").split()
    return words[0] if words else "unknown"


def _thickness(thickness_mm: float | None) -> str:
    if thickness_mm is None:
        return "unknown"
    if thickness_mm <= THICKNESS_MM[0]:
        return f"up to {THICKNESS_MM[0]:g} mm"
    for low, high in pairwise(THICKNESS_MM):
        if thickness_mm <= high:
            return f"{low:g}-{high:g} mm"
    return f"over {THICKNESS_MM[-1]:g} mm"
