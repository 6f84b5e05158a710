"""Simulated scans as training and evaluation see them: the phantom's slabs, cut by the model's own view."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flows.process_pool import map_in_order
from flows.training_scans import EXTRACTOR_HALF_WIDTH_MM, training_scan
from models.config import ViewRecipe
from models.dataset import SequenceScan, TrainingScan
from phantom.families import BASE
from phantom.protocol import draw_training_patient
from phantom.slabs import PhantomSlab, render_slab
from phantom.truth import other_causes
from tasks.view import View, make_view

# What a sweep's slab shows.
HALF_WIDTH_MM = 30.0
# Finer than any view's pixels, coarser than a sweep's slab: five times faster to draw.
PIXEL_MM = 1.0
# Seeds of the three kinds of scans never meet.
TRAINING_SEEDS, TEST_SEEDS = 1_000_000, 9_000_000
POOL_CHUNK = 8
# A patient that is no clear case is replaced by one of a seed that no request has (all are far smaller).
STAND_INS, STAND_IN_STEP = 40, 10**11


@dataclass(frozen=True)
class PhantomScan:
    """One simulated scan: what training reads of it, and what an evaluation is broken down by."""

    seed: int
    family: str
    is_positive: bool
    worst_grade: int
    coverage: str
    thickness_mm: float
    noise_hu: float
    largest_loss: float  # share of a height lost, over the visible bodies
    trabecular_hu: float  # mean over the visible bodies
    patient: str
    sequence: SequenceScan | None  # None for the extractor's
    training: TrainingScan | None


@dataclass(frozen=True)
class DrawRequest:
    """One scan to simulate."""

    seed: int
    has_fracture: bool
    view: ViewRecipe
    is_for_extractor: bool
    family: str = BASE.name


def requests(
    first_seed: int,
    n: int,
    view: ViewRecipe,
    *,
    positive_share: float = 0.5,
    is_for_extractor: bool = False,
    families: Sequence[str] = (BASE.name,),
) -> list[DrawRequest]:
    """`n` requests with seeds from `first_seed` on, the given share of them fractured, evenly interleaved.

    Families are dealt out in turn, each to as many fractured as sound patients.
    """
    marks = np.floor(np.arange(n + 1) * positive_share)
    n_positive = marks.astype(int)
    requested = []
    for i in range(n):
        has_fracture = bool(marks[i + 1] > marks[i])
        order = n_positive[i] if has_fracture else i - n_positive[i]  # its number among those of its label
        family = families[int(order) % len(families)]
        requested.append(DrawRequest(first_seed + i, has_fracture, view, is_for_extractor, family))
    return requested


def draw_scans(wanted: Sequence[DrawRequest], workers: int = 1) -> Iterator[PhantomScan]:
    """Simulate the scans, in order, in `workers` processes."""
    return map_in_order(draw_scan, wanted, workers, chunksize=POOL_CHUNK)


def draw_scan(request: DrawRequest) -> PhantomScan:
    """Simulate one patient's scan and cut it; the same request gives the same scan."""
    slab = clear_case(request)
    visible = [body for body in slab.vertebrae if body.is_visible]
    name = f"phantom-{request.seed}"
    is_for_extractor = request.is_for_extractor
    return PhantomScan(
        seed=request.seed,
        family=request.family,
        is_positive=slab.has_fracture,
        worst_grade=slab.worst_grade,
        coverage=slab.coverage,
        thickness_mm=float(slab.acquisition.thickness_mm),
        noise_hu=float(slab.acquisition.noise_hu),
        largest_loss=largest_loss(slab),
        trabecular_hu=float(np.mean([body.trabecular_hu for body in visible] or [0.0])),
        patient=name,
        sequence=None if is_for_extractor else sequence_scan(slab, name, request.view),
        training=training_scan(slab, name, request.view, request.seed) if is_for_extractor else None,
    )


def view_of(slab: PhantomSlab, recipe: ViewRecipe) -> View:
    """The images that a model reads of a simulated slab, or of one made of a real scan."""
    extent_mm = slab.lateral_extent_mm
    return make_view(
        slab.slab_xzy_hu,
        pixel_mm=slab.pixel_mm,
        slice_spacing_mm=slab.slice_spacing_mm,
        lateral_extent_mm=None if math.isnan(extent_mm) else extent_mm,
        recipe=recipe,
    )


def sequence_scan(slab: PhantomSlab, name: str, view: ViewRecipe) -> SequenceScan:
    """The images that the scorer reads of a slab, and its label."""
    return SequenceScan.of(name, slab.has_fracture, view_of(slab, view), largest_loss(slab))


def largest_loss(slab: PhantomSlab) -> float:
    """The largest share of a height that a visible body has lost; 0 without one."""
    return max((body.loss for body in slab.vertebrae if body.is_visible), default=0.0)


def half_width_drawn_mm(view: ViewRecipe, is_for_extractor: bool) -> float:
    """How wide a slab is drawn: what a sweep's shows, or no more than the extractor is taught by in the middle."""
    return EXTRACTOR_HALF_WIDTH_MM if is_for_extractor and not view.midline else HALF_WIDTH_MM


def clear_case(request: DrawRequest) -> PhantomSlab:
    """The first patient of this seed, and of those that stand in for it, whose scan has one answer.

    Traumatic, pathological and treated bodies are neither a positive nor a negative of this task, and a
    fracture may lie where the scan does not show it whole.
    """
    half_width_mm = half_width_drawn_mm(request.view, request.is_for_extractor)
    for stand_in in range(STAND_INS):
        patient_seed = request.seed + stand_in * STAND_IN_STEP
        patient = draw_training_patient(
            patient_seed, has_fracture=request.has_fracture, family=request.family
        )
        slab = render_slab(patient, seed=request.seed, half_width_mm=half_width_mm, pixel_mm=PIXEL_MM)
        has_others = bool(other_causes(slab.vertebrae)) or any(
            body.is_treated and body.is_visible for body in slab.vertebrae
        )
        if not has_others and slab.has_fracture == request.has_fracture:
            return slab
    raise AssertionError(f"no clear case in {STAND_INS} patients: the phantom's shares are wrong")
