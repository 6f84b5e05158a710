"""Selection on real headers: what each object of the samples beside the project gets, in the default profile."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

from tasks.header import read_instance
from tasks.identity import Pseudonymizer
from tasks.instance import FileIssue, FileRef, Instance, StudyInstances
from tasks.profile import DEFAULT_PROFILE, STRICT, Cohort, Profile
from tasks.select import StudySelection, select_study
from tasks.series import group_series
from warehouse.records import SelectionRecord

KEYS = Pseudonymizer(b"k" * 32, "main")


def read(path: Path) -> Instance | FileIssue:
    with path.open("rb") as stream:
        return read_instance(stream, FileRef(os.fsencode(path), None, path.stat().st_size, 1))


def selections(folder: Path, profile: Profile = DEFAULT_PROFILE) -> list[StudySelection]:
    """Every study under a folder; copies with equal UID are dropped here as the index would."""
    studies: dict[str, dict[str, Instance]] = defaultdict(dict)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found = read(path)
        if isinstance(found, Instance):
            studies[found.study_instance_uid][found.sop_instance_uid] = found
    return [select(uid, tuple(found.values()), profile) for uid, found in sorted(studies.items())]


def select(uid: str, instances: tuple[Instance, ...], profile: Profile) -> StudySelection:
    study = StudyInstances(uid, instances, len(instances), 0, frozenset(), ())
    return select_study(
        group_series(study),
        study=study,
        keys=KEYS,
        profile=profile,
        cohort=Cohort(),
        archive_key="archive",
        site="main",
        run_id="run",
    )


def rows(found: list[StudySelection]) -> list[SelectionRecord]:
    return [row for selection in found for row in selection.selections]


def test_thick_ct_of_a_pet_ct_is_eligible_by_default(real_data: Path) -> None:
    folder = real_data / "ct" / "acrin_flt_ap_4p25mm"
    (row,) = rows(selections(folder))
    assert (row.outcome, row.flags) == ("eligible", ["grade1_not_resolvable", "pet_ct"])
    (strict,) = rows(selections(folder, STRICT))
    assert strict.reason == "too_thick"


def test_feet_first_chest_is_eligible_in_both_profiles(real_data: Path) -> None:
    folder = real_data / "ct" / "cmb_crc_chest_2p5mm"
    for profile in (DEFAULT_PROFILE, STRICT):
        (selection,) = selections(folder, profile)
        assert rows([selection])[0].outcome == "eligible"
        assert len(selection.plans[0].slices) == 100


def test_every_native_sagittal_image_is_eligible_and_nothing_else(real_data: Path) -> None:
    found = selections(real_data / "sagittal_nysbu")
    planes = {row.series_key: row.plane for selection in found for row in selection.series}
    assert len(found) == 10
    for row in rows(found):
        expected = {"sagittal": None, "coronal": "plane", "axial": "too_few"}[str(planes[row.series_key])]
        assert row.reason == expected


def test_T18_T22_head_with_tilt_localizer_and_captures(real_data: Path) -> None:
    found = selections(real_data / "edge" / "dcm_qa_ct")
    by_reason: dict[str | None, int] = defaultdict(int)
    for row in rows(found):
        by_reason[row.reason] += 1
    assert by_reason == {"localizer": 1, "sop_class": 4, "body_part": 1}
    tilted = next(row for row in rows(found) if row.reason == "body_part")
    assert "tilt_resampled" in tilted.flags
    assert '{"check":"gantry_tilt","passed":true,"measured":16.5,' in tilted.checks


@pytest.mark.parametrize(("folder", "reason"), [("dcmqi", "rescale_type"), ("pydicom-data", "body_part")])
def test_odd_objects_get_a_reason(real_data: Path, folder: str, reason: str) -> None:
    found = rows(selections(real_data / "edge" / folder))
    assert found
    assert all(row.reason for row in found)
    assert reason in {row.reason for row in found}
