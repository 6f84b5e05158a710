"""Selection depends on what files hold, never on their order, names, folders or instance numbers."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from instances import make_instance, make_sagittal, make_stack, make_study

from tasks.identity import Pseudonymizer
from tasks.instance import FileRef, Instance
from tasks.profile import LENIENT, STRICT, Cohort
from tasks.select import StudySelection, select_study
from tasks.series import group_series
from warehouse.reasons import reason_of

KEYS = Pseudonymizer(b"k" * 32, "main")


def select(instances: list[Instance], profile_is_strict: bool = False) -> StudySelection:
    study = make_study(instances)
    return select_study(
        group_series(study),
        study=study,
        keys=KEYS,
        profile=STRICT if profile_is_strict else LENIENT,
        cohort=Cohort(),
        archive_key="archive",
        site="main",
        run_id="run",
    )


def rows(selection: StudySelection) -> list[object]:
    return [selection.study, *selection.series, *selection.selections, *selection.series_identities]


@st.composite
def studies(draw: st.DrawFn) -> list[Instance]:
    """A few series with what archives hold: kernels, phases, gaps, localizers, reformats, odd values."""
    instances: list[Instance] = []
    for number in range(draw(st.integers(1, 3))):
        uid = f"1.2.3.{number}"
        n = draw(st.integers(1, 30))
        spacing_mm = draw(st.sampled_from([1.0, 2.5, 5.0]))
        stack = make_stack(n, spacing_mm=spacing_mm, series_instance_uid=uid)
        if draw(st.booleans()):
            stack = make_sagittal(n, series_instance_uid=uid)
        field, values = draw(
            st.sampled_from(
                [
                    ("convolution_kernel", ["SOFT", "LUNG", None]),
                    ("acquisition_number", [1, 2, None]),
                    ("temporal_position", ["1", "2"]),
                    ("image_type", ["ORIGINAL\\PRIMARY\\AXIAL", "ORIGINAL\\PRIMARY\\LOCALIZER", None]),
                    ("slope", [1.0, 0.5]),
                    ("pixel_spacing_mm", [(0.8, 0.8), (0.7, 0.7), None]),
                    ("position_mm", [(0.0, 0.0, 0.0), (0.0, 0.0, 9.0), None]),
                    ("patient_age", ["040Y", "012Y", "xxx", None]),
                ]
            )
        )
        chosen = draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))
        instances += [dataclasses.replace(i, **{field: v}) for i, v in zip(stack, chosen, strict=True)]
    return instances


@given(studies(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_T14_order_names_and_instance_numbers_do_not_matter(instances: list[Instance], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = [
        dataclasses.replace(
            i,
            file=FileRef(f"{random.random()}/{n}".encode(), None, i.file.size_bytes, 2),
            instance_number=random.randrange(1000),
        )
        for n, i in enumerate(instances)
    ]
    random.shuffle(shuffled)
    first, second = select(instances), select(shuffled)
    assert rows(first) == rows(second)
    assert [(p.series_key, [s.position_mm for s in p.slices]) for p in first.plans] == [
        (p.series_key, [s.position_mm for s in p.slices]) for p in second.plans
    ]


@given(studies(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_series_ends_in_exactly_one_state(instances: list[Instance], is_strict: bool) -> None:
    selection = select(instances, is_strict)
    assert sum(row.n_files for row in selection.series) == selection.study.n_files
    assert sum(row.n_instances for row in selection.series) == len(instances)
    assert (
        len({row.series_key for row in selection.series})
        == len(selection.series)
        == len(selection.selections)
    )
    ranks = sorted(row.rank for row in selection.selections if row.rank is not None)
    assert ranks == list(range(1, len(selection.plans) + 1))
    for row in selection.selections:
        assert (row.outcome == "eligible") == (row.reason is None) == (row.rank is not None)
        assert row.reason is None or reason_of(row.reason).outcome.value == row.outcome
        assert row.n_checks_passed <= len(json.loads(row.checks))


numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1.0, -1024.0, 1e300]))
odd_fields = st.fixed_dictionaries(
    {},
    optional={
        "position_mm": st.one_of(st.none(), st.tuples(st.floats(), st.floats(), st.floats())),
        "orientation": st.one_of(st.none(), st.tuples(*[st.floats()] * 6)),
        "pixel_spacing_mm": st.one_of(st.none(), st.tuples(st.floats(), st.floats())),
        "slope": numbers,
        "intercept": numbers,
        "slice_thickness_mm": numbers,
        "kvp": numbers,
        "rows": st.one_of(st.none(), st.integers(0, 65535)),
        "bits_stored": st.one_of(st.none(), st.integers(0, 64)),
        "n_frames": st.integers(0, 5),
        "series_description": st.one_of(st.none(), st.text(max_size=20)),
        "image_type": st.one_of(st.none(), st.text(max_size=20)),
        "rescale_type": st.one_of(st.none(), st.text(max_size=8)),
        "photometric": st.one_of(st.none(), st.text(max_size=8)),
        "patient_id": st.one_of(st.none(), st.text(max_size=8)),
        "patient_age": st.one_of(st.none(), st.text(max_size=5)),
        "patient_birth_date": st.one_of(st.none(), st.text(max_size=9)),
        "transfer_syntax_uid": st.text(max_size=20),
        "convolution_kernel": st.one_of(st.none(), st.text(max_size=8)),
    },
)


@given(st.lists(odd_fields, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_odd_header_values_end_as_rows(oddities: list[dict[str, object]]) -> None:
    """Whatever a header says, the study has its rows and their checks are JSON; nothing is raised."""
    stack = [
        dataclasses.replace(i, **odd) for i, odd in zip(make_stack(len(oddities)), oddities, strict=True)
    ]  # type: ignore[arg-type]
    selection = select(stack)
    assert sum(row.n_files for row in selection.series) == len(stack)
    assert all(json.loads(row.checks) for row in selection.selections)


@given(studies())
@settings(max_examples=60, deadline=None)
def test_every_plan_is_a_stack_in_order(instances: list[Instance]) -> None:
    for plan in select(instances).plans:
        along = [item.along_normal_mm for item in plan.slices]
        assert all(b > a for a, b in pairwise(along))
        assert plan.plane in ("axial", "sagittal")
        assert plan.row_spacing_mm > 0


@given(st.integers(5, 60), st.integers(1, 58), st.floats(1.0, 5.0))
@settings(max_examples=60, deadline=None)
def test_T13_a_missing_slice_is_never_planned_over(n: int, missing: int, spacing_mm: float) -> None:
    """Whatever slice is missing: excluded, or the plan has no gap."""
    heights = [spacing_mm * i for i in range(n) if i != missing]
    stack = [
        make_instance(i, position_mm=(0.0, 0.0, z), slice_thickness_mm=1.0) for i, z in enumerate(heights)
    ]
    for plan in select(stack).plans:
        steps = [b.along_normal_mm - a.along_normal_mm for a, b in pairwise(plan.slices)]
        assert max(steps) <= 1.5 * spacing_mm
