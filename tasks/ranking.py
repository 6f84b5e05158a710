"""Ranks the eligible series of one study, best first, by one fixed rule. Pure.

Rule `spine-1`, each line deciding only where the lines before are equal:
1. tier: thin axial stacks (≤ 3 mm), then sagittal reformats of five images or more, then thicker axial stacks, then
   single sagittal images. Thin axial stacks show skin on both sides, hence where the middle lies, and leave the
   choice of sagittal slices open; a reformat made from thin slices resolves more than a 5 mm stack.
2. coverage: more craniocaudal millimetres, in steps of 100 mm up to 500 mm (T1 to L5 of a tall adult).
3. kernel: soft tissue, unknown, bone, lung.
4. derivation: originals before reformats, so that nothing derived stands in for its source.
5. thickness: 1 to 3 mm before thinner (noise) and thicker.
6. flags: fewer first.
7. size: fewer bytes, the cheaper of equals; then the series key.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tasks.kernels import Kernel
from tasks.stack_checks import FEW_SLICES, GRADE1_THICKNESS_MM, ROUNDING_MM

RULE = "spine-1"
COVERAGE_STEP_MM = 100.0
FULL_COVERAGE_MM = 500.0
GOOD_THICKNESS_MM = (0.99, 3.01)
CRITERIA = ("tier", "coverage", "kernel", "derivation", "thickness", "flags", "size", "key")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ranking asks of one eligible series."""

    series_key: str
    plane: str
    n_slices: int
    resolution_mm: float | None  # as the thickness check measured it
    craniocaudal_mm: float
    kernel: Kernel
    is_original: bool
    n_flags: int
    n_bytes: int


def rank(candidates: list[Candidate]) -> list[tuple[Candidate, str]]:
    """Candidates best first, each with the rule and criterion that set its rank.

    The first one carries the criterion by which it beat the second, every other that by which it lost to the one
    before it; an only candidate carries `only`.
    """
    ordered = sorted(candidates, key=_key)
    if len(ordered) == 1:
        return [(ordered[0], f"{RULE}:only")]
    lost_by = [_first_difference(a, b) for a, b in pairwise(ordered)]
    criteria = lost_by[:1] + lost_by
    return [
        (candidate, f"{RULE}:{criterion}") for candidate, criterion in zip(ordered, criteria, strict=True)
    ]


def _key(candidate: Candidate) -> tuple[int, int, int, bool, bool, int, int, str]:
    thickness_mm = candidate.resolution_mm or 0.0
    return (
        _tier(candidate),
        -int(min(candidate.craniocaudal_mm, FULL_COVERAGE_MM) // COVERAGE_STEP_MM),
        int(candidate.kernel),
        not candidate.is_original,
        not GOOD_THICKNESS_MM[0] <= thickness_mm <= GOOD_THICKNESS_MM[1],
        candidate.n_flags,
        candidate.n_bytes,
        candidate.series_key,
    )


def _tier(candidate: Candidate) -> int:
    if candidate.plane == "axial":
        is_thin = (
            candidate.resolution_mm is not None
            and candidate.resolution_mm <= GRADE1_THICKNESS_MM + ROUNDING_MM
        )
        return 0 if is_thin else 2
    return 1 if candidate.n_slices >= FEW_SLICES else 3


def _first_difference(a: Candidate, b: Candidate) -> str:
    pairs = zip(CRITERIA, _key(a), _key(b), strict=True)
    return next((name for name, x, y in pairs if x != y), "key")
