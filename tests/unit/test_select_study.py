"""Selecting within a study: cohort, age, ranking, records, plans."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from pathlib import Path

import pytest
from instances import AXIAL, broken_file, make_instance, make_sagittal, make_stack, make_study

from tasks.identity import Pseudonymizer
from tasks.instance import FramePlane, Instance
from tasks.kernels import Kernel, classify_kernel
from tasks.patient import age_years, parse_age, parse_date, parse_sex
from tasks.profile import LENIENT, STRICT, Cohort, Profile, profile_digest, profile_named, read_cohort
from tasks.select import READER_VERSION, StudySelection, select_study
from tasks.series import group_series

KEYS = Pseudonymizer(b"k" * 32, "main")


def select(
    instances: list[Instance], *, profile: Profile = LENIENT, cohort: Cohort | None = None, **study: object
) -> StudySelection:
    found = make_study(instances, **study)  # type: ignore[arg-type]
    return select_study(
        group_series(found),
        study=found,
        keys=KEYS,
        profile=profile,
        cohort=cohort or Cohort(),
        archive_key="archive",
        site="main",
        run_id="run",
    )


def reasons(selection: StudySelection) -> list[str | None]:
    return [row.reason for row in selection.selections]


# --- whose --------------------------------------------------------------------------------------------------


def test_adults_only_by_default() -> None:
    child = make_stack(60, patient_age="012Y", patient_birth_date=None)
    selection = select(child)
    assert reasons(selection) == ["under_age"]
    assert selection.selections[0].message == "the patient is younger than 18 years"
    assert selection.plans == []
    assert reasons(select(child, cohort=Cohort(min_age_years=0))) == [None]


@pytest.mark.parametrize(
    ("age", "birth", "expected"),
    [
        ("067Y", None, 67),
        ("22Y", None, 22),
        ("030M", None, 2),
        ("003M", None, 0),
        ("000Y", None, None),
        ("121Y", None, None),
        ("120Y", None, 120),
        ("abc", None, None),
        (None, None, None),
        (None, "19500615", 69),
        (None, "19500101", 70),
        (None, "20210101", None),
        (None, "20200101", None),
        (None, "18500101", None),
        (None, "1950", None),
        ("000Y", "19500615", 69),
        ("090Y", "19500615", 90),
    ],
)
def test_T34_ages(age: str | None, birth: str | None, expected: int | None) -> None:
    assert age_years(age, birth, dt.date(2020, 1, 1)) == expected


def test_T34_unknown_age_stays_unknown_and_is_flagged() -> None:
    selection = select(make_stack(60, patient_age="000Y", patient_birth_date="20300101"))
    assert selection.study.age_years is None
    assert selection.selections[0].flags == ["age_unknown"]
    assert len(selection.plans) == 1


def test_T34_contradicting_ages_are_unknown() -> None:
    stack = make_stack(60, patient_age="040Y")
    stack[3] = dataclasses.replace(stack[3], patient_age="070Y")
    assert select(stack).study.age_years is None


def test_T34_sex_and_dates() -> None:
    assert [parse_sex(value) for value in ("F", " m", "O", "X", "", None)] == [
        "F",
        "M",
        "O",
        None,
        None,
        None,
    ]
    assert parse_date("2020.01.31") == dt.date(2020, 1, 31)
    assert [parse_date(value) for value in ("20201301", "2020", "", None, "2020０１０１")] == [None] * 5
    assert parse_age("012") is None


def test_study_without_patient_id_has_no_key() -> None:
    for patient_id in (None, "", "  "):
        selection = select(make_stack(60, patient_id=patient_id))
        assert selection.study.patient_key is None
        assert selection.patient_identity is None
        assert selection.study_identity.patient_key is None


def test_an_issuer_that_some_objects_do_not_tell_makes_nobody_else() -> None:
    told = make_stack(30, issuer_of_patient_id="HOSP")
    untold = make_stack(30, start=30, series_instance_uid="1.2.3.5")
    selection = select([*untold, *told])
    assert selection.patient_identity is not None
    assert selection.patient_identity.issuer_of_patient_id == "HOSP"
    assert selection.study.patient_key == select(told).study.patient_key
    other = make_stack(30, start=60, series_instance_uid="1.2.3.6", issuer_of_patient_id="OTHER")
    assert set(reasons(select([*untold, *told, *other]))) == {"patients_mixed"}


def test_study_of_two_patients_is_quarantined() -> None:
    selection = select(
        [*make_stack(30), *make_stack(30, start=30, patient_id="P2", series_instance_uid="1.2.3.5")]
    )
    assert reasons(selection) == ["patients_mixed", "patients_mixed"]
    assert {row.outcome for row in selection.selections} == {"quarantined"}
    assert selection.study.patient_key is None


def test_date_range_cohort_and_opt_out() -> None:
    stack = make_stack(60)
    day = dt.date(2020, 1, 1)
    assert reasons(select(stack, cohort=Cohort(since=day, until=day))) == [None]
    assert reasons(select(stack, cohort=Cohort(since=dt.date(2020, 1, 2)))) == ["date_range"]
    assert reasons(select(stack, cohort=Cohort(until=dt.date(2019, 12, 31)))) == ["date_range"]
    undated = make_stack(60, study_date=None, acquisition_date=None)
    assert reasons(select(undated, cohort=Cohort(since=day))) == ["date_range"]
    assert reasons(select(stack, cohort=Cohort(cohort_ids=frozenset({"P1"})))) == [None]
    assert reasons(select(stack, cohort=Cohort(cohort_ids=frozenset({"P9"})))) == ["not_in_cohort"]
    assert reasons(select(stack, cohort=Cohort(opt_out_ids=frozenset({"P1"})))) == ["opted_out"]


def test_cohort_files(tmp_path: Path) -> None:
    file = tmp_path / "cohort.txt"
    file.write_bytes("\ufeffP1\n\n# a remark\n P2 \r\n".encode())
    assert read_cohort(cohort=file).cohort_ids == {"P1", "P2"}
    assert read_cohort(opt_out=file).opt_out_ids == {"P1", "P2"}
    assert read_cohort() == Cohort()
    file.write_text("# nobody\n")
    with pytest.raises(ValueError, match="names no patient"):
        read_cohort(cohort=file)


def test_profile_digest_covers_thresholds_and_cohort() -> None:
    variants = [
        profile_digest(LENIENT, Cohort(), KEYS),
        profile_digest(STRICT, Cohort(), KEYS),
        profile_digest(dataclasses.replace(LENIENT, max_tilt_deg=20.0), Cohort(), KEYS),
        profile_digest(LENIENT, Cohort(min_age_years=50), KEYS),
        profile_digest(LENIENT, Cohort(since=dt.date(2020, 1, 1)), KEYS),
        profile_digest(LENIENT, Cohort(cohort_ids=frozenset({"P1"})), KEYS),
        profile_digest(LENIENT, Cohort(opt_out_ids=frozenset({"P1"})), KEYS),
        profile_digest(LENIENT, Cohort(opt_out_ids=frozenset({"P1"})), Pseudonymizer(b"x" * 32, "main")),
    ]
    assert len(set(variants)) == len(variants)
    assert variants[0] == profile_digest(LENIENT, Cohort(), KEYS)


def test_unknown_profile_names_the_known_ones() -> None:
    assert profile_named("strict") is STRICT
    with pytest.raises(ValueError, match="lenient, strict"):
        profile_named("loose")


# --- ranking ------------------------------------------------------------------------------------------------


def series(number: int, n: int = 60, **values: object) -> list[Instance]:
    return make_stack(n, series_instance_uid=f"1.2.3.{number}", **values)  # type: ignore[arg-type]


def ranked(*candidates: list[Instance]) -> list[tuple[str, str | None]]:
    """(series UID, rule), best first."""
    selection = select([i for stack in candidates for i in stack])
    uid_of = {row.series_key: row.series_instance_uid for row in selection.series_identities}
    rules = {row.series_key: row.rule for row in selection.selections}
    assert [row.rank for row in sorted(selection.selections, key=lambda r: r.rank or 0)] == [
        *range(1, len(candidates) + 1)
    ]
    return [(uid_of[plan.series_key], rules[plan.series_key]) for plan in selection.plans]


def test_an_only_series_says_so() -> None:
    assert ranked(series(1)) == [("1.2.3.1", "spine-1:only")]


def test_soft_kernel_before_lung_kernel() -> None:
    assert ranked(series(1, convolution_kernel="LUNG"), series(2)) == [
        ("1.2.3.2", "spine-1:kernel"),
        ("1.2.3.1", "spine-1:kernel"),
    ]


def test_coverage_counts_more_than_kernel() -> None:
    assert ranked(series(1), series(2, n=120, convolution_kernel="LUNG"))[0] == (
        "1.2.3.2",
        "spine-1:coverage",
    )


def test_tiers() -> None:
    thin = series(1)
    sagittal = make_sagittal(25)
    thick = series(3, n=99, spacing_mm=5.0, slice_thickness_mm=5.0)
    single = make_sagittal(1, series_instance_uid="1.2.3.4")
    found = ranked(single, thick, sagittal, thin)
    assert [uid for uid, _ in found] == ["1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4"]
    assert {rule for _, rule in found} == {"spine-1:tier"}


def test_original_before_reformat_and_rule_of_each_rank() -> None:
    reformat = series(1, image_type="DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE")
    noisy = series(2, n=300, spacing_mm=0.6, slice_thickness_mm=0.6)
    assert ranked(reformat, noisy, series(3)) == [
        ("1.2.3.3", "spine-1:thickness"),
        ("1.2.3.2", "spine-1:thickness"),
        ("1.2.3.1", "spine-1:derivation"),
    ]


def test_ties_are_broken_by_series_key() -> None:
    assert ranked(series(1), series(2)) == ranked(series(2), series(1))


def test_excluded_series_have_no_rank() -> None:
    selection = select([*series(1), *series(2, modality="MR")])
    assert sorted((row.rank, row.outcome) for row in selection.selections if row.rank) == [(1, "eligible")]
    assert [row.rule for row in selection.selections if row.rank is None] == [None]


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("STANDARD", Kernel.SOFT), ("SOFT", Kernel.SOFT), ("LUNG", Kernel.LUNG), ("BONEPLUS", Kernel.BONE),
        ("B30f", Kernel.SOFT), ("B70f", Kernel.BONE), ("Br38f\\3", Kernel.SOFT), ("Bl57d\\2", Kernel.LUNG),
        ("Hr60", Kernel.BONE), ("I30f\\3", Kernel.SOFT), ("FC08", Kernel.SOFT), ("FC51", Kernel.LUNG),
        ("FC30", Kernel.BONE), ("YA", Kernel.SOFT), ("L", Kernel.LUNG), ("UB", Kernel.SOFT), ("D", Kernel.BONE),
        ("", Kernel.UNKNOWN), (None, Kernel.UNKNOWN), ("XYZ", Kernel.UNKNOWN),
    ],
)  # fmt: skip
def test_kernels(name: str | None, kernel: Kernel) -> None:
    assert classify_kernel(name) == kernel


def colonography(**prone: object) -> list[Instance]:
    texts = {"study_description": "CT COLONOGRAPHY"}
    values = {"patient_position": "HFP", **texts, **prone}
    return [*series(1, **texts), *series(2, **values)]


def test_second_prone_series_of_a_colonography_is_excluded() -> None:
    assert reasons(select(colonography())) == [None, "prone_second"]
    described = colonography(patient_position="HFS", series_description="PRONE 1.25")
    assert reasons(select(described)) == [None, "prone_second"]


def test_prone_series_stays_when_it_is_the_only_one() -> None:
    only = [i for i in colonography() if i.series_instance_uid == "1.2.3.2"]
    assert reasons(select(only)) == [None]
    supine_is_short = [*colonography()[:5], *colonography()[60:]]
    assert reasons(select(supine_is_short)) == ["too_short", None]


def test_prone_scan_of_another_kind_is_eligible() -> None:
    assert reasons(select(series(1, patient_position="HFP"))) == [None]


# --- rows and plans -----------------------------------------------------------------------------------------


def test_rows_of_a_study() -> None:
    selection = select(
        [*make_stack(60), *make_sagittal(25)], duplicates_by_series=(("1.2.3.1", 2),), n_files=87
    )
    study = selection.study
    assert (study.n_series, study.n_files, study.sex) == (2, 87, "F")
    assert (study.age_years, study.study_date) == (69, dt.date(2020, 1, 1))
    assert sum(row.n_files for row in selection.series) == study.n_files
    axial = next(row for row in selection.series if row.plane == "axial")
    assert (axial.n_instances, axial.n_files, axial.coverage_mm) == (60, 62, pytest.approx(177.0))
    assert axial.n_bytes == 60 * 525_312
    assert all(row.reader_version == READER_VERSION for row in selection.selections)
    assert {row.series_key for row in selection.selections} == {row.series_key for row in selection.series}
    assert selection.records[0] == selection.patient_identity
    assert len(selection.records) == 1 + 1 + 2 + 1 + 2 + 2


def test_series_known_by_broken_files_only_has_its_row() -> None:
    selection = select(make_stack(60), issues=[broken_file(1, series="1.2.3.8")])
    assert reasons(selection) == [None, "broken_instances"]
    broken = selection.series[1]
    assert (broken.n_instances, broken.n_files, broken.plane) == (0, 1, None)


def test_revision_changes_with_content_conflicts_and_broken_files() -> None:
    stack = make_stack(60)
    changed = [dataclasses.replace(stack[0], content_digest="other"), *stack[1:]]
    found = [
        select(stack),
        select(changed),
        select(stack[:-1]),
        select(stack, conflicts=frozenset({"1.2.3.1.5"})),
        select(stack, issues=[broken_file()]),
    ]
    assert len({selection.study.study_revision for selection in found}) == len(found)
    assert len({selection.series[0].series_revision for selection in found}) == len(found)


def test_plan_holds_what_the_slab_stage_needs() -> None:
    stack = [
        dataclasses.replace(i, slope=1.0 + n, pixel_padding_value=-2000) for n, i in enumerate(make_stack(60))
    ]
    (plan,) = select(stack[::-1]).plans
    assert [item.position_mm[2] for item in plan.slices] == [3.0 * n for n in range(60)]
    assert [item.slope for item in plan.slices] == [1.0 + n for n in range(60)]
    assert plan.normal == pytest.approx((0.0, 0.0, 1.0))
    assert (plan.plane, plan.rows, plan.columns) == ("axial", 512, 512)
    assert (plan.row_spacing_mm, plan.slice_spacing_mm, plan.tilt_deg) == (0.8, 3.0, 0.0)
    assert plan.pixels.padding_value == -2000
    assert plan.slices[7].pixel_offset == 1024
    assert plan.transfer_syntax_uids == ("1.2.840.10008.1.2.1",)
    assert plan.n_bytes == 60 * 525_312
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_T23_frames_of_a_native_object_have_their_own_bytes() -> None:
    frames = tuple(
        FramePlane((-200.0, -200.0, 3.0 * i), AXIAL, (0.8, 0.8), 1.0, -1024.0, 3.0, None) for i in range(60)
    )
    twin = make_instance(0, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", n_frames=60, frames=frames)
    (plan,) = select([twin]).plans
    assert [item.pixel_offset for item in plan.slices] == [1024 + 524_288 * i for i in range(60)]
    assert {item.pixel_length for item in plan.slices} == {524_288}
    assert plan.n_bytes == 525_312
    packed = dataclasses.replace(twin, transfer_syntax_uid="1.2.840.10008.1.2.4.90", pixel_length=None)
    (plan,) = select([packed]).plans
    assert {(item.pixel_offset, item.pixel_length) for item in plan.slices} == {(1024, None)}


def test_plan_names_no_patient() -> None:
    (plan,) = select(make_stack(60, patient_id="SECRET", accession_number="SECRET")).plans
    assert b"SECRET" not in pickle.dumps(plan)


def test_cut_off_slices_are_not_planned() -> None:
    stack = [i for n, i in enumerate(make_stack(60)) if n not in (57, 58)]
    (plan,) = select(stack).plans
    assert len(plan.slices) == 57
    assert plan.flags == ("slices_missing_outside:2@168.0..177.0",)


def test_split_series_have_keys_of_their_own() -> None:
    selection = select([*make_stack(60), *make_stack(60, start=60, convolution_kernel="LUNG")])
    assert len({row.series_key for row in selection.series}) == 2
    assert [row.split_label for row in selection.series] == ["kernel=LUNG", "kernel=STANDARD"]
    assert [row.rank for row in selection.selections] == [2, 1]
