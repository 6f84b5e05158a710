"""Properties of the view and of pooling that hold for any slab and any scores."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import PUBLISHED_VIEW, TILES_VIEW
from models.pooling import max_probability, mean_probability, vote_share
from tasks.view import make_view

sizes = st.integers(3, 420)
logit_lists = st.lists(st.floats(-30, 30, allow_nan=False), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 21),
    rows=st.integers(3, 900),
    cols=sizes,
    lateral=st.one_of(st.none(), st.floats(50, 700)),
    recipe=st.sampled_from([PUBLISHED_VIEW, TILES_VIEW]),
)
def test_every_slab_gives_whole_images_of_one_size(
    n: int, rows: int, cols: int, lateral: float | None, recipe: object
) -> None:
    slab = np.random.default_rng(n * rows).integers(-1024, 1500, (n, rows, cols)).astype(np.int16)
    assert recipe in (PUBLISHED_VIEW, TILES_VIEW)
    chosen = PUBLISHED_VIEW if recipe == PUBLISHED_VIEW else TILES_VIEW
    view = make_view(slab, pixel_mm=0.8, slice_spacing_mm=3.0, lateral_extent_mm=lateral, recipe=chosen)
    k = len(view.images_nhw)
    assert view.images_nhw.shape == (k, chosen.tile_rows, chosen.tile_cols)
    assert k == len(view.slice_index) == len(view.tile_index) == len(view.top_row_mm) == len(view.left_col_mm)
    assert 1 <= k <= max(chosen.max_images, chosen.min_slices)
    assert set(view.slice_index.tolist()) <= set(range(n))
    covered_mm = view.top_row_mm.max() + 224 * view.pixel_mm - min(view.top_row_mm.min(), 0)
    assert covered_mm >= rows * 0.8 - 0.01


@settings(max_examples=15, deadline=None)
@given(shift=st.integers(-40, 40))
def test_the_window_follows_a_spine_that_lies_elsewhere(shift: int) -> None:
    """The same column moved front to back gives the same picture of its bodies."""
    slab = np.full((7, 380, 520), 30, np.int16)
    for top in range(4, 350, 34):
        slab[:, top : top + 26, 240 + shift : 280 + shift] = 300
    view = make_view(slab, pixel_mm=0.8, slice_spacing_mm=3.0, lateral_extent_mm=380, recipe=TILES_VIEW)
    bright = np.flatnonzero((view.images_nhw[0] > 80).any(axis=0))
    assert abs(float(bright.mean()) - 80) <= 14  # bodies a little behind the middle: their 20 mm


@given(logits=logit_lists)
def test_pooled_scores_are_probabilities_in_order(logits: list[float]) -> None:
    values = np.array(logits, np.float32)
    assert 0 <= mean_probability(values) <= max_probability(values) + 1e-12 <= 1 + 1e-12
    assert 0 <= vote_share(values) <= 1
    assert math.isclose(mean_probability(values), mean_probability(values[::-1]), rel_tol=1e-12)
