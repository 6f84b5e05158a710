"""Named families of settings: every range that a simulated patient or scanner is drawn from.

A family is a frozen record of ranges (low, high) or weights. All but `base` change one axis (texture, noise, spine
shape, body, scanner, fracture profile) to ranges outside or at the edge of the base's; `other-hospital` changes all
at once. The numbers are chosen by eye at the edge of what scans show, or beyond it.
Which of them training may draw from is fixed in `protocol.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from phantom.scanner.scan_ranges import BodySettings, ScannerSettings
from phantom.vertebrae.spine_ranges import BoneSettings, FractureSettings, SpineSettings


@dataclass(frozen=True)
class Family:
    """One named family: all settings that a patient and a scan are drawn from."""

    name: str = "base"
    spine: SpineSettings = field(default_factory=SpineSettings)
    bone: BoneSettings = field(default_factory=BoneSettings)
    fracture: FractureSettings = field(default_factory=FractureSettings)
    body: BodySettings = field(default_factory=BodySettings)
    scanner: ScannerSettings = field(default_factory=ScannerSettings)


BASE = Family()


class UnknownFamily(ValueError):
    """No family of that name; the message lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no family is called {self.name}; there are: {', '.join(FAMILIES)}"


def family_of(name: str) -> Family:
    """The family of that name. Raises UnknownFamily."""
    if name not in FAMILIES:
        raise UnknownFamily(name)
    return FAMILIES[name]


def vary(name: str, **changes: Mapping[str, Any]) -> Family:
    """The base under another name, some settings of its parts (`bone=`, `scanner=` ...) changed."""
    parts = {part: replace(getattr(BASE, part), **settings) for part, settings in changes.items()}
    return replace(BASE, name=name, **parts)


