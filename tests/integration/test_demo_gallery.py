"""The gallery of a simulated hospital shows its own patients, and what their reports say; what a full page keeps."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from flows.cli import run
from flows.errors import Exit
from phantom.anatomy import draw_patient
from phantom.gallery import KINDS, Picture, Selection, along_spine, kinds_of, picture_of
from phantom.slabs import PhantomSlab, render_slab

PATIENTS = 2


@pytest.fixture(scope="module")
def slab() -> PhantomSlab:
    """A fractured spine without anything that hides it."""
    patients = (draw_patient(seed, has_fracture=True, coverage="spine") for seed in range(8, 40))
    return render_slab(
        next(p for p in patients if not any(body.disturbances for body in p.thoracolumbar)), seed=1
    )


@pytest.mark.slow
def test_a_demo_s_gallery_shows_every_study_with_what_its_report_says(tmp_path: Path) -> None:
    assert run(["demo", str(tmp_path / "h"), "--patients", str(PATIENTS), "--seed", "6"]) == Exit.OK
    page = (tmp_path / "h" / "index.html").read_text(encoding="utf-8")
    with (tmp_path / "h" / "truth.csv").open(encoding="utf-8", newline="") as file:
        truths = list(csv.DictReader(file))
    assert page.count("<figure ") == len(truths)
    for truth in truths:
        assert f"Study {truth['accession_number']}" in page
        assert f"report: {truth['report_statement'].replace('_', ' ')}" in page
        assert truth["patient_id"] not in page
    assert not re.findall(r"https?://|<link|src=\"(?!data:)", page)


def test_labels_along_the_spine_hold_every_body_shown(slab: PhantomSlab) -> None:
    hu, labels = along_spine(slab)
    shown = {body.label for body in slab.vertebrae if body.is_visible}
    assert shown <= set(np.unique(labels).tolist())
    inside = hu[labels > 0]
    assert inside.mean() > hu[labels == 0].mean() + 100


def test_outlines_lie_on_the_labels(slab: PhantomSlab) -> None:
    picture = picture_of(slab, title="t", family="base", facts=())
    levels = {mark.text.split()[0] for mark in picture.marks}
    assert {body.level for body in slab.vertebrae if body.is_visible} <= levels
    for mark in picture.marks:
        points = np.array([[float(v) for v in point.split(",")] for point in mark.points.split()])
        assert (points >= 0).all()
        assert (points <= (picture.width, picture.height)).all()
        middle = points.mean(axis=0).astype(int)
        assert picture.gray[middle[1], middle[0]] > 40
    assert any(mark.look.startswith("grade-") and mark.text.endswith("%") for mark in picture.marks)


def test_kinds_are_named_the_rarest_first(slab: PhantomSlab) -> None:
    kinds = kinds_of([body for body in slab.vertebrae if body.is_visible])
    assert "fracture" in kinds
    assert list(kinds) == sorted(kinds, key=KINDS.index)
    assert kinds_of([]) == ("sound",)


def test_a_full_page_keeps_the_rare_kinds() -> None:
    chosen = Selection(limit=6)
    kinds = ["sound"] * 20 + ["fracture"] * 5 + ["hardware"] + ["sound"] * 20 + ["traumatic"]
    for number, kind in enumerate(kinds):
        if chosen.wants(kind):
            chosen.add(Picture(str(number), "base", (kind,), (), np.zeros((2, 2), np.uint8), ()))
    kept = [picture.kinds[0] for picture in chosen.pictures]
    assert sorted(kept) == ["fracture"] * 2 + ["hardware"] + ["sound"] * 2 + ["traumatic"]
