"""Pictures of an audit's worklist: which slabs are shown, what a thumbnail holds, and that a page ends in time."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import warehouse_rows as rows
from audit_rows import Hospital, filled_store, hospital_batch
from PIL import Image

from estimates.audit_numbers import AuditNumbers
from flows.audit import AuditRequest, audit_numbers
from flows.audit_pictures import HEIGHT_PIXELS, KeptSlab, kept_slabs, thumbnail, thumbnails
from flows.publish_heat import ScoredSeries
from reports.audit_page import render_audit_page
from tasks.publish_capture import Frame, SuspiciousSlice

N = 5


class Maker:
    """Pictures of every slab but one, each with its heat at row 100, column 200."""

    def __init__(self, gone: str = "") -> None:
        self.gone = gone
        self.asked: list[str] = []

    def of(self, result: ScoredSeries, /) -> SuspiciousSlice | None:
        self.asked.append(result.series_key)
        heat = np.zeros((400, 300), np.float32)
        heat[90:110, 190:210] = 2.0
        picture = SuspiciousSlice(np.full((400, 300), 300, np.int16), heat, 10, 21, 10.0)
        return None if result.series_key == self.gone else picture


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditNumbers, tuple[KeptSlab, ...]]:
    """Numbers of a hospital whose slabs were kept, but for the likeliest one of the worklist."""
    batch, _ = hospital_batch(Hospital(n_patients=150, prevalence=0.4), seed=7)
    store = filled_store(tmp_path_factory.mktemp("pictures"), batch)
    with store.read() as connection:
        likeliest = audit_numbers(connection, AuditRequest(worklist_length=50)).worklist[0].series_key
    batch.slabs = [rows.slab(s.series_key, is_kept=s.series_key != likeliest) for s in batch.scores]
    filled = filled_store(tmp_path_factory.mktemp("kept"), batch)
    with filled.read() as connection:
        numbers = audit_numbers(connection, AuditRequest(worklist_length=50))
        return numbers, kept_slabs(connection, numbers, N)


def test_the_likeliest_kept_slabs_of_each_list_are_shown(
    shown: tuple[AuditNumbers, tuple[KeptSlab, ...]],
) -> None:
    numbers, kept = shown
    places = {row.series_key: (row.list, row.place) for row in numbers.worklist}
    assert len(kept) == N
    assert [places[slab.series_key] for slab in kept[:4]] == [
        ("ambiguous", 1), ("missed", 2), ("ambiguous", 2), ("missed", 3),
    ]  # fmt: skip


def test_the_vertebra_that_is_heard_is_framed_under_the_heat_alone() -> None:
    picture = Maker().of(KeptSlab("s", "r1"))
    assert picture is not None
    for heard, is_shown in ((Frame(80, 120, 180, 220), True), (Frame(80, 120, 0, 20), False), (None, False)):
        made = thumbnail(replace(picture, heard=heard))
        plain, heated = (
            np.asarray(Image.open(io.BytesIO(png or b"")).convert("RGB"), int)
            for png in (made.slab_png, made.heat_png)
        )
        side = int(plain.shape[1] / 2)  # the heat's middle is the picture's
        row = round(100 * HEIGHT_PIXELS / 400)
        white = (heated[row] > 200).all(axis=1)
        assert (white[: side - 10].any() and white[side + 10 :].any()) == is_shown
        assert not (plain[row] > 200).all(axis=1).any()


def test_a_thumbnail_is_small_and_shows_the_heat_where_it_is() -> None:
    made = thumbnail(Maker().of(KeptSlab("s", "r1")))  # type: ignore[arg-type]
    plain, heated = (
        np.asarray(Image.open(io.BytesIO(png or b"")).convert("RGB"), int)
        for png in (made.slab_png, made.heat_png)
    )
    assert plain.shape == heated.shape
    assert plain.shape[0] == HEIGHT_PIXELS
    assert np.ptp(plain, axis=2).max() == 0
    redder = (heated[:, :, 0] - heated[:, :, 2]) > 60
    rows_mm, columns_mm = np.nonzero(redder)
    assert rows_mm.mean() / HEIGHT_PIXELS == pytest.approx(100 / 400, abs=0.02)
    assert columns_mm.mean() / plain.shape[1] == pytest.approx(
        0.5, abs=0.03
    )  # in the middle, whatever the slab
    assert len(made.slab_png) + len(made.heat_png or b"") < 90_000


def test_the_page_shows_them_and_ends_in_time(
    shown: tuple[AuditNumbers, tuple[KeptSlab, ...]],
) -> None:
    numbers, kept = shown
    maker = Maker(gone=kept[0].series_key)
    made = thumbnails(kept, maker)
    assert set(made) == {slab.series_key for slab in kept[1:]}
    page = render_audit_page(numbers, thumbnails=made)
    assert page.count("data:image/png;base64,") == 2 * (N - 1)
    assert not thumbnails(kept, late := Maker(), seconds=0)
    assert not late.asked
