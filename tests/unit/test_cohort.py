"""Who is in a cohort, who is not and why; the split by patient, and what happens when it leaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from flows.cohort import PUBLISHED_SHARES, SHARES, Cohort, CohortOrder, draw_cohort, split_cohort
from flows.evaluation_truth import origin_of_split
from flows.label_file import Label, missing_columns, read_labels
from flows.labels import FROM_FILE, FROM_REPORTS, ReportRule, labels_from_reports, report_label
from flows.start_split import StartSplit
from models.config import TILES_VIEW, ModelConfig
from models.heads import FractureNet
from models.loading import load_model, save_model
from models.lstm import ScanLstm
from models.registry import MANIFEST_FILE, ModelError
from models.split_file import (
    MANIFEST_KEY,
    SPLIT_FACTS_FILE,
    SPLIT_FILE,
    SplitError,
    SplitFacts,
    SplitRow,
    check_split,
    has_split,
    read_split,
    write_split,
)

FACTS = SplitFacts(1, SHARES, "key", "label file", True, {"no_label": 2})


def row(name: str, patient: str | None = None, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "study_key": f"study-{name}",
        "patient_key": f"patient-{patient or name}",
        "study_date": "2020-01-01",
        "age_years": 70,
        "sex": "F",
        "outcome": "scored",
        "reason": None,
        "series_key": f"series-{name}",
        "series_revision": "r1",
        "has_slab": True,
        "flags": [],
    }
    return values | changes


def drawn(rows: list[dict[str, Any]], labels: Mapping[str, Label], **order: Any) -> Cohort:
    cohort = draw_cohort(rows, labels, CohortOrder(**order), lambda series, _: series != "series-lost")
    assert cohort.n_found == len(rows) == len(cohort.scans) + sum(cohort.left_out.values())
    return cohort


def test_everyone_left_out_is_counted_by_reason() -> None:
    case, control = Label(True), Label(False)
    rows = [
        row("case"),
        row("control", age_years=72),
        row("spare", age_years=75),
        row("man", sex="M"),
        row("metal", flags=["pet_ct", "qc_metal"]),
        row("moved", flags=["qc_torn:3"]),
        row("ageless", age_years=None),
        row("sexless", sex="O"),
        row("nobody", patient_key=None),
        row("thin", outcome="excluded", reason="too_thick"),
        row("foreign", outcome="excluded", reason="not_evaluable:domain", sex="M", age_years=50),
        row("unkept", has_slab=False),
        row("lost"),
        row("unlabelled"),
        row("doubted"),
        row("case-later", patient="case", study_date="2019-01-01"),
    ]
    labels = {one["study_key"]: case for one in rows} | {
        "study-control": control,
        "study-spare": control,
        "study-case-later": control,
        "study-doubted": Label(None, reason="report_possible"),
    }
    del labels["study-unlabelled"]
    cohort = drawn(rows, labels)
    assert {scan.study_key for scan in cohort.scans} == {"study-case", "study-control"}
    assert {reason: n for reason, n in cohort.left_out.items() if n} == {
        "control_not_drawn": 1,
        "case_without_control": 2,
        "marked_metal": 1,
        "marked_motion": 1,
        "incomplete:age": 1,
        "incomplete:sex": 1,
        "incomplete:patient": 1,
        "not_scored:excluded": 1,
        "slab_not_kept": 1,
        "slab_file_missing": 1,
        "no_label": 1,
        "report_possible": 1,
        "sound_scan_of_a_case": 1,
    }
    kept = drawn(rows, labels, is_unmatched_kept=True)
    assert "study-man" in {scan.study_key for scan in kept.scans}
    assert len(drawn(rows, labels, is_matched=False).scans) == 7  # age and sex are not asked then


def many(n_patients: int = 200) -> Cohort:
    chance = Random(4)
    rows, labels = [], {}
    for number in range(n_patients):
        for visit in range(chance.choice([1, 1, 2, 3])):
            one = row(
                f"{number}-{visit}",
                patient=str(number),
                age_years=chance.randint(50, 90),
                sex="FM"[number % 2],
            )
            rows.append(one)
            labels[one["study_key"]] = Label(number % 3 == 0)
    return drawn(rows, labels, caliper_years=9)


def test_a_case_whose_scan_cannot_be_used_gives_no_control() -> None:
    rows = [
        row("metal", "p2", flags=["qc_metal"]),
        row("sound of p2", "p2"),
        row("quarantined", "p3", outcome="quarantined", has_slab=False),
        row("sound of p3", "p3"),
        row("case"),
        row("control"),
    ]
    is_sound = {"study-sound of p2", "study-sound of p3", "study-control"}
    labels = {each["study_key"]: Label(each["study_key"] not in is_sound) for each in rows}
    cohort = drawn(rows, labels)
    assert [scan.study_key for scan in cohort.scans] == ["study-case", "study-control"]
    assert cohort.left_out["sound_scan_of_a_case"] == 2


@pytest.mark.parametrize("shares", [SHARES, PUBLISHED_SHARES])
def test_no_patient_is_in_two_parts_and_each_part_has_its_share_of_both(shares: dict[str, float]) -> None:
    cohort = many()
    parts = split_cohort(cohort, shares, seed=2)
    check_split([scan.row(name) for name, scans in parts.items() for scan in scans])
    assert sum(map(len, parts.values())) == len(cohort.scans)
    for name, share in shares.items():
        for is_case in (True, False):
            n = sum(scan.is_case is is_case for scan in parts[name])
            of = sum(scan.is_case is is_case for scan in cohort.scans)
            assert n / of == pytest.approx(share, abs=0.1)
    assert parts == split_cohort(cohort, shares, seed=2)
    assert parts != split_cohort(cohort, shares, seed=3)


def test_patients_whom_the_start_knows_keep_their_part() -> None:
    cohort = many()
    patients = sorted({scan.patient_key for scan in cohort.scans})
    part_of = {patient: "test" if n % 3 else "training" for n, patient in enumerate(patients[:60])}
    parts = split_cohort(cohort, SHARES, 2, {**part_of, "patient-elsewhere": "training"})
    assert {name: len(scans) > 0 for name, scans in parts.items()} == dict.fromkeys(SHARES, True)
    assert sum(map(len, parts.values())) == len(cohort.scans)
    for name, scans in parts.items():
        assert {part_of.get(scan.patient_key, name) for scan in scans} == {name}
    without_that_part = split_cohort(cohort, PUBLISHED_SHARES, 2, dict.fromkeys(patients[:60], "calibration"))
    assert set(without_that_part) == set(PUBLISHED_SHARES)


def test_the_start_knows_patients_by_their_studies_too() -> None:
    """A corrected PatientID gives another pseudonym; one who was two patients to the start goes by what saw most."""
    learned = [
        SplitRow("training", "old", "study-1", "q1", "r1", 1),
        SplitRow("test", "other", "study-2", "q2", "r1", 0),
        SplitRow("calibration", "same", "study-3", "q3", "r1", 0),
        SplitRow("earlier", "long-ago", "study-4", "q4", "r1", 0),
    ]
    start = StartSplit(tuple(learned))
    scans = [
        replace(many().scans[0], study_key=study, patient_key=patient)
        for study, patient in (
            ("study-1", "new"),
            ("study-2", "new"),
            ("study-9", "same"),
            ("study-8", "nobody"),
        )
    ]
    assert start.part_of(scans) == {"new": "training", "same": "calibration"}
    rows = [scan.row(start.part_of(scans).get(scan.patient_key, "test")) for scan in scans]
    check_split(rows + start.earlier(rows))
    assert [(row.split, row.study_key) for row in start.earlier(rows)] == [("earlier", "study-4")]


def test_a_patient_in_two_parts_fails() -> None:
    one = SplitRow("training", "p1", "s1", "q1", "r1", 1)
    with pytest.raises(SplitError, match="1 patients are in two parts"):
        check_split([one, replace(one, split="test", study_key="s2")])
    with pytest.raises(SplitError, match="stands twice"):
        check_split([one, one])
    check_split([one, replace(one, study_key="s2")])


def test_a_split_is_bound_to_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(model_id="m", view=TILES_VIEW)
    save_model(tmp_path, FractureNet(config), ScanLstm(config), config, "# m\n")
    rows = [scan.row(name) for name, scans in split_cohort(many(), SHARES, 1).items() for scan in scans]
    digest = write_split(tmp_path, rows, FACTS)
    found = read_split(tmp_path)
    assert (found.facts, found.digest) == (FACTS, digest)
    assert sorted(found.rows, key=str) == sorted(rows, key=str)
    assert load_model(tmp_path).config == config  # the manifest still fits the weights
    text = (tmp_path / SPLIT_FILE).read_text()
    (tmp_path / SPLIT_FILE).write_text(text.replace("test,", "training,", 1))
    with pytest.raises(SplitError, match="altered"):
        read_split(tmp_path)
    (tmp_path / SPLIT_FILE).write_text(text)
    (tmp_path / SPLIT_FILE).rename(tmp_path / "away.csv")
    assert has_split(tmp_path)  # lost, not absent
    with pytest.raises(ModelError, match="cannot be read"):
        read_split(tmp_path)
    (tmp_path / "away.csv").rename(tmp_path / SPLIT_FILE)
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    manifest.pop("split_sha256")
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(SplitError, match="altered"):
        read_split(tmp_path)


def test_a_split_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It did not keep where its labels came from; words of reports say so all the same."""
    torch.manual_seed(0)
    config = ModelConfig(model_id="m", view=TILES_VIEW)
    save_model(tmp_path, FractureNet(config), ScanLstm(config), config, "# m\n")
    write_split(
        tmp_path, [SplitRow("test", "p1", "s1", "q1", "r1", 1)], replace(FACTS, label_origin=FROM_FILE)
    )
    table, facts = (tmp_path / SPLIT_FILE).read_bytes(), json.loads((tmp_path / SPLIT_FACTS_FILE).read_text())
    assert facts.pop("label_origin") == FROM_FILE
    earlier = json.dumps(facts).encode()
    (tmp_path / SPLIT_FACTS_FILE).write_bytes(earlier)
    both = hashlib.sha256(table).digest() + hashlib.sha256(earlier).digest()
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    (tmp_path / MANIFEST_FILE).write_text(
        json.dumps(manifest | {MANIFEST_KEY: hashlib.sha256(both).hexdigest()})
    )
    found = read_split(tmp_path).facts
    assert found == FACTS
    assert origin_of_split(found) == ""
    said = labels_from_reports(
        [
            {
                "study_key": "s1",
                "statement": "present",
                "cause": None,
                "treatment": None,
                "wording": "fracture",
            }
        ],
        ReportRule(),
    ).source
    assert origin_of_split(replace(found, label_source=said)) == FROM_REPORTS


