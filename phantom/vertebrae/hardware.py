"""What surgeons leave in a spine: cement in bodies, screws and rods. By seed, in both classes alike."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from phantom.vertebrae.spine_ranges import FractureSettings
from phantom.vertebrae.vertebra import Spot, Triple, Vertebra

CEMENT_HU = (900.0, 2600.0)  # acrylic cement with barium or zirconium
METAL_HU = 3071.0  # what a stored CT value can hold at most
SCREW_RADIUS_MM, ROD_RADIUS_MM = (2.2, 3.3), (2.5, 3.0)


@dataclass(frozen=True)
class MetalPart:
    """One straight piece of metal, a capsule from `start_xyz_mm` to `end_xyz_mm` (patient coordinates).

    The bone painter draws it with `hu` (at most 3071). A scanner that draws streaks takes the same ends and
    radius: streaks lie in the axial planes that the piece crosses.
    """

    kind: str  # "screw", "head" or "rod"
    level: str
    start_xyz_mm: Triple
    end_xyz_mm: Triple
    radius_mm: float
    hu: float = METAL_HU


def draw_cement(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings
) -> list[Vertebra]:
    """The bodies, some of them treated with cement; mostly none.

    Whether there is cement does not depend on fractures; which bodies are treated does: one to three fractured
    ones, or, in a patient without, one where chest and loins meet.
    """
    if rng.random() >= settings.cement_share:
        return bodies
    broken = [b.level for b in bodies if b.label and b.cause and b.grade]
    levels = broken or [str(rng.choice(["T11", "T12", "L1", "L2", "L3", "L4"]))]
    chosen = rng.permutation(levels)[: int(rng.integers(1, 4))].tolist()
    return [_cemented(rng, b) if b.level in chosen else b for b in bodies]


def draw_screws(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings
) -> tuple[list[Vertebra], tuple[MetalPart, ...]]:
    """Placed bodies, those held by screws marked, and the metal; mostly none. It does not depend on fractures."""
    return _with_screws(rng, bodies) if rng.random() < settings.hardware_share else (bodies, ())


def _cemented(rng: np.random.Generator, body: Vertebra) -> Vertebra:
    """Clouds of cement on one or both sides, sometimes a leak into the disc above."""
    a, b = body.half_width_mm, body.half_depth_mm
    h, middle = body.heights_mm[1], 0.5 * (body.upper_mm[1] + body.lower_mm[1])
    hu, sides = float(rng.uniform(*CEMENT_HU)), [[-1.0, 1.0], [-1.0], [1.0], [0.0]][int(rng.integers(4))]
    spots = []
    for side in sides:
        for _ in range(int(rng.integers(1, 4))):
            centre = (
                side * 0.35 * a + float(rng.normal(0, 2)),
                float(rng.uniform(-0.55, 0.25)) * b,
                middle + float(rng.uniform(-0.2, 0.2)) * h,
            )
            size = rng.uniform(0.18, 0.42, 2)
            radii = (float(size[0]) * a, float(size[1]) * b, float(rng.uniform(0.2, 0.42)) * h)
            spots.append(
                Spot(
                    centre, radii, hu, edge=float(rng.uniform(0.1, 0.5)), ragged=float(rng.uniform(0.05, 0.3))
                )
            )
    if rng.random() < 0.25:
        leak = (0.0, float(rng.uniform(-0.3, 0.3)) * b, body.upper_mm[1] + 0.5)
        spots.append(Spot(leak, (5.0, 4.0, 2.5), hu, edge=0.2, ragged=0.2, eats_shell=True))
    names = tuple(sorted({*body.disturbances, "cement"}))
    return replace(body, is_treated=True, is_recent=False, spots=(*body.spots, *spots), disturbances=names)


def _with_screws(
    rng: np.random.Generator, bodies: list[Vertebra]
) -> tuple[list[Vertebra], tuple[MetalPart, ...]]:
    """Two to six neighbouring levels with a screw through each pedicle and a rod on each side."""
    first = int(rng.choice([4, 8, 12, 14, 15, 17, 18, 19]))
    last = min(len(bodies), first + int(rng.integers(2, 7)))
    radius, rod = float(rng.uniform(*SCREW_RADIUS_MM)), float(rng.uniform(*ROD_RADIUS_MM))
    parts: list[MetalPart] = []
    for side in (-1.0, 1.0):
        heads = []
        for body in bodies[first:last]:
            parts += _screw(rng, body, side, radius)
            heads.append((body.level, parts[-1].end_xyz_mm))
        for (level, start), (_, end) in itertools.pairwise(heads):
            parts.append(MetalPart("rod", level, start, end, rod))
    held = [b.level for b in bodies[first:last]]
    marked = [
        replace(b, disturbances=tuple(sorted({*b.disturbances, "screws"}))) if b.level in held else b
        for b in bodies
    ]
    return marked, tuple(parts)


def _screw(rng: np.random.Generator, body: Vertebra, side: float, radius_mm: float) -> list[MetalPart]:
    """A screw from behind the pedicle to the front of the body, and its head."""
    b, h = body.half_depth_mm, max(body.intact_mm)
    pedicle = side * min(0.62 * body.half_width_mm, 15.0)
    tip_v = -b * float(rng.uniform(0.1, 0.6))
    low = min(0.2 * h, body.upper_mm[1] - 2.5)
    tip = body.to_patient(0.5 * pedicle, tip_v, low)
    entry = body.to_patient(1.08 * pedicle, b + 17, 0.22 * h)
    head = body.to_patient(1.1 * pedicle, b + 24, 0.22 * h)
    return [
        MetalPart("screw", body.level, tip, entry, radius_mm),
        MetalPart("head", body.level, entry, head, 1.9 * radius_mm),
    ]
