"""Small pictures show a slice as the model read it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import warehouse_rows as rows
from PIL import Image

from flows.thumbnails import HIGH_HU, LOW_HU, REDUCE, slab_png
from models.config import SPINE_VIEW, TILES_VIEW
from phantom.protocol import draw_training_patient
from phantom.slabs import render_slab
from tasks.jpeg2000 import read_slab, write_slab
from tasks.slab import Slab
from tasks.view import midline_of, slices_read

MIDDLE = 10


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slab of a scoliotic patient, as a sweep keeps it."""
    patient = draw_training_patient(77_000_001, has_fracture=False, family="scoliotic")
    drawn = render_slab(patient, seed=1, pixel_mm=1.25)
    n_slices, n_rows, n_cols = drawn.slab_xzy_hu.shape
    record = replace(
        rows.slab("series"),
        n_slices=n_slices,
        rows=n_rows,
        columns=n_cols,
        pixel_mm=1.25,
        slice_spacing_mm=3.0,
    )
    path = tmp_path_factory.mktemp("slabs") / "slab.jp2"
    write_slab(path, Slab(drawn.slab_xzy_hu, record))
    return path


def grey_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def as_grey(image_hu: np.ndarray) -> np.ndarray:
    return np.clip((image_hu.astype(float) - LOW_HU) / (HIGH_HU - LOW_HU) * 255, 0, 255).astype(int)


def test_a_slice_is_shown_along_the_spine_where_the_view_follows_it(kept: Path) -> None:
    half = read_slab(kept, reduce=REDUCE)
    hu, spacing_mm = half.slab_xzy_hu, half.record.slice_spacing_mm
    midline_mm = midline_of(hu, half.record.pixel_mm, spacing_mm, SPINE_VIEW)
    [along] = slices_read(hu, [MIDDLE], midline_mm, spacing_mm)
    followed = grey_of(slab_png(kept, MIDDLE, SPINE_VIEW.name))
    assert np.abs(followed - as_grey(along)).max() <= 1
    assert np.abs(followed - as_grey(hu[MIDDLE])).max() > 50


@pytest.mark.parametrize("view", [None, TILES_VIEW.name, "a view of another version"])
def test_a_slice_is_shown_as_it_lies_where_the_view_does_not(kept: Path, view: str | None) -> None:
    half = read_slab(kept, reduce=REDUCE)
    assert np.abs(grey_of(slab_png(kept, MIDDLE, view)) - as_grey(half.slab_xzy_hu[MIDDLE])).max() <= 1