def test_reports_in_doubt_are_left_out_unless_told_otherwise() -> None:
    def told(statement: str | None, rule: ReportRule | None = None, **changes: Any) -> Label:
        stated = {"statement": statement, "wording": "fracture", "cause": None, "treatment": None} | changes
        return report_label(stated, rule or ReportRule())

    assert told("present").is_case is True
    assert told("absent").is_case is False
    assert told("unmentioned", wording="none").is_case is False
    assert told("possible").reason == "report_possible"
    assert told("present", wording="ambiguous").reason == "report_ambiguous"
    assert told("present", cause="traumatic").reason == "other_cause"
    assert told("present", treatment="cement").reason == "other_cause"
    assert told(None).reason == told("unread").reason == "no_report"
    assert told("possible", ReportRule(possible="case")).is_case is True
    assert told("present", ReportRule(ambiguous="control"), wording="ambiguous").is_case is False


def test_label_files_are_read_row_by_row() -> None:
    rows = [
        {"study_key": "a", "label": "yes", "grade": "2", "height_loss": "0.31"},
        {"study_key": "", "accession_number": " A1 ", "has_fracture": "0", "has_traumatic": "1"},
        {"accession_number": "A2", "grade": "0"},
        {"accession_number": "A3", "grade": ""},
        {"accession_number": "A4", "label": "1", "not_evaluable": "yes"},
        {"accession_number": "A5", "label": "0", "grade": "1"},
        {"accession_number": "A6", "label": "maybe"},
        {"accession_number": "", "label": "1"},
    ]
    read = read_labels(rows)
    assert [(one.column, one.name) for one in read.rows[:2]] == [
        ("study_key", "a"),
        ("accession_number", "A1"),
    ]
    assert [one.label for one in read.rows] == [
        Label(True, 2, 0.31),
        Label(None, reason="other_cause"),
        Label(False, 0),
        Label(None, reason="no_label"),
        Label(None, reason="reader_not_evaluable"),
    ]
    assert [error.split(":")[0] for error in read.errors] == ["row 7", "row 8", "row 9"]
    # As data frames and spreadsheets write a column with gaps; and what nobody can read is an error, never a no.
    gaps: dict[str, Any] = {
        "study_key": "a",
        "grade": float("nan"),
        "has_traumatic": "1.0",
        "not_evaluable": "nan",
    }
    read = read_labels(
        [{**gaps, "label": 0.0}, {**gaps, "label": 1.0, "grade": 2.0}, {**gaps, "label": float("nan")}]
    )
    assert [one.label for one in read.rows] == [
        Label(None, reason="other_cause"),
        Label(True, 2),
        Label(None, reason="no_label"),
    ]
    for column in ("not_evaluable", "has_cement", "has_traumatic", "has_pathological", "label"):
        (error,) = read_labels([{"study_key": "a", "label": 0, column: "x"}]).errors
        assert error.startswith(f"row 2: {column} is none of")
    # A surname under `family` makes no patient a simulated one; the truth of `ovf demo` does.
    for family, grade, is_simulated in (("Base", "1", False), ("base", "", False), ("base", "1", True)):
        row = {"study_key": "a", "label": "1", "family": family, "worst_grade": grade}
        assert read_labels([row]).is_simulated is is_simulated
    # Two columns that say the same thing must say it alike.
    for pair in ({"label": "1", "has_fracture": "0"}, {"grade": "0", "worst_grade": "3"}):
        (error,) = read_labels([{"study_key": "a", **pair}]).errors
        assert "contradict each other" in error
    assert missing_columns(["accession_number", "text"])
    assert missing_columns(["label"])
    assert missing_columns(["study_key", "label"]) is None
