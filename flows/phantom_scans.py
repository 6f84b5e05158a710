"""Simulated scans as training and evaluation see them: the phantom's slabs, cut by the model's own view."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from models.config import ViewRecipe
from models.dataset import SequenceScan, TrainingScan
from phantom.families import BASE
from phantom.protocol import draw_training_patient
from phantom.slabs import PhantomSlab, render_slab
from phantom.truth import other_causes
from tasks.view import View, make_view

# Only what a view can read is rendered: its central slices, with room for the widest central share.
HALF_WIDTH_MM = 12.0
# Slices per scan kept for the extractor: its central ones (0.6 MB a scan in memory).
EXTRACTOR_SLICES = 3
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
    sequence: SequenceScan
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
    if workers <= 1:
        yield from map(draw_scan, wanted)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw_scan, wanted, chunksize=POOL_CHUNK)


def draw_scan(request: DrawRequest) -> PhantomScan:
    """Simulate one patient's scan and cut it; the same request gives the same scan."""
    slab = clear_case(request)
    view = view_of(slab, request.view)
    visible = [body for body in slab.vertebrae if body.is_visible]
    name = f"phantom-{request.seed}"
    return PhantomScan(
        seed=request.seed,
        family=request.family,
        is_positive=slab.has_fracture,
        worst_grade=slab.worst_grade,
        coverage=slab.coverage,
        thickness_mm=float(slab.acquisition.thickness_mm),
        noise_hu=float(slab.acquisition.noise_hu),
        largest_loss=max((body.loss for body in visible), default=0.0),
        trabecular_hu=float(np.mean([body.trabecular_hu for body in visible] or [0.0])),
        sequence=SequenceScan(name, slab.has_fracture, view.images_nhw),
        training=_training_scan(slab, name, request.view) if request.is_for_extractor else None,
    )


def view_of(slab: PhantomSlab, recipe: ViewRecipe) -> View:
    """The images that a model reads of a simulated slab."""
    return make_view(
        slab.slab_xzy_hu,
        pixel_mm=slab.pixel_mm,
        slice_spacing_mm=slab.slice_spacing_mm,
        lateral_extent_mm=slab.lateral_extent_mm,
        recipe=recipe,
    )


def clear_case(request: DrawRequest) -> PhantomSlab:
    """The first patient of this seed, and of those that stand in for it, whose scan has one answer.

    Traumatic, pathological and treated bodies are neither a positive nor a negative of this task, and a
    fracture may lie where the scan does not show it whole.
    """
    for stand_in in range(STAND_INS):
        patient_seed = request.seed + stand_in * STAND_IN_STEP
        patient = draw_training_patient(
            patient_seed, has_fracture=request.has_fracture, family=request.family
        )
        slab = render_slab(patient, seed=request.seed, half_width_mm=HALF_WIDTH_MM)
        has_others = bool(other_causes(slab.vertebrae)) or any(
            body.is_treated and body.is_visible for body in slab.vertebrae
        )
        if not has_others and slab.has_fracture == request.has_fracture:
            return slab
    raise AssertionError(f"no clear case in {STAND_INS} patients: the phantom's shares are wrong")


def _training_scan(slab: PhantomSlab, name: str, view: ViewRecipe) -> TrainingScan:
    """The central slices, one image each over the whole coverage, with the truth in the same pixels."""
    middle = len(slab.slab_xzy_hu) // 2
    central = slice(middle - EXTRACTOR_SLICES // 2, middle + EXTRACTOR_SLICES // 2 + 1)
    pixel_mm = view.pixel_mm or 1.25
    rows, cols = (math.ceil(n * slab.pixel_mm / pixel_mm) for n in slab.slab_xzy_hu.shape[1:])
    column = replace(
        view,
        kind="tiles",
        pixel_mm=pixel_mm,
        tile_rows=rows,
        tile_cols=cols,
        central_share=1.0,
        max_half_mm=1e3,
    )
    images = make_view(
        slab.slab_xzy_hu[central],
        pixel_mm=slab.pixel_mm,
        slice_spacing_mm=slab.slice_spacing_mm,
        lateral_extent_mm=slab.lateral_extent_mm,
        recipe=column,
    )
    at_row = ((np.arange(rows) + 0.5) * pixel_mm + images.top_row_mm[0]) / slab.pixel_mm - 0.5
    at_col = ((np.arange(cols) + 0.5) * pixel_mm + images.left_col_mm[0]) / slab.pixel_mm - 0.5
    labels = _nearest(slab.vertebra_label_xzy[central].max(axis=0), at_row, at_col)
    fractured = [body.label for body in slab.vertebrae if body.grade > 0]
    spans = [_span(labels == label) for label in fractured]
    return TrainingScan(
        patient=name,
        is_positive=slab.has_fracture,
        images=images.images_nhw,
        centre_cols=_centres(labels),
        lesion_mask=np.isin(labels, fractured).astype(np.uint8),
        lesion_rows=tuple(span for span in spans if span is not None),
    )


def _nearest(
    labels: NDArray[np.uint8], at_row: NDArray[np.floating], at_col: NDArray[np.floating]
) -> NDArray[np.uint8]:
    rows, cols = (np.rint(at).astype(int) for at in (at_row, at_col))
    out: NDArray[np.uint8] = labels[rows.clip(0, labels.shape[0] - 1)][:, cols.clip(0, labels.shape[1] - 1)]
    out[(rows < 0) | (rows >= labels.shape[0])] = 0
    out[:, (cols < 0) | (cols >= labels.shape[1])] = 0
    return out


def _span(mask: NDArray[np.bool_]) -> tuple[int, int] | None:
    rows = np.flatnonzero(mask.any(axis=1))
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else None


def _centres(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Middle column of the bodies in each row; between bodies a straight line, beyond them constant."""
    mask = labels > 0
    with_body = np.flatnonzero(mask.any(axis=1))
    if not len(with_body):
        return np.full(len(labels), labels.shape[1] / 2, np.float32)
    cols = np.arange(labels.shape[1])
    middle = [float(cols[mask[row]].mean()) for row in with_body]
    return np.interp(np.arange(len(labels)), with_body, middle).astype(np.float32)
