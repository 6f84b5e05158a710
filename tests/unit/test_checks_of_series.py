"""The named checks: what each excludes, with which reason and which measured value."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from instances import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    broken_file,
    make_instance,
    make_sagittal,
    make_stack,
    make_study,
)

from tasks.facts import Check, StudyFacts
from tasks.instance import FramePlane, Instance
from tasks.profile import LENIENT, STRICT, Cohort, Profile
from tasks.series import group_series
from tasks.verdict import Verdict, judge_stack

ADULT = StudyFacts(frozenset({"P1"}), 1, None, 70)


def verdict_of(
    instances: list[Instance], profile: Profile = LENIENT, study: StudyFacts = ADULT, **study_values: object
) -> Verdict:
    """Verdict on the largest stack."""
    stacks = group_series(make_study(instances, **study_values))  # type: ignore[arg-type]
    main = max(stacks, key=lambda stack: len(stack.slices))
    return judge_stack(main, study, profile=profile, cohort=Cohort())


def reason_of(instances: list[Instance], profile: Profile = LENIENT, **study_values: object) -> str | None:
    failed = verdict_of(instances, profile, **study_values).failed  # type: ignore[arg-type]
    return failed.reason if failed else None


def check_named(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def test_a_plain_stack_passes_both_profiles() -> None:
    for profile in (LENIENT, STRICT):
        verdict = verdict_of(make_stack(60), profile)
        assert verdict.is_eligible
        assert verdict.outcome == "eligible"
        assert verdict.message is None
        assert verdict.flags == ()


def test_checks_are_json_with_measured_value_limit_and_unit() -> None:
    found = {c["check"]: c for c in json.loads(verdict_of(make_stack(60)).checks_json)}
    assert found["coverage"] == {
        "check": "coverage", "passed": True, "measured": 177.0, "limit": 60.0, "unit": "mm"
    }  # fmt: skip
    assert found["gap"]["limit"] == 4.5
    assert found["gantry_tilt"]["unit"] == "deg"


def test_all_checks_are_recorded_after_the_first_failure() -> None:
    verdict = verdict_of(make_stack(60, modality="MR", slope=0.0))
    assert [c.reason for c in verdict.checks if not c.is_passed] == ["not_ct", "bad_rescale"]
    assert verdict.outcome == "excluded"


# --- what kind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"modality": "MR"}, "not_ct"),
        ({"modality": None}, "not_ct"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "sop_class"),
        ({"sop_class_uid": None}, "sop_class:absent"),
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "localizer"),
        ({"image_type": "DERIVED\\SECONDARY\\OTHER\\CT_SOM5 PROT"}, "image_type"),
        ({"image_type": "DERIVED\\SECONDARY\\SCREEN SAVE"}, "image_type"),
        ({"image_type": "DERIVED\\SECONDARY\\DOSE_INFO"}, "image_type"),
        ({"series_description": "Dose Report"}, "image_type"),
        ({"image_type": "DERIVED\\SECONDARY\\REFORMATTED\\MIP"}, "mip"),
        ({"image_type": "DERIVED\\PRIMARY\\VOLUME\\MAXIMUM"}, "mip"),
        ({"image_type": "DERIVED\\SECONDARY\\AXIAL\\MINIP"}, "mip"),
        ({"series_description": "10mm MIP ax"}, "mip"),
        ({"image_type": "DERIVED\\SECONDARY\\AXIAL\\CT_SOM5 MIP"}, "mip"),
        ({"image_type": "DERIVED\\SECONDARY\\PROJECTION IMAGE"}, "mip"),
        ({"series_description": "AxMIP 8.0"}, "mip"),
        ({"series_description": "CorMIP"}, "mip"),
    ],
)
def test_T22_objects_that_are_no_plain_images(values: dict[str, str], reason: str) -> None:
    assert reason_of(make_stack(60, **values)) == reason


@pytest.mark.parametrize(
    "values",
    [
        {"image_type": "DERIVED\\PRIMARY\\AXIAL\\MAT_SPECIFIC"},
        {"image_type": "DERIVED\\PRIMARY\\AXIAL\\EFF_ATOMIC_NUM"},
        {"image_type": "DERIVED\\PRIMARY\\AXIAL\\ELECTRON_DENSITY"},
        {"image_type": "DERIVED\\SECONDARY\\AXIAL\\CT_SOM7 VNC"},
        {"series_description": "Iodine(Water)"},
        {"series_description": "Iodine no Water"},
        {"series_description": "MD Water(Iodine)"},
        {"series_description": "Virtual Non-Calcium"},
        {"series_description": "VNC 3mm"},
        {"series_description": "Z Effective"},
        {"series_description": "Electron Density"},
        {"series_description": "CaSupp 25"},
        {"series_description": "IodineMap"},
        {"series_description": "AbdVNC 3.0"},
        {"series_description": "DE_Jodkarte"},
        {"rescale_type": "MGML"},
        {"rescale_type": "Z_EFF"},
    ],
)
def test_material_maps_are_excluded(values: dict[str, str]) -> None:
    assert reason_of(make_stack(60, **values)) == "material_map"


def test_iodine_as_contrast_is_no_map() -> None:
    assert reason_of(make_stack(60, series_description="ABD WITH IODINE CONTRAST")) is None


def test_monoenergetic_images_only_in_the_lenient_profile() -> None:
    stack = make_stack(60, series_description="MonoE 70keV")
    assert verdict_of(stack).flags == ("monoenergetic",)
    assert reason_of(stack) is None
    assert reason_of(stack, STRICT) == "material_map"


def test_perfusion_is_excluded() -> None:
    assert reason_of(make_stack(60, image_type="DERIVED\\PRIMARY\\PERFUSION\\RCBF")) == "image_type"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CTA Bone Removed", "bone_removed"),
        ("NO BONE", "bone_removed"),
        ("CTAC 3.75 WB", "attenuation_correction"),
        ("CT AC WB", "attenuation_correction"),
        ("CT 5.0 AC", "attenuation_correction"),
        ("RT PLANNING", "radiotherapy"),
        ("CT SIM PELVIS", "radiotherapy"),
        ("LIVER BIOPSY", "interventional"),
        ("CT-guided drainage", "interventional"),
        ("VERTEBROPLASTY L1", "interventional"),
        ("POST BIOPSY CONTROL", "interventional"),
    ],
)
def test_descriptions_that_exclude(text: str, reason: str) -> None:
    assert reason_of(make_stack(60, series_description=text)) == reason


@pytest.mark.parametrize(
    "text",
    [
        "LIVER VENOUS PHASE",
        "TAVI PLANNING",
        "Thorax 1.0 Br38",
        "BONE 1.25",
        "ARMS UP CHEST",
        "5.0 ABDOMEN",
        "SPINE",
        "L-SPINE W/O BONE 2.0",
        "AX WO BONE",
        "LSPINE POST VERTEBROPLASTY",
        "LUMBAR S/P KYPHOPLASTY",
        "LIVER ABLATION FOLLOW UP",
        "S/P ABLATION",
        "ABDOMEN BOLUS TRACKING",
    ],
)
def test_descriptions_that_do_not_exclude(text: str) -> None:
    assert reason_of(make_stack(60, series_description=text)) is None


@pytest.mark.parametrize("text", ["PreMonitoring", "SmartPrep", "BOLUS TRACKING"])
def test_a_few_images_named_for_contrast_timing_are_it(text: str) -> None:
    assert reason_of(make_stack(12, series_description=text)) == "bolus_timing"


def test_ct_of_a_pet_ct_is_flagged_not_excluded() -> None:
    """The name of the scanner or study says nothing about what its CT was made for."""
    assert verdict_of(make_stack(60, series_description="PET-CT SERIES")).flags == ("pet_ct",)
    assert verdict_of(make_stack(60, model_name="Biograph40_mCT")).flags == ("pet_ct",)


@pytest.mark.parametrize(
    ("body_part", "description", "reason"),
    [
        ("BRAIN", "STEREOTAXIS", "body_part"),
        ("KNEE", "3MM BONE", "body_part"),
        ("NECK", None, "body_part"),
        ("ABDOMEN", "LEFT KNEE", "body_part"),
        ("CSPINE", "SAG", "body_part"),
        ("HEAD", "CHEST 3MM", None),
        (None, "HEAD FIRST 3MM", None),
        (None, "NECK CHEST ABDOMEN", None),
        ("BREAST", "3MM", None),
        (None, None, None),
        ("颅脑", None, "body_part"),
        ("头", "胸部平扫", None),
        (None, "SKULL BASE TO MID THIGH", None),
        (None, "Vertex to Toes", None),
        (None, "SKULL BASE TO NECK", "body_part"),
    ],
)
def test_T33_body_part_only_when_clear(
    body_part: str | None, description: str | None, reason: str | None
) -> None:
    stack = make_stack(60, body_part_examined=body_part, series_description=description)
    assert reason_of(stack) == reason


def test_derived_axial_reformats_are_eligible_in_both_profiles() -> None:
    stack = make_stack(60, image_type="DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE")
    assert reason_of(stack) is None
    assert reason_of(stack, STRICT) is None


def test_unknown_derivation_only_in_the_lenient_profile() -> None:
    for image_type in ("DERIVED\\SECONDARY", None):
        assert reason_of(make_stack(60, image_type=image_type)) is None
        assert reason_of(make_stack(60, image_type=image_type), STRICT) == "image_type"


def test_curved_reformats_are_excluded() -> None:
    assert reason_of(make_sagittal(25, image_type="DERIVED\\SECONDARY\\CPR")) == "image_type"


def test_reformats_that_siemens_calls_other_are_eligible() -> None:
    image_type = "DERIVED\\SECONDARY\\OTHER\\CSA MPR\\CSAPARALLEL\\AXIAL\\CT_SOM5 SEQ"
    assert reason_of(make_sagittal(25, image_type=image_type)) is None


def test_ct_of_a_treatment_machine_is_told_by_its_model() -> None:
    assert reason_of(make_stack(60, model_name="On-Board Imager")) == "radiotherapy"


# --- place --------------------------------------------------------------------------------------------------


def test_sagittal_reformats_are_eligible_coronal_are_not() -> None:
    assert reason_of(make_sagittal(25)) is None
    assert reason_of(make_sagittal(25, orientation=CORONAL)) == "plane"


def test_one_sagittal_image_is_eligible_in_the_lenient_profile() -> None:
    one = make_sagittal(1)
    assert verdict_of(one).flags == ("few_slices",)
    assert reason_of(one) is None
    assert reason_of(one, STRICT) == "too_few"


def test_T20_position_or_orientation_absent() -> None:
    assert reason_of(make_stack(60, position_mm=None)) == "no_geometry"
    assert reason_of(make_stack(60, orientation=None)) == "no_geometry"
    assert reason_of(make_stack(60, orientation=(0.0,) * 6)) == "no_geometry"


def test_T21_pixel_spacing_absent_or_zero() -> None:
    for spacing in (None, (0.0, 0.0), (math.inf, 0.8)):
        assert reason_of(make_stack(60, pixel_spacing_mm=spacing)) == "no_spacing"


def leaning(n: int, degrees: float) -> list[Instance]:
    """A tilted gantry: slices lean about x, the table moves along z. The tag says nothing."""
    angle = math.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, math.cos(angle), math.sin(angle))
    return make_stack(n, orientation=orientation, gantry_tilt_deg=None)


def test_T18_moderate_tilt_is_accepted_and_flagged() -> None:
    verdict = verdict_of(leaning(60, 16.5))
    assert verdict.is_eligible
    assert verdict.flags == ("tilt_resampled",)
    assert check_named(verdict, "gantry_tilt").measured == 16.5


def test_T18_large_tilt_is_excluded() -> None:
    verdict = verdict_of(leaning(60, 35.0))
    assert verdict.failed is not None
    assert verdict.failed.reason == "gantry_tilt"
    assert verdict.message == "the gantry is tilted by 35.0 degrees"


@pytest.mark.parametrize("n", [1, 2])
def test_T18_tilted_stack_with_fewer_than_three_slices(n: int) -> None:
    assert reason_of(leaning(n, 20.0)) == "too_few"


def test_T18_tilt_tag_alone_means_nothing() -> None:
    assert verdict_of(make_stack(60, gantry_tilt_deg=25.0)).flags == ()


# --- pixels -------------------------------------------------------------------------------------------------


def test_T24_rescale_absent_zero_nan() -> None:
    assert reason_of(make_stack(60, slope=None)) == "no_rescale"
    assert reason_of(make_stack(60, intercept=None)) == "no_rescale"
    for slope in (0.0, math.nan, -1.0, math.inf):
        verdict = verdict_of(make_stack(60, slope=slope))
        assert verdict.failed is not None
        assert verdict.failed.reason == "bad_rescale"
        assert verdict.outcome == "quarantined"
        assert json.loads(verdict.checks_json)


def test_T24_one_slice_without_rescale_is_enough() -> None:
    stack = make_stack(60)
    stack[30] = dataclasses.replace(stack[30], slope=None)
    assert reason_of(stack) == "no_rescale"


def test_T24_slopes_may_differ_between_slices() -> None:
    stack = [dataclasses.replace(i, slope=1.0 + 0.01 * n) for n, i in enumerate(make_stack(60))]
    assert reason_of(stack) is None


@pytest.mark.parametrize("unit", ["HU", "hu", None, "", "Houndsfield Unit", "HOUNSFIELD UNITS"])
def test_names_of_hounsfield_units(unit: str | None) -> None:
    assert reason_of(make_stack(60, rescale_type=unit)) is None


def test_other_units_are_excluded() -> None:
    assert reason_of(make_stack(60, rescale_type="US")) == "rescale_type"


@pytest.mark.parametrize(
    "values",
    [
        {"photometric": "MONOCHROME1"},
        {"photometric": "RGB", "samples_per_pixel": 3},
        {"photometric": "PALETTE COLOR"},
    ],
)
def test_T27_photometric_interpretation(values: dict[str, object]) -> None:
    verdict = verdict_of(make_stack(60, **values))
    assert verdict.failed is not None
    assert verdict.failed.reason == "photometric"
    assert verdict.outcome == "quarantined"


def test_bits_of_ct() -> None:
    assert reason_of(make_stack(60, bits_stored=12, high_bit=11)) is None
    assert reason_of(make_stack(60, bits_stored=12, high_bit=15)) is None  # odd, but readable
    assert reason_of(make_stack(60, bits_allocated=8, bits_stored=8, high_bit=7)) == "bits"
    assert reason_of(make_stack(60, bits_stored=16, high_bit=11)) == "bits"


def test_T28_no_decoder_names_the_transfer_syntax() -> None:
    stack = make_stack(60, transfer_syntax_uid="1.2.840.10008.1.2.4.100")  # MPEG2
    assert reason_of(stack) == "no_decoder:1.2.840.10008.1.2.4.100"


def test_T30_lossy_is_a_flag() -> None:
    assert verdict_of(make_stack(60, is_lossy=True)).flags == ("lossy",)
    assert "lossy" in verdict_of(make_stack(60, transfer_syntax_uid="1.2.840.10008.1.2.4.51")).flags


# --- whole --------------------------------------------------------------------------------------------------


def test_T12_conflicting_instances_quarantine_the_series() -> None:
    verdict = verdict_of(make_stack(60), conflicts=frozenset({"1.2.3.1.7"}))
    assert verdict.failed is not None
    assert verdict.failed.reason == "dup_conflict"
    assert verdict.outcome == "quarantined"


def test_T13_missing_slices_with_count_and_range() -> None:
    stack = [i for n, i in enumerate(make_stack(60)) if n not in (29, 30)]
    verdict = verdict_of(stack)
    assert verdict.failed is not None
    assert verdict.failed.reason == "missing_slices"
    assert verdict.message == "a gap of 9.00 mm where 4.50 mm are allowed"
    missing = check_named(verdict, "missing")
    assert (missing.measured, missing.limit) == (2, "84.0..93.0")


def test_T13_slices_missing_near_an_end_are_cut_off_and_flagged() -> None:
    stack = [i for n, i in enumerate(make_stack(60)) if n not in (57, 58)]
    verdict = verdict_of(stack)
    assert verdict.is_eligible
    assert verdict.flags == ("slices_missing_outside:2@168.0..177.0",)
    assert verdict.run is not None
    assert len(verdict.run.slices) == 57
    assert reason_of(stack, STRICT) == "missing_slices"


def test_T13_gap_in_the_middle_is_never_stacked_as_complete() -> None:
    for missing in range(15, 45):
        stack = [i for n, i in enumerate(make_stack(60)) if n != missing]
        assert reason_of(stack) == "missing_slices"


def test_T04_broken_file_with_a_gap_quarantines() -> None:
    stack = [i for n, i in enumerate(make_stack(60)) if n != 30]
    verdict = verdict_of(stack, issues=[broken_file()])
    assert verdict.failed is not None
    assert verdict.failed.reason == "broken_instances"
    assert verdict.message == "1 of its files are broken"


def test_T04_broken_file_at_an_end_is_flagged() -> None:
    assert verdict_of(make_stack(60), issues=[broken_file()]).flags == ("slices_missing_outside:1",)
    assert reason_of(make_stack(60), STRICT, issues=[broken_file()]) == "broken_instances"


def test_T37_unreadable_file_leaves_the_series_failed() -> None:
    verdict = verdict_of(make_stack(60), issues=[broken_file(outcome="failed", reason="io")])
    assert verdict.outcome == "failed"


def test_T38_growing_file_leaves_the_series_pending() -> None:
    verdict = verdict_of(make_stack(60), issues=[broken_file(outcome="pending", reason="unstable")])
    assert verdict.outcome == "pending"


def test_only_broken_files_quarantine_the_series() -> None:
    verdict = verdict_of([], issues=[broken_file(1), broken_file(2)])
    assert verdict.failed is not None
    assert verdict.failed.reason == "broken_instances"
    assert verdict.message == "2 of its files are broken"


def test_T15_repeats_that_nothing_tells_apart_are_mixed() -> None:
    verdict = verdict_of([*make_stack(60), *make_stack(60, start=60)])
    assert verdict.failed is not None
    assert verdict.failed.reason == "mixed"
    assert verdict.outcome == "quarantined"


def test_images_of_one_place_are_bolus_timing() -> None:
    assert reason_of(make_stack(20, position_mm=(0.0, 0.0, 5.0))) == "bolus_timing"


def test_T16_overlapping_slices_are_accepted() -> None:
    assert reason_of(make_stack(120, spacing_mm=1.5, slice_thickness_mm=3.0)) is None


def test_T17_two_spacings_in_one_stack() -> None:
    heights = [*range(0, 60), *range(60, 200, 5)]
    stack = [
        make_instance(n, slice_thickness_mm=None, position_mm=(0.0, 0.0, float(z)))
        for n, z in enumerate(heights)
    ]
    verdict = verdict_of(stack)
    assert verdict.failed is not None
    assert verdict.failed.reason == "spacing_inconsistent"
    assert verdict.message == "slice distances vary by 4.00 mm"


def test_T17_two_thicknesses_are_two_stacks() -> None:
    thin = make_stack(80, spacing_mm=1.0, slice_thickness_mm=1.0)
    thick = [
        make_instance(100 + n, slice_thickness_mm=5.0, position_mm=(-200.0, -200.0, 80.0 + 5.0 * n))
        for n in range(20)
    ]
    stacks = group_series(make_study([*thin, *thick]))
    verdicts = [judge_stack(s, ADULT, profile=LENIENT, cohort=Cohort()) for s in stacks]
    assert [v.is_eligible for v in verdicts] == [True, True]


def test_field_of_view_that_moves_is_excluded() -> None:
    stack = make_stack(60)
    stack[30] = dataclasses.replace(stack[30], position_mm=(-190.0, -200.0, 90.0))
    assert reason_of(stack) == "spacing_inconsistent"


# --- enough -------------------------------------------------------------------------------------------------


def test_too_short() -> None:
    verdict = verdict_of(make_stack(10))
    assert verdict.failed is not None
    assert verdict.failed.reason == "too_short"
    assert verdict.message == "the series covers 27 mm, 60 mm are needed"


def test_thickness_and_its_flag() -> None:
    thick = make_stack(99, spacing_mm=4.25, slice_thickness_mm=5.0)
    assert verdict_of(thick).flags == ("grade1_not_resolvable",)
    assert reason_of(thick) is None
    assert reason_of(thick, STRICT) == "too_thick"
    assert reason_of(make_stack(60, spacing_mm=7.0, slice_thickness_mm=7.0)) == "too_thick"


def test_distance_counts_where_slices_are_thin_but_far_apart() -> None:
    assert reason_of(make_stack(60, spacing_mm=10.0, slice_thickness_mm=1.0)) == "too_thick"


def test_T23_enhanced_object_equals_its_classic_twin() -> None:
    frames = tuple(
        FramePlane((-200.0, -200.0, 3.0 * i), AXIAL, (0.8, 0.8), 1.0, -1024.0, 3.0, None) for i in range(60)
    )
    twin = make_instance(
        0, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", n_frames=60, frames=frames, position_mm=None,
        orientation=None, pixel_spacing_mm=None, slope=None, intercept=None, slice_thickness_mm=None,
    )  # fmt: skip
    enhanced, classic = verdict_of([twin]), verdict_of(make_stack(60))
    assert enhanced.is_eligible
    assert enhanced.run is not None
    assert classic.run is not None
    assert enhanced.run.geometry == classic.run.geometry


def test_T23_a_material_map_of_an_enhanced_object_is_told_by_its_frames() -> None:
    frames = tuple(
        FramePlane((-200.0, -200.0, 3.0 * i), AXIAL, (0.8, 0.8), 1.0, 0.0, 3.0, None, "MGML")
        for i in range(60)
    )
    twin = make_instance(
        0, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", n_frames=60, frames=frames, position_mm=None,
        orientation=None, pixel_spacing_mm=None, slope=None, intercept=None, slice_thickness_mm=None,
        rescale_type=None,
    )  # fmt: skip
    assert reason_of([twin]) == "material_map"


def test_T23_frames_that_cannot_be_read_are_not_one_slice() -> None:
    assert reason_of([make_instance(0, n_frames=60, frames=None)]) == "unsupported_sop"
    enhanced = make_instance(0, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", n_frames=1, frames=None)
    assert reason_of([enhanced]) == "unsupported_sop"


def test_free_text_never_leaves_the_checks() -> None:
    """A description may hold a name; checks, flags and messages may not."""
    secret = "WANG XIAOMING"
    stack = make_stack(
        60,
        series_description=f"MIP {secret}",
        protocol_name=f"BIOPSY {secret}",
        study_description=secret,
        body_part_examined=f"KNEE {secret}",
        derivation_description=secret,
    )
    verdict = verdict_of(stack)
    assert "WANG" not in verdict.checks_json + str(verdict.message) + str(verdict.flags)


def test_sagittal_stack_of_a_knee_is_excluded() -> None:
    assert reason_of(make_sagittal(25, series_description="SAG KNEE", body_part_examined=None)) == "body_part"


def test_orientation_of_feet_first_prone_is_irrelevant() -> None:
    prone = make_stack(60, orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), patient_position="FFP")
    assert verdict_of(prone).is_eligible
    assert verdict_of(make_sagittal(25, orientation=tuple(-v for v in SAGITTAL))).is_eligible
