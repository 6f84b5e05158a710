"""Named families: each really differs from the base, on the axis that it is named after."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest

from phantom.anatomy import draw_patient
from phantom.families import AXES, BASE, FAMILIES, UnknownFamily, family_of
from phantom.scanner.acquisition import draw_acquisition

OTHERS = [name for name in FAMILIES if name != BASE.name]
PART_OF_AXIS = {
    "texture": {"bone"},
    "noise": {"scanner"},
    "spine shape": {"spine"},
    "body": {"body"},
    "scanner": {"scanner"},
    "fracture profile": {"fracture"},
    "several": {"spine", "bone", "fracture", "body", "scanner"},
}


def changes(name: str) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Settings (part, name) that a family changes, as the base has them and as it has them."""
    base, other = asdict(BASE), asdict(FAMILIES[name])
    return {
        (part, setting): (base[part][setting], other[part][setting])
        for part in base
        if part != "name"
        for setting in base[part]
        if base[part][setting] != other[part][setting]
    }


def is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, float) for v in value)


def test_there_are_families_on_every_axis() -> None:
    assert len(FAMILIES) >= 11
    assert set(AXES) == {"base", *PART_OF_AXIS}
    assert [name for names in AXES.values() for name in names] == list(FAMILIES)
    assert all(each.name == name for name, each in FAMILIES.items())


@pytest.mark.parametrize("name", OTHERS)
def test_a_family_changes_what_its_axis_says(name: str) -> None:
    axis = next(axis for axis, names in AXES.items() if name in names)
    assert {part for part, _ in changes(name)} == PART_OF_AXIS[axis]


@pytest.mark.parametrize("name", OTHERS)
def test_one_changed_range_at_least_lies_at_the_edge_of_the_base_or_outside(name: str) -> None:
    ranges = [(base, other) for base, other in changes(name).values() if is_range(base)]
    weights = [(base, other) for base, other in changes(name).values() if not is_range(base)]
    leaves = [
        low_other >= high - 0.25 * (high - low) or high_other <= low + 0.25 * (high - low)
        for (low, high), (low_other, high_other) in ranges
    ]
    assert any(leaves) or weights


def test_ranges_are_in_order_and_weights_sum_to_one() -> None:
    for family in FAMILIES.values():
        for part in ("spine", "bone", "fracture", "body", "scanner"):
            settings = getattr(family, part)
            for each in fields(settings):
                value = getattr(settings, each.name)
                if is_range(value) and not each.name.endswith("_weights"):
                    assert value[0] <= value[1], (family.name, each.name)
                if each.name.endswith("_weights"):
                    assert np.isclose(sum(value), 1.0), (family.name, each.name)


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownFamily, match=r"kyphosis; there are: base, .*kyphotic"):
        family_of("kyphosis")
    assert family_of("base") is BASE


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def test_patients_and_scans_of_a_family_look_like_its_name() -> None:
    """What is drawn, not only what is set: means over some patients against those of the base."""

    def patients(name: str) -> list[Any]:
        return [draw_patient(seed, has_fracture=True, family=FAMILIES[name]) for seed in range(12)]

    def scans(name: str) -> list[Any]:
        scanner = FAMILIES[name].scanner
        return [draw_acquisition(np.random.default_rng(seed), scanner) for seed in range(40)]

    def kyphosis(name: str) -> float:
        return _mean([p.vertebra("T12").theta_rad - p.vertebra("T3").theta_rad for p in patients(name)])

    def sideways(name: str) -> float:
        return _mean([np.ptp([v.centre_xyz_mm[0] for v in p.thoracolumbar]) for p in patients(name)])

    def worst(name: str) -> float:
        return _mean([max(v.grade for v in p.thoracolumbar) for p in patients(name)])

    base = patients("base")
    assert kyphosis("kyphotic") > kyphosis("base") + 0.1 > kyphosis("flat-back") + 0.2
    assert sideways("scoliotic") > 1.5 * sideways("base")
    assert worst("severe-fractures") > worst("base") > worst("subtle-fractures")
    width = _mean([p.body.lateral_extent_mm for p in base])
    assert _mean([p.body.lateral_extent_mm for p in patients("obese")]) > width + 30
    assert _mean([p.body.lateral_extent_mm for p in patients("slender")]) < width - 20
    assert _mean([s.noise_hu for s in scans("low-dose")]) > 2 * _mean([s.noise_hu for s in scans("base")])
    assert max(s.noise_hu for s in scans("iterative")) < 12
    assert min(s.thickness_mm for s in scans("thick-slices")) >= 3.75
    assert max(s.thickness_mm for s in scans("thin-slices")) <= 0.625
