"""Slabs with dense truth, simulated or made of real scans, as the extractor is taught by them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from models.config import ViewRecipe
from models.dataset import (
    FRACTURED,
    LABEL_STEP,
    LOSSES,
    LOW_LOSS,
    N_FACTS,
    N_LABELS,
    SOUND,
    STATUS,
    UNKNOWN,
    DenseTruth,
    TrainingScan,
)
from phantom.slabs import PhantomSlab
from phantom.truth import VertebraTruth
from phantom.vertebrae.vertebra import OSTEOPOROTIC
from tasks.midline import places_read
from tasks.view import from_middle_mm, midline_of, slices_read, whole_view

# Slices per scan kept for the extractor, drawn from those of the slab, near ones more often (0.4 MB a scan).
EXTRACTOR_SLICES = 3
NEAR_MM, EXTRACTOR_HALF_WIDTH_MM = 8.0, 12.0
# Kept to each side of the spine, in pixels: the widest crop of a recipe with its margin and its place aside.
STRIP_PX = 96


def training_scan(
    slab: PhantomSlab,
    name: str,
    view: ViewRecipe,
    seed: int,
    *,
    known: Collection[int] | None = None,
    shown: Collection[int] = (),
) -> TrainingScan:
    """A few slices of a slab as images of the view's pixel size around the spine, with truth in the same pixels.

    Where the view follows the spine to the side, so do slices and truth.
    `known` are the labels of the bodies whose lost heights are known (None: all); `shown` those to be drawn often
    though they are no fracture.
    """
    midline_mm = midline_of(slab.slab_xzy_hu, slab.pixel_mm, slab.slice_spacing_mm, view)
    slices = _draw_slices(slab, np.random.default_rng([seed, 0x51CE]))
    read = slices_read(slab.slab_xzy_hu, slices, midline_mm, slab.slice_spacing_mm)
    images = whole_view(read, slab.pixel_mm, slab.slice_spacing_mm, view)
    pixel_mm, (rows, cols) = images.pixel_mm, images.images_nhw.shape[1:]
    at_row = ((np.arange(rows) + 0.5) * pixel_mm + images.top_row_mm[0]) / slab.pixel_mm - 0.5
    at_col = ((np.arange(cols) + 0.5) * pixel_mm + images.left_col_mm[0]) / slab.pixel_mm - 0.5
    labels = nearest(labels_read(slab, slices, midline_mm), at_row, at_col)
    centres = _centres(labels.max(axis=0))
    first = max(0, int(centres.min()) - STRIP_PX) // LABEL_STEP * LABEL_STEP
    strip = slice(first, int(centres.max()) + STRIP_PX)
    bodies = _facts(slab.vertebrae, known)
    return TrainingScan(
        patient=name,
        is_positive=slab.has_fracture,
        images=np.ascontiguousarray(images.images_nhw[:, :, strip]),
        centre_cols=centres - np.float32(first),
        truth=_truth(labels[:, :, strip], bodies, shown),
        is_real=known is not None,
    )


def _truth(labels: NDArray[np.uint8], bodies: NDArray[np.float32], shown: Collection[int]) -> DenseTruth:
    is_fractured = bodies[:, STATUS] == FRACTURED
    # Low bodies are shown more often: they teach where fractures begin.
    is_low = (bodies[:, STATUS] == SOUND) & (bodies[:, LOSSES].max(axis=1) >= LOW_LOSS)
    is_low[list(shown)] = True
    seen = labels.max(axis=0)
    return DenseTruth(
        labels=np.ascontiguousarray(labels[:, ::LABEL_STEP, ::LABEL_STEP]),
        bodies=bodies,
        fractured_spans=_spans(seen, np.flatnonzero(is_fractured)),
        low_spans=_spans(seen, np.flatnonzero(is_low & ~is_fractured)),
    )


def _draw_slices(slab: PhantomSlab, rng: np.random.Generator) -> NDArray[np.intp]:
    away_mm = from_middle_mm(len(slab.slab_xzy_hu), slab.slice_spacing_mm)
    weights = np.exp(-away_mm / NEAR_MM) * (away_mm <= EXTRACTOR_HALF_WIDTH_MM)
    size = min(EXTRACTOR_SLICES, int(np.count_nonzero(weights)))
    return np.sort(rng.choice(len(weights), size=size, replace=False, p=weights / weights.sum()))


def labels_read(
    slab: PhantomSlab, slices: NDArray[np.intp], midline_mm: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """The labels (slices, rows, cols) where `slices_read` reads the image: of the nearest slice in each row."""
    if midline_mm is None:
        return slab.vertebra_label_xzy[slices]
    place = places_read(slices, midline_mm, slab.slice_spacing_mm)
    nearest = np.rint(place).astype(int).clip(0, len(slab.vertebra_label_xzy) - 1)
    read: NDArray[np.uint8] = slab.vertebra_label_xzy[nearest, np.arange(nearest.shape[1])[None]]
    return read


def _facts(bodies: Collection[VertebraTruth], known: Collection[int] | None) -> NDArray[np.float32]:
    """(18, 4): status and lost shares by label, as in `DenseTruth`."""
    facts = np.full((N_LABELS, N_FACTS), UNKNOWN, np.float32)
    facts[0] = (
        SOUND if known is None else (SOUND, UNKNOWN, UNKNOWN, UNKNOWN)
    )  # other bodies may lie unmarked there
    for body in bodies:
        facts[body.label, STATUS] = _status(body)
        if known is None or body.label in known:
            heights = np.array([body.anterior_mm, body.middle_mm, body.posterior_mm])
            facts[body.label, LOSSES] = np.clip(1 - heights / np.array(body.intact_mm), 0, 1)
    return facts


def _status(body: VertebraTruth) -> float:
    if body.is_treated or (body.grade > 0 and (body.cause != OSTEOPOROTIC or not body.is_visible)):
        return UNKNOWN
    return FRACTURED if body.grade > 0 else SOUND


def nearest(
    labels: NDArray[np.uint8], at_row: NDArray[np.floating], at_col: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """labels (slices, rows, cols) at the nearest pixels; 0 outside."""
    rows, cols = (np.rint(at).astype(int) for at in (at_row, at_col))
    out: NDArray[np.uint8] = labels[:, rows.clip(0, labels.shape[1] - 1)][
        :, :, cols.clip(0, labels.shape[2] - 1)
    ]
    out[:, (rows < 0) | (rows >= labels.shape[1])] = 0
    out[:, :, (cols < 0) | (cols >= labels.shape[2])] = 0
    return out


def _spans(labels: NDArray[np.uint8], wanted: NDArray[np.intp]) -> tuple[tuple[int, int], ...]:
    """First row and last row + 1 of each wanted body that is seen."""
    rows = [np.flatnonzero((labels == label).any(axis=1)) for label in wanted]
    return tuple((int(own[0]), int(own[-1]) + 1) for own in rows if len(own))


def _centres(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Middle column of the bodies in each row; between bodies a straight line, beyond them constant."""
    mask = labels > 0
    with_body = np.flatnonzero(mask.any(axis=1))
    if not len(with_body):
        return np.full(len(labels), labels.shape[1] / 2, np.float32)
    cols = np.arange(labels.shape[1])
    middle = [float(cols[mask[row]].mean()) for row in with_body]
    return np.interp(np.arange(len(labels)), with_body, middle).astype(np.float32)
