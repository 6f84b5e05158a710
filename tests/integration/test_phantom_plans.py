"""The plan of a simulated hospital: who comes again, whose names are double; no habit of files tells the label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import rankdata

from phantom.files.flaws import flawed
from phantom.files.habits import FileHabits
from phantom.files.names import TextHabit
from phantom.files.schedule import StudyPlan, draw_plans
from phantom.files.series_words import KINDS, describe_series, image_type, series_number
from phantom.files.study_tags import main_kind, series_tags, study_uid
from phantom.files.vendors import KERNEL_CLASSES, LINES

STUDIES = 600
MAX_AUC = 0.65


@pytest.fixture(scope="module")
def plans() -> list[StudyPlan]:
    return draw_plans(480, 20)


def _files(get: Callable[[FileHabits], object]) -> Callable[[StudyPlan], object]:
    return lambda plan: get(plan.files)


HABITS: dict[str, Callable[[StudyPlan], object]] = {
    "maker": lambda plan: plan.files.device.line.maker,
    "model": lambda plan: plan.files.device.line.model,
    "room": lambda plan: plan.files.device.room,
    "syntax": _files(lambda files: files.transfer_syntax),
    "position": _files(lambda files: files.position),
    "packaging": _files(lambda files: files.packaging),
    "kind": _files(lambda files: files.kind),
    "n_series": _files(lambda files: len(files.series)),
    "flaws": _files(lambda files: files.flaws),
    "charset": _files(lambda files: files.text.label),
    "name_form": _files(lambda files: files.name_form % 4),
    "bits": _files(lambda files: files.storage.bits_stored),
    "intercept": _files(lambda files: files.storage.intercept),
    "slope": _files(lambda files: files.storage.slope),
    "padding": _files(lambda files: files.storage.padding),
    "is_signed": _files(lambda files: files.storage.is_signed),
    "padding_shift": _files(lambda files: files.padding_shift == (0.0, 0.0)),
    "has_private": _files(lambda files: files.private_seed is None),
    **{f"has_{kind}": _files(lambda files, kind=kind: kind in files.series) for kind in KINDS},
    "language": lambda plan: plan.language,
    "sex": lambda plan: plan.patient.sex,
    "visit": lambda plan: plan.visit,
    "exam_role": lambda plan: plan.exam_role,
    "coverage": lambda plan: plan.coverage,
    "hour": lambda plan: plan.study_time[:2],
    "weekday": lambda plan: plan.study_date.weekday(),
    "kvp": lambda plan: plan.scan.kvp,
    "kernel": lambda plan: plan.scan.kernel,
    "thickness": lambda plan: plan.scan.thickness_mm,
    "contrast": lambda plan: plan.patient.has_contrast,
}


def _auc(score: np.ndarray, label: np.ndarray) -> float:
    ranks = rankdata(score)
    n = int(label.sum())
    auc = (ranks[label].sum() - n * (n + 1) / 2) / (n * (len(label) - n))
    return float(max(auc, 1 - auc))


def test_plans_are_enough_and_follow_from_the_seed(plans: list[StudyPlan]) -> None:
    assert len(plans) >= STUDIES
    assert draw_plans(6, 20) == plans[: len(draw_plans(6, 20))]
    assert [plan.number for plan in plans] == list(range(len(plans)))


@pytest.mark.parametrize("name", HABITS)
def test_no_habit_gives_the_label_away(plans: list[StudyPlan], name: str) -> None:
    """Each value scored by the share of fractures among the studies of the other half that have it."""
    values = [str(HABITS[name](plan)) for plan in plans]
    label = np.array([plan.planned_grade > 0 for plan in plans])
    half = np.array([int(plan.person.person_id) % 2 == 0 for plan in plans])
    score = np.empty(len(plans))
    for here in (half, ~half):
        share: dict[str, list[bool]] = defaultdict(list)
        for value, is_fractured, is_other in zip(values, label, ~here, strict=True):
            if is_other:
                share[value].append(bool(is_fractured))
        mean = float(label[~here].mean())
        score[here] = [
            np.mean(share[v]) if v in share else mean for v, h in zip(values, here, strict=True) if h
        ]
    assert 0.2 < label.mean() < 0.6
    assert np.mean([_auc(score[here], label[here]) for here in (half, ~half)]) <= MAX_AUC


def test_a_quarter_of_the_patients_comes_again_or_has_two_accessions(plans: list[StudyPlan]) -> None:
    per_person = Counter(plan.person.person_id for plan in plans)
    counts = Counter(per_person.values())
    assert set(counts) == {1, 2, 3, 4}
    assert 0.15 < 1 - counts[1] / len(per_person) < 0.3


def test_later_studies_are_of_the_same_patient_later(plans: list[StudyPlan]) -> None:
    later = [plan for plan in plans if plan.visit > 1]
    assert (
        len({plan.accession_number for plan in plans})
        == len({study_uid(plan) for plan in plans})
        == len(plans)
    )
    for plan in later:
        first = next(p for p in plans if p.person == plan.person)
        assert plan.earlier is not None
        assert plan.birth_date == first.birth_date
        assert plan.study_date > first.study_date
        assert abs(plan.patient.age_years - plan.age_years) < 1.2
        old = {body.level for body in plan.earlier.thoracolumbar if body.cause}
        assert old <= {body.level for body in plan.patient.thoracolumbar if body.cause}
    gained = [
        sum(bool(b.cause) for b in plan.patient.thoracolumbar)
        > sum(bool(b.cause) for b in plan.earlier.thoracolumbar)  # type: ignore[union-attr]
        for plan in later
    ]
    assert 0.08 < np.mean(gained) < 0.35


def test_one_exam_under_two_accessions(plans: list[StudyPlan]) -> None:
    exams = defaultdict(list)
    for plan in plans:
        exams[plan.exam].append(plan)
    pairs = [both for both in exams.values() if len(both) > 1]
    assert len(pairs) >= 10
    for one, two in pairs:
        assert {one.exam_role, two.exam_role} == {"silent", "saying"}
        assert max((one, two), key=lambda p: (p.planned_grade, p.exam_role == "saying")).exam_role == "saying"
        assert (one.person, one.scan, one.scan_seed, one.study_date) == (
            two.person,
            two.scan,
            two.scan_seed,
            two.study_date,
        )
        assert one.accession_number != two.accession_number
        assert (one.coverage, two.coverage) == ("chest", "abdomen-pelvis") or one.coverage == two.coverage


def test_double_names_and_double_numbers(plans: list[StudyPlan]) -> None:
    ids, people = defaultdict(set), defaultdict(set)
    for plan in plans:
        ids[plan.person.person_id].add(plan.patient_id)
        people[plan.person.name].add(plan.person.person_id)
    assert 0 < sum(len(numbers) == 2 for numbers in ids.values()) < 0.1 * len(ids)
    assert max(map(len, people.values())) > 1
    owners = defaultdict(set)
    for person, numbers in ids.items():
        for number in numbers:
            owners[number].add(person)
    assert all(len(each) == 1 for each in owners.values())


def test_a_small_hospital_already_holds_every_kind() -> None:
    small = draw_plans(24, 1)
    assert 26 <= len(small) <= 32
    many = draw_plans(64, 1)
    for name in ("maker", "syntax", "position", "packaging", "kind"):
        assert {HABITS[name](plan) for plan in small} == {HABITS[name](plan) for plan in many}, name
    assert {kind for plan in small for kind in plan.files.series} == set(KINDS)
    assert {flaw for plan in small for flaw in plan.files.flaws} >= {
        "no_age",
        "no_accession",
        "wrong_thickness",
    }


def test_every_maker_names_numbers_and_types_its_series() -> None:
    assert len({line.model for line in LINES}) >= 8
    for line in LINES:
        assert len({series_number(line, kind) for kind in KINDS}) == len(KINDS)
        for language in ("en", "zh"):
            texts = [
                describe_series(
                    line,
                    kind,
                    coverage="chest",
                    language=language,
                    spacing_mm=2.5,
                    kernel=line.kernels["soft"],
                )
                for kind in KINDS
            ]
            assert all(0 < len(text) <= 64 and "{" not in text for text in texts)
            assert language == "zh" or all(text.isascii() for text in texts)
        assert set(line.kernels) == set(KERNEL_CLASSES)
        assert all(0 < len(value) <= 16 for kind in KINDS for value in image_type(line, kind))


def test_flaws_change_tags_and_only_those_of_the_main_series_that_others_need() -> None:
    tags = {
        "ImageType": ["ORIGINAL"],
        "AccessionNumber": "1",
        "BodyPartExamined": "CHEST",
        "SliceThickness": "2.5",
        "PatientPosition": "HFS",
        "GantryDetectorTilt": "0",
    }
    flaws = (
        "no_image_type",
        "no_accession",
        "wrong_body_part",
        "wrong_thickness",
        "wrong_position",
        "wrong_tilt",
    )
    assert flawed(tags, flaws, is_main=True) == {
        "ImageType": None,
        "AccessionNumber": "",
        "BodyPartExamined": "ABDOMEN",
        "SliceThickness": "1.25",
        "PatientPosition": "FFS",
        "GantryDetectorTilt": "-12.5",
    }
    assert flawed(tags, ("no_image_type",), is_main=False) == tags


def test_tags_say_what_the_scan_was(plans: list[StudyPlan]) -> None:
    for plan in plans[:200]:
        tags = series_tags(plan, main_kind(plan), spacing_mm=plan.scan.spacing_mm)
        if "no_kvp" not in plan.files.flaws:
            assert tags["KVP"] == str(plan.scan.kvp)
        if "no_kernel" not in plan.files.flaws:
            assert tags["ConvolutionKernel"] == plan.files.device.line.kernels[plan.scan.kernel]
        assert tags["PatientID"] == plan.patient_id


def test_latin_letters_without_accents_where_the_set_has_none() -> None:
    for letter, plain in zip("áäåèéíñóöøúüÅÈÉÑÖØÜß", "aaaeeinooouuAEENOOUs", strict=True):
        assert TextHabit("ISO_IR 6").written(letter) == plain
