"""Controls are drawn at random, of the same sex and nearly the same age, each once; who has none is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimates.matching import Person, match_controls

PEOPLE = st.lists(st.builds(Person, st.integers(40, 95), st.sampled_from("FM")), max_size=40)


@settings(max_examples=60, deadline=None)
@given(PEOPLE, PEOPLE, st.integers(0, 9), st.integers(1, 3))
def test_pairs_are_alike_and_nobody_is_used_twice(
    cases: list[Person], controls: list[Person], caliper: int, per_case: int
) -> None:
    found = match_controls(cases, controls, per_case=per_case, caliper_years=caliper, seed=1)
    used = [control for _, control in found.pairs]
    assert len(set(used)) == len(used)
    for case, control in found.pairs:
        assert cases[case].sex == controls[control].sex
        assert abs(cases[case].age_years - controls[control].age_years) <= caliper
    n_of = np.bincount([case for case, _ in found.pairs], minlength=len(cases))
    assert [case for case in range(len(cases)) if n_of[case] < per_case] == list(found.unmatched)
    # an unmatched case truly has no free control left that would fit
    for case in found.unmatched:
        fitting = [
            i
            for i, control in enumerate(controls)
            if control.sex == cases[case].sex and abs(control.age_years - cases[case].age_years) <= caliper
        ]
        assert set(fitting) <= set(used)
    assert found == match_controls(cases, controls, per_case=per_case, caliper_years=caliper, seed=1)


def test_chance_decides_among_equals() -> None:
    cases, controls = [Person(70, "F")], [Person(70, "F")] * 20
    drawn = {match_controls(cases, controls, seed=seed).pairs[0][1] for seed in range(30)}
    assert len(drawn) > 8


def test_a_matching_needs_something_to_draw() -> None:
    with pytest.raises(ValueError, match="at least one control"):
        match_controls([], [], per_case=0)
