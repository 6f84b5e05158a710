"""The view: slices, tiles, pixel size and window, on slabs made by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.config import PUBLISHED_VIEW, TILES_VIEW
from tasks.view import View, central_slices, find_spine_col_mm, make_view, to_window

PIXEL_MM = 0.8


def spine_slab(rows: int = 500, cols: int = 450, spine_col: int = 300, n: int = 21) -> NDArray[np.int16]:
    """Soft tissue with a column of bodies (20 mm high, 8 mm apart), a dense round hip, and a thin table."""
    slab = np.full((n, rows, cols), -1000, np.int16)
    slab[:, :, 40 : cols - 40] = 40
    for top in range(5, rows - 25, 35):
        slab[:, top : top + 25, spine_col - 18 : spine_col + 18] = 250
    slab[:, rows - 90 : rows - 10, 60:160] = 900
    slab[:, :, cols - 12 : cols - 10] = 400
    return slab


def view_of(slab: NDArray[np.int16], recipe: object = TILES_VIEW, lateral: float | None = 380.0) -> View:
    return make_view(
        slab,
        pixel_mm=PIXEL_MM,
        slice_spacing_mm=3.0,
        lateral_extent_mm=lateral,
        recipe=recipe,  # type: ignore[arg-type]
    )


def test_central_five_percent_is_about_seven_slices() -> None:
    assert central_slices(21, 3.0, 380.0, TILES_VIEW).tolist() == [7, 8, 9, 10, 11, 12, 13]


def test_without_skin_on_both_sides_nine_millimetres_each_way() -> None:
    assert central_slices(21, 3.0, None, TILES_VIEW).tolist() == [7, 8, 9, 10, 11, 12, 13]


def test_an_implausible_width_reads_neither_one_slice_nor_all() -> None:
    assert len(central_slices(21, 3.0, 10.0, TILES_VIEW)) == 5
    assert len(central_slices(21, 3.0, 5000.0, TILES_VIEW)) == 9


def test_few_native_slices_are_all_that_is_read() -> None:
    assert central_slices(1, 4.0, None, TILES_VIEW).tolist() == [0]
    assert central_slices(5, 4.0, None, TILES_VIEW).tolist() == [0, 1, 2, 3, 4]
    assert central_slices(2, 30.0, None, TILES_VIEW).tolist() == [0]


def test_spine_is_found_beside_hip_and_table() -> None:
    (found_mm,) = find_spine_col_mm(spine_slab(), PIXEL_MM)
    assert found_mm == pytest.approx(300 * PIXEL_MM, abs=25.0)


def test_a_slab_without_bone_is_centred() -> None:
    assert find_spine_col_mm(np.zeros((3, 50, 400), np.int16), PIXEL_MM) == [160.0]


def test_tiles_cover_the_column_and_overlap() -> None:
    view = view_of(spine_slab(rows=700))
    tops = np.unique(view.top_row_mm)
    assert tops[0] == 0
    assert tops[-1] + 280 == pytest.approx(700 * PIXEL_MM, abs=0.01)
    assert np.diff(tops).max() <= TILES_VIEW.tile_stride * 1.25 + 0.01
    assert view.images_nhw.shape == (7 * len(tops), 224, 128)
    assert view.tile_index.tolist() == sorted(view.tile_index.tolist())


def test_a_long_scan_stays_near_a_megabyte_and_keeps_every_tile() -> None:
    view = view_of(spine_slab(rows=2000))  # 1600 mm
    assert view.images_nhw.nbytes <= TILES_VIEW.max_bytes
    assert np.unique(view.top_row_mm)[-1] + 280 == pytest.approx(1600, abs=0.01)
    assert len(np.unique(view.slice_index)) >= 3


def test_short_scan_is_one_tile_padded_with_air() -> None:
    view = view_of(spine_slab(rows=200))  # 160 mm of 280
    assert set(view.tile_index.tolist()) == {0}
    assert not view.images_nhw[:, :45].any()
    assert view.images_nhw[:, 60:160].any()


def test_published_view_is_one_unstretched_square() -> None:
    slab = np.full((21, 600, 300), -1024, np.int16)
    slab[:, 200:400, 50:250] = 400  # a square stays a square
    view = view_of(slab, PUBLISHED_VIEW)
    assert view.images_nhw.shape == (7, 224, 224)
    seen = view.images_nhw[3] > 64
    height, width = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
    assert abs(height - width) <= 1
    assert view.pixel_mm == pytest.approx(480 / 224)


def test_tile_pixels_have_the_recipe_size() -> None:
    slab = spine_slab()
    slab[:] = 40
    slab[:, 100:250, 200:300] = 800  # 80 mm
    view = view_of(slab)
    seen = (view.images_nhw[3] > 128).sum(axis=1).max()
    assert abs(int(seen) - 64) <= 1


def test_window_is_clipped_and_rounded() -> None:
    hu = np.array([-1024.0, -200.0, 400.0, 1000.0, 3000.0])
    assert to_window(hu, TILES_VIEW).tolist() == [0, 0, 128, 255, 255]


def test_a_fine_grid_does_not_alias() -> None:
    slab = np.zeros((3, 400, 400), np.int16)
    slab[:, ::2] = 400  # 1.6 mm lines cannot be told apart at 1.25 mm: grey, not stripes
    image = view_of(slab).images_nhw[0, 20:200, 20:110].astype(float)
    assert image.std() < 6


@pytest.mark.parametrize("shape", [(0, 10, 10), (3, 0, 10), (10, 10)])
def test_empty_slab_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="slab"):
        view_of(np.zeros(shape, np.int16))


@pytest.mark.parametrize("pixel_mm", [0.0, -1.0, float("nan"), float("inf")])
def test_size_that_is_none_is_refused(pixel_mm: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        make_view(
            spine_slab(),
            pixel_mm=pixel_mm,
            slice_spacing_mm=3.0,
            lateral_extent_mm=None,
            recipe=TILES_VIEW,
        )
