"""Metastases, with or without collapse, and fractures by trauma: what disturbs, as classes of their own. By seed.

Names go to `Vertebra.disturbances`; a body that has lost height gets the cause "pathological" or "traumatic".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from phantom.vertebrae.fractures import SHAPES, corner_cut, grade_of, index_of, lowered_body, pick_level
from phantom.vertebrae.spine import LEVELS
from phantom.vertebrae.spine_ranges import FractureSettings
from phantom.vertebrae.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC, Cut, Spot, Vertebra

LYTIC_HU = (15.0, 85.0)  # soft tissue
BLASTIC_HU = (420.0, 1100.0)
YOUNG_YEARS = 60.0  # below it trauma is four times as likely as above
YOUNG_FACTOR = 4.0
SHARE_YOUNGER = 0.32  # of the simulated patients, so that the mean share is the settings'
COLLAPSE_LOSS = (0.22, 0.6)
TRAUMA_KINDS = ("traumatic_wedge", "split_fracture", "burst_fracture", "chance_fracture")
TRAUMA_WEIGHTS = (0.42, 0.16, 0.3, 0.12)


def draw_lesions(
    rng: np.random.Generator,
    bodies: list[Vertebra],
    settings: FractureSettings,
    *,
    age_years: float,
    may_collapse: bool,
) -> list[Vertebra]:
    """The bodies of a patient with metastases or trauma; most patients have neither.

    Without `may_collapse` there is no trauma, and metastases leave the heights as they are.
    """
    has_metastases = bool(rng.random() < settings.metastasis_share)
    young = YOUNG_FACTOR if age_years < YOUNG_YEARS else 1.0
    odds = settings.trauma_share * young / (1 + SHARE_YOUNGER * (YOUNG_FACTOR - 1))
    has_trauma = bool(rng.random() < odds)
    if has_metastases:
        bodies = _metastases(rng, bodies, settings, may_collapse)
    if has_trauma and may_collapse:
        bodies = _trauma(rng, bodies)
    return bodies


def _metastases(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings, may_collapse: bool
) -> list[Vertebra]:
    kind = str(rng.choice(["lytic", "blastic", "mixed"], p=(0.45, 0.35, 0.2)))
    count = int(rng.choice([1, 2, 3, 5, 9], p=(0.3, 0.25, 0.2, 0.15, 0.1)))
    chosen = rng.choice(LEVELS, count, replace=False).tolist()
    collapses = rng.random() < settings.collapse_share and kind != "blastic"
    result = list(bodies)
    for order, name in enumerate(chosen):
        at = index_of(result, name)
        one = str(rng.choice(["lytic", "blastic"])) if kind == "mixed" else kind
        body = _with_spots(rng, result[at], one)
        if may_collapse and collapses and order < 2 and body.cause != OSTEOPOROTIC:
            body = _collapsed(rng, body)
        result[at] = body
    return result


def _with_spots(rng: np.random.Generator, body: Vertebra, kind: str) -> Vertebra:
    """One to four deposits, or one that fills the body."""
    b, a, h = body.half_depth_mm, body.half_width_mm, body.heights_mm[1]
    fills = rng.random() < 0.2
    spots = []
    for _ in range(1 if fills else int(rng.integers(1, 5))):
        size = float(rng.uniform(12, 22)) if fills else float(rng.uniform(3.5, 11))
        stretch = rng.uniform(0.7, 1.3, 3)
        centre = (
            float(rng.uniform(-0.5, 0.5) * a),
            float(rng.uniform(-0.5, 0.8) * b),
            float(rng.uniform(-0.4, 0.4) * h),
        )
        is_lytic = kind == "lytic"
        spots.append(
            Spot(
                centre_mm=centre,
                radii_mm=(float(size * stretch[0]), float(size * stretch[1]), float(size * stretch[2])),
                hu=float(rng.uniform(*(LYTIC_HU if is_lytic else BLASTIC_HU))),
                edge=float(rng.uniform(0.05, 0.4) if is_lytic else rng.uniform(0.2, 0.9)),
                ragged=float(rng.uniform(0.05, 0.35)),
                streak=0.0 if is_lytic else float(rng.uniform(0, 80)),
                eats_shell=bool(is_lytic and rng.random() < 0.5),
            )
        )
    names = tuple(sorted({*body.disturbances, f"{kind}_metastasis"}))
    return replace(body, spots=(*body.spots, *spots), disturbances=names)


def _collapsed(rng: np.random.Generator, body: Vertebra) -> Vertebra:
    shape = str(rng.choice(SHAPES, p=(0.35, 0.25, 0.4)))
    low = lowered_body(rng, body, shape, float(rng.uniform(*COLLAPSE_LOSS)))
    return replace(
        low,
        shape=shape,
        grade=grade_of(low.loss),
        cause=PATHOLOGICAL,
        is_recent=bool(rng.random() < 0.5),
        bulge_mm=float(rng.uniform(0, 5)),
        relief_mm=(float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.2, 0.8))),
        nodes=(),
        imitators=_without_heights(body),
    )


def _without_heights(body: Vertebra) -> tuple[str, ...]:
    return tuple(
        n for n in body.imitators if n not in ("short", "cupped", "physiological_wedging", "scheuermann")
    )


def _trauma(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """One broken body, sometimes its neighbour too; mostly where the chest meets the loins."""
    sound = [b.level for b in bodies if b.label and not b.cause and not b.disturbances]
    first = pick_level(rng, sound)
    kind = str(rng.choice(TRAUMA_KINDS, p=TRAUMA_WEIGHTS))
    result = list(bodies)
    at = index_of(result, first)
    result[at] = _TRAUMA[kind](rng, result[at], kind)
    if (
        kind == "traumatic_wedge"
        and rng.random() < 0.35
        and at + 1 < len(result)
        and not result[at + 1].cause
    ):
        result[at + 1] = _TRAUMA[kind](rng, result[at + 1], kind)
    return result


def _hit(rng: np.random.Generator, body: Vertebra, kind: str, shape: str, loss: float) -> Vertebra:
    """A recent fracture by trauma with that loss of height, in young and dense bone as in old."""
    low = lowered_body(rng, body, shape, loss)
    grade = grade_of(low.loss)
    return replace(
        low,
        shape=shape if grade else "none",
        grade=grade,
        cause=TRAUMATIC,
        is_recent=True,
        band_hu=float(rng.uniform(20, 160)),
        relief_mm=(float(rng.uniform(0.3, 0.8)), low.relief_mm[1]),
        nodes=(),
        imitators=_without_heights(body),
        disturbances=tuple(sorted({*body.disturbances, kind})),
    )


def _gap(
    body: Vertebra, normal: tuple[float, float, float], half_mm: float, hu: float, v_mm: float = 0.0
) -> Cut:
    middle = 0.5 * (body.upper_mm[1] + body.lower_mm[1])
    radii = (1.3 * body.half_width_mm, 1.4 * body.half_depth_mm, 1.2 * body.intact_mm[1])
    return Cut((0.0, v_mm, middle), radii, normal, half_mm, hu)


def _wedge(rng: np.random.Generator, body: Vertebra, kind: str) -> Vertebra:
    low = _hit(rng, body, kind, "wedge", float(rng.uniform(0.1, 0.45)))
    cut = corner_cut(rng, low, half_mm=float(rng.uniform(0.4, 1.0)), hu=float(rng.uniform(30, 90)))
    return replace(low, step_mm=float(rng.uniform(1.0, 4.0)), cuts=(*low.cuts, cut))


def _split(rng: np.random.Generator, body: Vertebra, kind: str) -> Vertebra:
    """A gap from endplate to endplate, coronal or sagittal."""
    low = _hit(rng, body, kind, "biconcave", float(rng.uniform(0.02, 0.18)))
    is_coronal = rng.random() < 0.7
    lean = float(rng.uniform(-0.25, 0.25))
    norm = float(np.hypot(1, lean))
    normal = (0.0, 1 / norm, lean / norm) if is_coronal else (1 / norm, lean / norm, 0.0)
    v = float(rng.uniform(-0.25, 0.25)) * body.half_depth_mm if is_coronal else 0.0
    return replace(
        low, cuts=(*low.cuts, _gap(low, normal, float(rng.uniform(0.5, 2.0)), float(rng.uniform(10, 70)), v))
    )


def _burst(rng: np.random.Generator, body: Vertebra, kind: str) -> Vertebra:
    """Crushed, split, and pushed into the canal."""
    low = _hit(rng, body, kind, "crush", float(rng.uniform(0.18, 0.5)))
    lines = []
    for _ in range(int(rng.integers(2, 5))):
        n = rng.normal(size=3) * (1.0, 1.0, 0.5)
        n = n / np.linalg.norm(n)
        normal = (float(n[0]), float(n[1]), float(n[2]))
        v = float(rng.uniform(-0.5, 0.5)) * body.half_depth_mm
        lines.append(_gap(low, normal, float(rng.uniform(0.3, 0.9)), float(rng.uniform(20, 80)), v))
    return replace(
        low,
        bulge_mm=float(rng.uniform(3.0, 8.0)),
        step_mm=float(rng.uniform(0.5, 3.5)),
        half_depth_mm=low.half_depth_mm * float(rng.uniform(1.0, 1.06)),
        cuts=(*low.cuts, *lines),
    )


def _chance(rng: np.random.Generator, body: Vertebra, kind: str) -> Vertebra:
    """A level gap through the body from behind, wider there, with some loss in front."""
    low = _hit(rng, body, kind, "wedge", float(rng.uniform(0.05, 0.28)))
    lean = float(rng.uniform(-0.2, 0.2))
    norm = float(np.hypot(1, lean))
    gap = _gap(low, (0.0, lean / norm, 1 / norm), float(rng.uniform(0.5, 1.6)), float(rng.uniform(10, 60)))
    return replace(low, cuts=(*low.cuts, gap))


_TRAUMA: dict[str, Callable[[np.random.Generator, Vertebra, str], Vertebra]] = {
    "traumatic_wedge": _wedge,
    "split_fracture": _split,
    "burst_fracture": _burst,
    "chance_fracture": _chance,
}
