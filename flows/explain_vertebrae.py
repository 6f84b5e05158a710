"""The vertebrae of a scan as the model's reader has them, told one by one: which it hears, where, how high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.publish_capture import Frame

if TYPE_CHECKING:
    from models.infer import ScanScore
    from tasks.view import View


def told_vertebrae(score: ScanScore, view: View) -> list[dict[str, Any]]:
    """What a model's reader of vertebrae says of each in `view`, from head to foot; nothing of a model without one.

    Rows and columns in mm from the slab's upper and front edge, heights in front, in the middle and behind. The model
    hears the loudest of those that may speak.
    """
    if score.vertebrae is None:
        return []
    from models.bodies import PIXEL_MM, heard  # torch takes its seconds, and not every model reads them
    from models.body_nets import CELL_PX, HEIGHT_MM, INTACT, LEFT

    loudest = heard(score.vertebrae)
    firsts = np.unique(view.tile_index, return_index=True)[1]  # an image of each tile
    told = []
    for body, logit in score.vertebrae:
        first = firsts[body.tile]
        low, high = body.cells.min(axis=0) * CELL_PX, (body.cells.max(axis=0) + 1) * CELL_PX
        corner = np.array([view.top_row_mm[first], view.left_col_mm[first]])
        (top, left), (bottom, right) = (np.array([low, high]) * PIXEL_MM + corner).round(1).tolist()
        told.append(
            {
                "rows_mm": [top, bottom],
                "columns_mm": [left, right],
                "heights_mm": (body.read[LEFT].astype(float) * HEIGHT_MM).round(1).tolist(),
                "intact_heights_mm": (body.read[INTACT].astype(float) * HEIGHT_MM).round(1).tolist(),
                "logit": round(logit, 4),
                "is_heard": loudest is not None and body is loudest[0],
            }
        )
    return told


def heard_one(vertebrae: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The one of `told_vertebrae` that the model hears; None where it hears none."""
    return next((vertebra for vertebra in vertebrae if vertebra["is_heard"]), None)


def heard_frame(vertebrae: Sequence[dict[str, Any]], shape: tuple[int, ...], pixel_mm: float) -> Frame | None:
    """Where the vertebra of `told_vertebrae` that is heard stands in a slab's slice of (rows, columns) pixels."""
    heard = heard_one(vertebrae)
    if heard is None:
        return None
    (top, bottom), (left, right) = (
        np.clip((np.array(heard[name]) / pixel_mm).astype(int), 0, size - 1).tolist()
        for name, size in zip(("rows_mm", "columns_mm"), shape, strict=True)
    )
    return Frame(top, bottom, left, right)
