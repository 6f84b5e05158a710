"""The most suspicious slice of a kept slab with its heat map, for the picture that is published."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from models.registry import installed_weights
from tasks.publish_capture import Frame, SuspiciousSlice
from tasks.shard_work import kept_slab_path

if TYPE_CHECKING:
    from models.infer import Scorer
    from models.occlusion import HeatMap
    from tasks.slab import Slab
    from tasks.view import View


class ScoredSeries(Protocol):
    """Names a series whose slab may have been kept (`tasks.publish_facts.ScoredResult` is one)."""

    @property
    def series_key(self) -> str:
        """Its pseudonym."""

    @property
    def series_revision(self) -> str:
        """Digest of its files."""


class Pictures:
    """Makes pictures for the results of one model; loads it when the first one is asked for."""

    def __init__(self, slabs: Path, model: str, model_digest: str) -> None:
        self._slabs, self._model, self._digest = slabs, installed_weights(model, model_digest), model_digest

    @property
    def has_model(self) -> bool:
        """The model that scored is installed here."""
        return self._model is not None

    def of(self, result: ScoredSeries) -> SuspiciousSlice | None:
        """None without the model, or when the slab was not kept, cannot be read, or no view can be cut from it."""
        from tasks.jpeg2000 import read_slab
        from tasks.view import slices_read

        path = kept_slab_path(self._slabs, result.series_key, result.series_revision)
        if self._model is None or not path.exists():
            return None
        try:
            slab = read_slab(path)
            heat, view, heard = self._heat(slab)
        except (OSError, ValueError, TypeError):  # one picture, never the run
            return None
        [read] = slices_read(
            slab.slab_xzy_hu, [heat.slice_index], view.midline_mm, slab.record.slice_spacing_mm
        )
        n_bytes = 2 * slab.slab_xzy_hu.size
        return SuspiciousSlice(
            np.rint(read).astype(np.int16),
            on_slab(heat, slab.slab_xzy_hu.shape[1:], slab.record.pixel_mm),
            heat.slice_index,
            len(slab.slab_xzy_hu),
            round(n_bytes / (slab.record.n_bytes or n_bytes), 2),
            view.midline_mm is not None,
            heard,
        )

    def _heat(self, slab: Slab) -> tuple[HeatMap, View, Frame | None]:
        """The map of the most suspicious image, the view that the image is of, and the vertebra that is heard."""
        from flows.explain_vertebrae import heard_frame, told_vertebrae
        from models.occlusion import explain_scan
        from tasks.slab import view_of

        view = view_of(slab, self._scorer.config.view)
        [score] = self._scorer.score([view])  # of the kept slab, which is compressed
        heat = explain_scan(self._scorer, view, score.slice_logits).maps[0]
        told = told_vertebrae(score, view)
        return heat, view, heard_frame(told, slab.slab_xzy_hu.shape[1:], slab.record.pixel_mm)

    @cached_property
    def _scorer(self) -> Scorer:
        from models.infer import Scorer
        from models.loading import load_model

        assert self._model is not None
        return Scorer(load_model(self._model.directory, expected_digest=self._digest))


def on_slab(heat: HeatMap, shape: tuple[int, ...], pixel_mm: float) -> NDArray[np.float32]:
    """(rows, columns) of the slab: the heat of the cell that each pixel lies in, 0 outside the image."""
    rows = _cells(shape[0], pixel_mm, heat.top_mm, heat.cell_mm)
    columns = _cells(shape[1], pixel_mm, heat.left_mm, heat.cell_mm)
    inside = np.outer(_within(rows, heat.heat.shape[0]), _within(columns, heat.heat.shape[1]))
    found = heat.heat[np.ix_(rows.clip(0, heat.heat.shape[0] - 1), columns.clip(0, heat.heat.shape[1] - 1))]
    return np.where(inside, np.maximum(found, 0), 0).astype(np.float32)


def _cells(n_pixels: int, pixel_mm: float, first_mm: float, cell_mm: float) -> NDArray[np.intp]:
    middles_mm = (np.arange(n_pixels) + 0.5) * pixel_mm
    cells: NDArray[np.intp] = np.floor((middles_mm - first_mm) / cell_mm).astype(np.intp)
    return cells


def _within(cells: NDArray[np.intp], n_cells: int) -> NDArray[np.bool_]:
    return (cells >= 0) & (cells < n_cells)
