"""What imitates, what disturbs and what was treated: each leaves its name, and each is seen on the slab."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phantom.anatomy import Anatomy, draw_patient
from phantom.families import BASE
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import PhantomSlab, render_slab
from phantom.truth import other_causes, worst_osteoporotic_grade
from phantom.vertebrae import imitators
from phantom.vertebrae.fractures import VERSE19_FRACTURED, VERSE19_READ, grade_of
from phantom.vertebrae.hardware import draw_cement
from phantom.vertebrae.lesions import draw_lesions
from phantom.vertebrae.spine import draw_intact
from phantom.vertebrae.vertebra import Vertebra

PLAIN = Acquisition(thickness_mm=1.0, spacing_mm=1.0)
NAMES = {*imitators.KINDS, "vacuum_disc"}


def _intact(seed: int) -> list[Vertebra]:
    return draw_intact(np.random.default_rng(seed), BASE.spine, is_female=seed % 2 == 0, age_years=66)


@pytest.mark.parametrize("kind", sorted(imitators.KINDS))
def test_every_imitator_leaves_its_name_and_no_grade(kind: str) -> None:
    for seed in range(12):
        bodies = imitators.KINDS[kind](np.random.default_rng(seed), _intact(seed))
        marked = [b for b in bodies if b.imitators]
        assert marked
        assert kind in {n for b in marked for n in b.imitators} <= NAMES
        assert all(b.loss < 0.195 and grade_of(b.loss) == 0 and not b.cause for b in bodies)


def test_imitators_leave_the_heights_of_fractures_alone() -> None:
    for seed in range(0, 40, 2):
        patient = draw_patient(seed, has_fracture=True)
        bodies = list(patient.vertebrae)
        changed = imitators.draw_imitators(np.random.default_rng(seed), bodies, BASE.fracture)
        for before, after in zip(patient.vertebrae, changed, strict=True):
            assert not before.cause or before.heights_mm == after.heights_mm


def test_pits_stay_off_the_places_of_the_truth() -> None:
    for seed in range(30):
        for body in imitators.KINDS["schmorl_node"](np.random.default_rng(seed), _intact(seed)):
            for node in body.nodes:
                for place in (-0.85, 0.0, 0.85):
                    apart = np.hypot(node.u_mm, node.v_mm - place * body.half_depth_mm)
                    assert apart >= node.radius_mm * 0.98


def _with(share: str, seeds: range, *, may_collapse: bool) -> list[list[Vertebra]]:
    settings = replace(BASE.fracture, **{"metastasis_share": 0.0, "trauma_share": 0.0} | {share: 5.0})
    return [
        draw_lesions(np.random.default_rng(s), _intact(s), settings, age_years=50, may_collapse=may_collapse)
        for s in seeds
    ]


def test_metastases_are_named_and_collapse_only_where_allowed() -> None:
    quiet, wild = (_with("metastasis_share", range(40), may_collapse=c) for c in (False, True))
    names = {n for bodies in wild for b in bodies for n in b.disturbances}
    assert names == {"lytic_metastasis", "blastic_metastasis"}
    assert all(not b.cause and b.loss < 0.2 for bodies in quiet for b in bodies)
    low = [b for bodies in wild for b in bodies if b.cause]
    assert len(low) > 4
    assert all(b.cause == "pathological" and b.grade == grade_of(b.loss) >= 1 for b in low)


def test_trauma_is_recent_named_and_graded_by_its_heights() -> None:
    hurt = [b for bodies in _with("trauma_share", range(60), may_collapse=True) for b in bodies if b.cause]
    assert {n for b in hurt for n in b.disturbances} == {
        "traumatic_wedge",
        "split_fracture",
        "burst_fracture",
        "chance_fracture",
    }
    assert all(b.cause == "traumatic" and b.is_recent and b.grade == grade_of(b.loss) for b in hurt)
    assert all((b.shape == "none") == (b.grade == 0) for b in hurt)
    assert not any(b.cause for bodies in _with("trauma_share", range(20), may_collapse=False) for b in bodies)


def _treated(seed: int, has_fracture: bool, **shares: float) -> Anatomy:
    family = replace(BASE, fracture=replace(BASE.fracture, metastasis_share=0.0, **shares))
    return draw_patient(seed, has_fracture=has_fracture, family=family)


def _slab(patient: Anatomy) -> PhantomSlab:
    return render_slab(patient, acquisition=PLAIN, pixel_mm=1.25, slice_spacing_mm=2.0, half_width_mm=24)


@pytest.mark.parametrize("has_fracture", [False, True])
def test_cement_is_bright_inside_the_treated_body(has_fracture: bool) -> None:
    seen = 0
    for seed in range(6):
        slab = _slab(_treated(seed, has_fracture, cement_share=1.0, hardware_share=0.0))
        for body in (b for b in slab.vertebrae if b.is_treated and b.is_visible):
            assert body.disturbances == ("cement",)
            assert (body.cause == "osteoporotic") == has_fracture
            assert slab.slab_xzy_hu[slab.vertebra_label_xzy == body.label].max() > 800
            seen += 1
    assert seen >= 3


def test_screws_are_metal_in_their_bodies_and_do_not_follow_the_label() -> None:
    for has_fracture in (False, True):
        patient = _treated(3, has_fracture, cement_share=0.0, hardware_share=1.0)
        held = {v.level for v in patient.vertebrae if "screws" in v.disturbances}
        assert held == {part.level for part in patient.metal if part.kind == "screw"}
        screws = [part for part in patient.metal if part.kind == "screw"]
        assert len(screws) == 2 * len(held) >= 4
        for part in screws:
            body = patient.vertebra(part.level)
            away = np.subtract(part.start_xyz_mm, body.centre_xyz_mm)
            assert float(np.linalg.norm(away)) < 1.2 * body.half_depth_mm
    slab = _slab(patient)
    assert slab.slab_xzy_hu.max() == 3071
    bare = _slab(replace(patient, metal=()))
    assert (slab.slab_xzy_hu > 2500).sum() > 30 > (bare.slab_xzy_hu > 2500).sum()


def test_cement_is_as_common_in_both_classes() -> None:
    plain = draw_patient(1, has_fracture=False), draw_patient(1, has_fracture=True)
    settings = replace(BASE.fracture, cement_share=0.5)
    for seed in range(40):
        outcomes = [draw_cement(np.random.default_rng(seed), list(p.vertebrae), settings) for p in plain]
        treated = [any(b.is_treated for b in bodies) for bodies in outcomes]
        assert treated[0] == treated[1]


def test_other_causes_do_not_count_as_osteoporotic() -> None:
    drawn = (draw_patient(seed, has_fracture=False, other_causes=True) for seed in range(400))
    patient = next(p for p in drawn if any(v.cause and v.grade for v in p.thoracolumbar))
    slab = render_slab(
        patient, acquisition=PLAIN, pixel_mm=1.6, half_width_mm=60, coverage="chest-abdomen-pelvis"
    )
    assert patient.has_other_fracture
    assert not patient.has_fracture
    assert max(b.grade for b in slab.vertebrae) > 0
    assert worst_osteoporotic_grade(slab.vertebrae) == slab.worst_grade == 0
    assert not slab.has_fracture
    assert set(other_causes(slab.vertebrae)) <= {"pathological", "traumatic"}
    assert other_causes(slab.vertebrae)


def test_levels_of_fractures_are_those_of_verse19(real_data: Path) -> None:
    grades = json.loads((real_data / "labels" / "verse19_genant_healthivert.json").read_text())
    read, broken = np.zeros(17, int), np.zeros(17, int)
    for subset in grades.values():
        for name, grade in subset.items():
            place = int(name.rsplit("_", 1)[1]) - 8  # VerSe numbers T1 as 8 and L5 as 24
            if 0 <= place < 17:
                read[place] += 1
                broken[place] += grade > 0
    assert tuple(read.tolist()) == VERSE19_READ
    assert tuple(broken.tolist()) == VERSE19_FRACTURED