_TEXTURE = (
    vary(
        "coarse-texture",
        bone={"texture_hu": (55.0, 100.0), "texture_scale": (1.6, 2.6), "striation_from_years": 20.0},
    ),
    vary(
        "smooth-texture",
        bone={
            "texture_hu": (0.0, 11.0),
            "texture_scale": (0.4, 0.6),
            "plate_band_hu": (0.0, 12.0),
            "striation_per_year": 0.0,
        },
    ),
    vary(
        "thick-cortex",
        bone={"cortex_hu": (760.0, 1050.0), "cortex_mm": (1.4, 2.2), "corner_mm": (1.2, 2.2)},
    ),
    vary(
        "thin-cortex",
        bone={"cortex_hu": (130.0, 300.0), "cortex_mm": (0.3, 0.5), "trabecular_hu_at_20": 205.0},
    ),
)
_NOISE = (
    vary(
        "low-dose",
        scanner={
            "noise_hu": (40.0, 85.0),
            "thickness_mm": (1.0, 1.25),
            "thickness_weights": (0.5, 0.5),
            "modulation": (0.1, 0.35),
            "iterative_share": 0.0,
        },
    ),
    vary(
        "iterative",
        scanner={
            "noise_hu": (2.0, 7.0),
            "iterative_share": 1.0,
            "iterative": (0.7, 0.95),
            "blur": (0.18, 0.3),
        },
    ),
)
_SPINE = (
    vary("kyphotic", spine={"kyphosis_scale": (1.6, 2.2), "disc_scale": (0.35, 0.7)}),
    vary("scoliotic", spine={"scoliosis_mm": (12.0, 28.0), "strong_scoliosis_share": 0.6}),
    vary("flat-back", spine={"kyphosis_scale": (0.2, 0.55), "lordosis_scale": (0.0, 0.25)}),
    vary(
        "worn",
        spine={
            "relief_mm": (0.4, 0.8),
            "lip_of_wear_mm": 6.5,
            "disc_of_wear": 0.65,
            "dish_power": (1.6, 2.2),
            "concavity": (0.1, 0.17),
        },
    ),
)
_BODY = (
    vary("slender", body={"habitus": (0.72, 0.86), "front_fat_mm": (1.5, 7.0), "back_fat_mm": (1.0, 5.0)}),
    vary(
        "obese",
        body={
            "habitus": (1.32, 1.6),
            "front_fat_mm": (40.0, 80.0),
            "back_fat_mm": (24.0, 50.0),
            "muscle_fat": (0.3, 0.6),
        },
    ),
    vary("diseased-chest", body={"effusion_share": 0.7, "atelectasis_share": 0.7}),
)
_SCANNER = (
    vary(
        "sharp-kernel",
        scanner={"kernel_weights": (0.0, 0.0, 0.3, 0.7), "sharpen": (1.0, 1.7), "noise_hu": (20.0, 45.0)},
    ),
    vary(
        "thin-slices",
        scanner={"thickness_mm": (0.5, 0.625), "thickness_weights": (0.4, 0.6), "pixel_mm": (0.5, 0.62)},
    ),
    vary("thick-slices", scanner={"thickness_mm": (3.75, 5.0), "thickness_weights": (0.3, 0.7)}),
    vary("low-kv", scanner={"kvp": (70, 80), "kvp_weights": (0.5, 0.5), "hu_offset": (8.0, 25.0)}),
    vary("coarse-matrix", scanner={"coarse_share": 1.0, "coarse_pixel_mm": (1.7, 2.4)}),
    vary(
        "askew",
        scanner={
            "rotated_share": 1.0,
            "yaw_sd_deg": 9.0,
            "max_yaw_deg": 16.0,
            "lean_deg": (-6.0, 6.0),
            "arms_weights": (0.2, 0.6, 0.2),
        },
    ),
    vary("restless", scanner={"motion_share": 0.5, "breathing_share": 0.5}),
)
_FRACTURE = (
    vary(
        "subtle-fractures",
        fracture={
            "worst_grade_weights": (0.82, 0.16, 0.02),
            "imitator_share": 0.85,
            "recent_share": 0.0,
            "broken_rim_share": 0.05,
            "bulge_share": 0.0,
        },
    ),
    vary(
        "severe-fractures",
        fracture={
            "worst_grade_weights": (0.1, 0.35, 0.55),
            "extra_fractures": (0.2, 0.25, 0.2, 0.15, 0.1, 0.1),
            "recent_share": 0.6,
            "broken_rim_share": 0.5,
            "bulge_share": 0.5,
        },
    ),
    vary(
        "disturbed",
        fracture={"cement_share": 0.2, "hardware_share": 0.15, "metastasis_share": 0.25, "trauma_share": 0.2},
    ),
)
_SEVERAL = (
    vary(
        "other-hospital",
        bone={"texture_hu": (40.0, 75.0), "texture_scale": (0.4, 0.6), "cortex_hu": (650.0, 950.0)},
        spine={
            "kyphosis_scale": (1.3, 1.9),
            "concavity": (0.1, 0.16),
            "waist": (0.0, 0.02),
            "notch": (0.08, 0.14),
        },
        body={"habitus": (0.75, 1.0), "front_fat_mm": (2.0, 20.0)},
        scanner={"noise_hu": (30.0, 60.0), "hu_offset": (-30.0, -10.0), "bone_gain": (0.8, 0.96)},
        fracture={"shape_weights": (0.2, 0.3, 0.5), "cleft_share": 0.3},
    ),
)

AXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "base": (BASE.name,),
        "texture": tuple(f.name for f in _TEXTURE),
        "noise": tuple(f.name for f in _NOISE),
        "spine shape": tuple(f.name for f in _SPINE),
        "body": tuple(f.name for f in _BODY),
        "scanner": tuple(f.name for f in _SCANNER),
        "fracture profile": tuple(f.name for f in _FRACTURE),
        "several": tuple(f.name for f in _SEVERAL),
    }
)
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {f.name: f for f in (BASE, *_TEXTURE, *_NOISE, *_SPINE, *_BODY, *_SCANNER, *_FRACTURE, *_SEVERAL)}
)
