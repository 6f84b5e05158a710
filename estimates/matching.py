"""Controls for cases, matched by age and sex at random: greedy, without replacement, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CALIPER_YEARS = 5  # controls of another decade would teach a network age instead of fractures


@dataclass(frozen=True)
class Person:
    """What a case or a control is matched by."""

    age_years: int
    sex: str


@dataclass(frozen=True)
class Matching:
    """Places in the two lists: (case, control) pairs, and the cases for which too few controls were left."""

    pairs: tuple[tuple[int, int], ...]
    unmatched: tuple[int, ...]  # cases with fewer controls than asked for, none included


def match_controls(
    cases: Sequence[Person],
    controls: Sequence[Person],
    *,
    per_case: int = 1,
    caliper_years: int = CALIPER_YEARS,
    seed: int = 0,
) -> Matching:
    """Draw `per_case` controls of the same sex and nearly the same age for each case.

    Cases are served in random order, one control a round, so that a scarce age is shared out. Each takes the free
    control whose age is nearest, within `caliper_years`; among equally near ones chance decides. Greedy matching
    without replacement (Rosenbaum 1989). The same lists and seed give the same pairs. ValueError without a control
    a case or with a negative caliper.
    """
    if per_case < 1 or caliper_years < 0:
        raise ValueError("matching needs at least one control a case and a caliper that is not negative")
    rng = np.random.default_rng(seed)
    free = _by_sex(controls, rng)
    pairs: list[tuple[int, int]] = []
    short: set[int] = set()
    for _ in range(per_case):
        for case in rng.permutation(len(cases)).tolist():
            control = _take_nearest(free.get(cases[case].sex, []), controls, cases[case], caliper_years)
            if control is None:
                short.add(case)
            else:
                pairs.append((case, control))
    return Matching(tuple(sorted(pairs)), tuple(sorted(short)))


def _by_sex(controls: Sequence[Person], rng: np.random.Generator) -> dict[str, list[int]]:
    """Places of the controls of each sex, in random order: the first of equally near ones is a random one."""
    found: dict[str, list[int]] = {}
    for place in rng.permutation(len(controls)).tolist():
        found.setdefault(controls[place].sex, []).append(place)
    return found


def _take_nearest(
    free: list[int], controls: Sequence[Person], case: Person, caliper_years: int
) -> int | None:
    if not free:
        return None
    nearest = min(range(len(free)), key=lambda i: abs(controls[free[i]].age_years - case.age_years))
    if abs(controls[free[nearest]].age_years - case.age_years) > caliper_years:
        return None
    return free.pop(nearest)
