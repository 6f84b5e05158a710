"""`ovf audit sample`, `audit readings`, `audit --out` on a real warehouse of a generated hospital."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import stores
from audit_rows import Hospital, add_report, filled_store, hospital_batch, read_by_two

from flows.cli import run
from warehouse.checks import run_checks
from warehouse.store import Store

READS = 320
HOSPITAL = Hospital(n_patients=1000, prevalence=0.25)


@dataclass(frozen=True)
class Audited:
    folder: Path
    store: Store
    truth: dict[str, bool]

    @property
    def warehouse(self) -> list[str]:
        return ["--warehouse", str(self.store.paths.warehouse)]

    def ovf(self, *words: str) -> int:
        return run([*words, *self.warehouse])

    def studies(self) -> dict[str, str]:
        with self.store.read_live() as connection:
            return dict(connection.execute("SELECT case_id, study_key FROM audit_unit").fetchall())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """A hospital that was swept and whose reports were imported; nothing drawn yet. Copied, never changed."""
    folder = tmp_path_factory.mktemp("swept")
    batch, truth = hospital_batch(HOSPITAL, seed=5)
    return Audited(folder, filled_store(folder, batch), truth)


def copied(audited: Audited, folder: Path) -> Audited:
    return Audited(folder, stores.copied(audited.store, folder), audited.truth)


@pytest.fixture(scope="module")
def audited(swept: Audited, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """The same, drawn and read by two readers. Only looked at."""
    here = copied(swept, tmp_path_factory.mktemp("audited"))
    listed, filled = here.folder / "list.csv", here.folder / "filled.csv"
    assert here.ovf("audit", "sample", "--reads", str(READS), "--seed", "7", "--out", str(listed)) == 0
    read_by_two(listed, filled, here.truth, here.studies())
    assert here.ovf("audit", "readings", str(filled)) == 0
    assert here.ovf("audit", "--out", str(here.folder / "out"), "--show-small-cells") == 0
    return here


def test_without_readings_no_prevalence_is_told(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--accuracy", "69/81,46/48", "--accuracy-set", "a set that people read"]
    assert swept.ovf("audit", "--out", str(tmp_path / "out"), *options) == 0
    told = capsys.readouterr().out
    assert "prevalence: not given" in told
    assert "simulated, not validated on patients" in told
    numbers = rows_of(tmp_path / "out" / "numbers.csv")
    for quantity in ("prevalence", "corrected prevalence", "missed-diagnosis rate"):
        found = [row for row in numbers if row["quantity"] == quantity]
        assert found
        assert all((row["status"], row["value"]) == ("refused", "") for row in found), quantity
        assert all(row["note"] for row in found)
    flagged = next(row for row in numbers if row["quantity"] == "flagged share" and row["category"] == "all")
    assert 0 < float(flagged["low"]) < float(flagged["value"]) < float(flagged["high"]) < 1


def test_counts_of_phantoms_correct_no_prevalence(swept: Audited, tmp_path: Path) -> None:
    options = ["--accuracy", "69/81,46/48", "--accuracy-set", "phantoms", "--accuracy-source", "phantom"]
    assert swept.ovf("audit", "--out", str(tmp_path / "out"), *options) == 2
    assert not (tmp_path / "out").exists()


def test_wrong_accuracy_says_what_is_wrong(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for counts, source, why in (
        ("69/81,46/48", "external", "--accuracy-source is none of external_human_read"),
        ("90/81,46/48", "external_human_read", "90"),
        ("69,81", "external_human_read", "reads tp/cases,tn/healthy"),
    ):
        options = ["--accuracy", counts, "--accuracy-set", "a set", "--accuracy-source", source]
        assert swept.ovf("audit", "--out", str(tmp_path / "out"), *options) == 2
        assert why in " ".join(capsys.readouterr().err.split())


def test_the_list_is_blind_and_identities_come_only_when_asked(swept: Audited, tmp_path: Path) -> None:
    here = copied(swept, tmp_path / "w")
    blind, named = tmp_path / "blind.csv", tmp_path / "named.csv"
    sample = ["audit", "sample", "--reads", str(READS), "--seed", "7"]
    assert here.ovf(*sample, "--out", str(blind)) == 0
    assert here.ovf(*sample, "--out", str(named), "--identified") == 0
    listed = rows_of(blind)
    assert len(listed) == READS
    verdict = ["reader", "adjudication", "level", "grade", "endplate_depression", "cause", "not_evaluable"]
    assert list(listed[0]) == ["case_id", *verdict]
    assert all(not any(row[name] for name in verdict) for row in listed)
    assert list(rows_of(named)[0]) == ["case_id", "patient_id", "accession_numbers", "study_date", *verdict]
    assert [row["case_id"] for row in rows_of(named)] == [row["case_id"] for row in listed]
    with here.store.read_live() as connection:
        cells = [
            row[0] for row in connection.execute("SELECT cell FROM audit_unit ORDER BY position").fetchall()
        ]
    assert cells != sorted(cells)
    texts = blind.read_text() + named.read_text()
    assert "study-" not in texts
    assert blind.stat().st_mode & 0o077 == 0


def test_the_same_seed_draws_the_same_and_nothing_is_drawn_twice(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    for name in ("one", "two"):
        here = copied(swept, tmp_path / name)
        sample = ["audit", "sample", "--reads", str(READS), "--out", str(tmp_path / f"{name}.csv")]
        assert here.ovf(*sample, "--seed", "11") == 0
        drawn.append(here.studies())
    assert drawn[0] == drawn[1]
    assert here.ovf(*sample) == 0  # the list again
    assert here.studies() == drawn[1]
    capsys.readouterr()
    assert here.ovf("audit", "sample", "--reads", "300", "--out", str(tmp_path / "x.csv")) == 10
    assert "was drawn already" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
    assert here.ovf(*sample, "--seed", "12") == 10
    assert here.ovf(*sample, "--seed", "12", "--new") == 0
    both = here.studies()
    assert len(both) == 2 * READS
    again = {case.replace("A2", "A1"): study for case, study in both.items() if case.startswith("A2")}
    assert again != drawn[1]


def test_too_few_reads_say_so(swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = copied(swept, tmp_path / "w")
    assert here.ovf("audit", "sample", "--reads", "30", "--out", str(tmp_path / "x.csv")) == 10
    assert "need at least" in capsys.readouterr().err
    assert here.studies() == {}


def test_the_design_is_stored_and_checks_hold(audited: Audited) -> None:
    with audited.store.read_live() as connection:
        cells = connection.execute(
            "SELECT sum(n_units), sum(n_drawn), min(n_drawn) FROM audit_cell"
        ).fetchall()
        audit = connection.execute(
            "SELECT seed, n_units, n_drawn, length(frame_digest) FROM audit"
        ).fetchall()
        failed = [result.name for result in run_checks(connection) if not result.passed]
    assert audit == [(7, cells[0][0], READS, 64)]
    assert cells[0][1] == READS
    assert cells[0][2] > 0
    assert not [name for name in failed if "audit" in name]


def test_readings_go_round(audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = copied(audited, tmp_path / "w")
    filled = here.folder / "filled.csv"
    n_rows = len(rows_of(filled))
    assert here.ovf("audit", "readings", str(filled)) == 0
    assert f"0 new + 0 changed + {n_rows} known already" in capsys.readouterr().out
    changed = tmp_path / "changed.csv"
    lines = filled.read_text().splitlines()
    first = lines[1].split(",")
    grade = lines[0].split(",").index("grade")
    first[grade] = "3" if first[grade] == "0" else "0"
    changed.write_text("\n".join([lines[0], ",".join(first)]) + "\n")
    assert here.ovf("audit", "readings", str(changed)) == 2
    assert "row 2: this reader's verdict on the case is stored and differs" in capsys.readouterr().out
    assert here.ovf("audit", "readings", str(changed), "--replace") == 0
    assert "0 new + 1 changed + 0 known already" in capsys.readouterr().out


def test_one_wrong_row_and_nothing_is_stored(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = copied(swept, tmp_path / "w")
    listed, filled = tmp_path / "list.csv", tmp_path / "filled.csv"
    assert here.ovf("audit", "sample", "--reads", str(READS), "--seed", "7", "--out", str(listed)) == 0
    read_by_two(listed, filled, here.truth, here.studies())
    filled.write_text(filled.read_text() + "A1-9999,AB,,,2,,,\nA1-0001,XY,,S3,2,,,\n")
    n_rows = len(rows_of(filled))
    capsys.readouterr()
    assert here.ovf("audit", "readings", str(filled)) == 2
    told = capsys.readouterr().out
    assert f"row {n_rows}: case_id is none of the reading list" in told
    assert f"row {n_rows + 1}: level is none of" in told
    assert f"{n_rows} rows read, 2 with errors: nothing was stored" in told
    with here.store.read_live() as connection:
        assert connection.execute("SELECT count(*) FROM audit_reading").fetchall() == [(0,)]


def test_a_list_with_verdicts_is_not_overwritten(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = copied(swept, tmp_path / "w")
    listed, filled = tmp_path / "deep" / "list.csv", tmp_path / "filled.csv"
    sample = ["audit", "sample", "--reads", str(READS), "--out"]
    assert here.ovf(*sample, str(listed)) == 0  # its folder is made
    blank = listed.read_text()
    assert here.ovf(*sample, str(listed)) == 0
    assert listed.read_text() == blank
    read_by_two(listed, filled, here.truth, here.studies())
    verdicts = filled.read_text()
    capsys.readouterr()
    assert here.ovf(*sample, str(filled)) == 10
    assert "holds verdicts and is not overwritten" in capsys.readouterr().err
    assert filled.read_text() == verdicts


def test_a_target_that_cannot_be_written_draws_nothing(swept: Audited, tmp_path: Path) -> None:
    here = copied(swept, tmp_path / "w")
    (tmp_path / "file").write_text("in the way")
    assert here.ovf("audit", "sample", "--out", str(tmp_path / "file" / "list.csv")) == 10
    assert here.studies() == {}


def test_a_sample_drawn_beside_it_hides_no_readings(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = copied(audited, tmp_path / "w")
    assert here.ovf("audit", "sample", "--reads", "300", "--new", "--out", str(tmp_path / "second.csv")) == 0
    capsys.readouterr()
    assert here.ovf("audit", "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert "audit A2 has no readings yet: the numbers are of audit A1" in told
    assert "prevalence: not given" not in told
    filled = str(here.folder / "filled.csv")
    assert here.ovf("audit", "readings", filled) == 0
    assert f"audit A1: {READS} of {READS} cases have a verdict" in capsys.readouterr().out
    assert here.ovf("model", "calibrate", "--readings", filled, "--threshold", "0.5") == 0
    assert "audit A1, " in capsys.readouterr().out
    assert here.ovf("model", "calibrate", "--readings", str(tmp_path / "second.csv")) == 10
    assert "holds no verdict" in capsys.readouterr().err
    misspelt = tmp_path / "misspelt.csv"
    header, *verdicts = Path(filled).read_text(encoding="utf-8-sig").splitlines(keepends=True)
    misspelt.write_text(header.replace("cause", "Causes") + "".join(verdicts))
    assert here.ovf("model", "calibrate", "--readings", str(misspelt)) == 10
    assert "Causes (write cause)" in capsys.readouterr().err


def test_flags_of_an_audit_are_those_that_it_was_drawn_by(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sample, calibrate, audit: whatever threshold counts by now, the page tells of the one that it names."""
    here = copied(audited, tmp_path / "w")
    assert here.ovf("model", "calibrate", "--audit", "A1", "--threshold", "0.000001") == 0
    capsys.readouterr()
    assert here.ovf("audit", "--out", str(here.folder / "out"), "--show-small-cells") == 0
    told = capsys.readouterr().out
    assert "Another operating point counts since the sample was drawn" in told
    assert "archive has changed" not in told
    for quantity in ("flagged share", "prevalence", "prevalence, prediction-powered"):
        then, now = number(audited, quantity), number(here, quantity)
        assert (now["value"], now["low"], now["high"]) == (then["value"], then["low"], then["high"]), quantity
    for row, before in zip(
        rows_of(here.folder / "out" / "worklist.csv"),
        rows_of(audited.folder / "out" / "worklist.csv"),
        strict=True,
    ):
        assert row["study_key"] == before["study_key"]
        assert float(row["expected_cases"]) == pytest.approx(float(before["expected_cases"]))


def test_an_unfilled_list_is_left_for_later(
    swept: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = copied(swept, tmp_path / "w")
    listed = tmp_path / "list.csv"
    assert here.ovf("audit", "sample", "--reads", str(READS), "--out", str(listed)) == 0
    assert here.ovf("audit", "readings", str(listed)) == 0
    assert f"+ {READS} without a verdict yet" in capsys.readouterr().out


def number(audited: Audited, quantity: str, **wanted: str) -> dict[str, str]:
    asked = {"dimension": "all", "category": "all"} | wanted
    numbers = rows_of(audited.folder / "out" / "numbers.csv")
    return next(
        row for row in numbers if row["quantity"] == quantity and all(row[k] == v for k, v in asked.items())
    )


def test_the_truth_lies_within_the_limits(audited: Audited) -> None:
    """The archive's own truth; limits of wide confidence are not needed: the seed is fixed."""
    with audited.store.read_live() as connection:
        said = dict(connection.execute("SELECT study_key, statement FROM current_statement").fetchall())
        flags = dict(connection.execute("SELECT study_key, is_flagged FROM flagged").fetchall())
    cases = [study for study, is_case in audited.truth.items() if is_case]
    others = [study for study, is_case in audited.truth.items() if not is_case]
    reported = [study for study in cases if study in said]
    truths = {
        ("prevalence", ""): len(cases) / len(audited.truth),
        ("missed-diagnosis rate", "strict"): share(reported, lambda study: said[study] != "present"),
        ("missed-diagnosis rate", "lenient"): share(
            reported, lambda study: said[study] in ("absent", "unmentioned")
        ),
        ("sensitivity of the AI", ""): share([s for s in cases if s in flags], lambda study: flags[study]),
        ("specificity of the AI", ""): share(
            [s for s in others if s in flags], lambda study: not flags[study]
        ),
    }
    for (quantity, definition), truth in truths.items():
        row = number(audited, quantity, definition=definition)
        assert row["status"] == "shown"
        assert float(row["low"]) <= truth <= float(row["high"]), (quantity, definition, truth)


def test_missed_rates_by_the_group_that_reported(audited: Audited) -> None:
    """The rate of each group, and of both together: the truth of a group of the archive lies within its limits."""
    with audited.store.read_live() as connection:
        asked = "SELECT study_key, reader_group, statement FROM current_statement"
        said = [line for line in connection.execute(asked).fetchall() if audited.truth[line[0]]]
    for group in ("day", "night"):
        row = number(
            audited, "missed-diagnosis rate", definition="strict", dimension="reader group", category=group
        )
        missed = [statement != "present" for _, by, statement in said if by == group]
        assert float(row["low"]) <= sum(missed) / len(missed) <= float(row["high"])
    page = (audited.folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "Missed-diagnosis rate by grade, year, site and reader group" in page


def share(studies: list[str], is_event: object) -> float:
    assert callable(is_event)
    return sum(bool(is_event(study)) for study in studies) / len(studies)


def test_every_number_says_what_it_rests_on(audited: Audited) -> None:
    numbers = rows_of(audited.folder / "out" / "numbers.csv")
    for row in numbers:
        for name in ("target_condition", "ages", "unit", "model_digest", "lexicon_digest", "n_readers"):
            assert row[name], (row["quantity"], name)
        assert row["status"] in ("shown", "refused")
        if row["status"] == "shown":
            assert row["value"]
            assert row["method"]
            assert row["conditioned_on"], row["quantity"]
        else:
            assert row["note"]
    assert {row["n_readers"] for row in numbers} == {"2"}
    assert {row["caveat"] for row in numbers} == {"simulated, not validated on patients"}
    sections = {row["section"] for row in numbers}
    assert sections == {"prevalence", "missed", "accuracy", "agreement", "bounds", "beside", "sensitivity"}


def test_estimates_beside_agree_with_the_audits_own(audited: Audited) -> None:
    own, beside = (
        number(audited, "sensitivity of the AI"),
        number(audited, "sensitivity of the AI, Begg-Greenes"),
    )
    assert float(beside["value"]) == pytest.approx(float(own["value"]))
    powered = number(audited, "prevalence, prediction-powered")
    plain = number(audited, "prevalence")
    assert float(plain["low"]) < float(powered["value"]) < float(plain["high"])
    floor = number(audited, "cases, Chapman")
    assert float(floor["value"]) < 1.1 * float(plain["numerator"])


def test_csv_and_parquet_hold_the_same(audited: Audited) -> None:
    for name in ("numbers", "waterfall", "strata", "cells", "follow_up", "worklist"):
        listed = rows_of(audited.folder / "out" / f"{name}.csv")
        table = pq.read_table(audited.folder / "out" / f"{name}.parquet")
        assert table.num_rows == len(listed)
        assert table.column_names == list(listed[0])


def test_the_waterfall_reaches_the_readings(audited: Audited) -> None:
    rows = rows_of(audited.folder / "out" / "waterfall.csv")
    reached = {row["step"]: int(row["n_studies"]) for row in rows if not row["reason"]}
    assert reached["found"] == HOSPITAL.n_patients
    assert 0 < reached["audited"] < reached["with_report"] < reached["scored"] < reached["eligible"]
    lost = [int(row["n_studies"]) for row in rows if row["step"] == "audited" and row["reason"]]
    assert reached["audited"] + sum(lost) == reached["with_report"]


def test_a_case_that_readers_differ_about_is_drawn_and_read_but_not_audited(
    audited: Audited, tmp_path: Path
) -> None:
    here = copied(audited, tmp_path / "w")
    filled = rows_of(here.folder / "filled.csv")
    grades = {case: {row["grade"] for row in filled if row["case_id"] == case} for case in here.studies()}
    agreed = next(row for row in filled if grades[row["case_id"]] == {row["grade"]})
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as stream:
        rows = csv.DictWriter(stream, agreed)
        rows.writeheader()
        rows.writerow({**agreed, "reader": "ZZ", "grade": "0" if agreed["grade"] != "0" else "3"})
    assert here.ovf("audit", "readings", str(other)) == 0
    assert here.ovf("audit", "--out", str(tmp_path / "out"), "--show-small-cells") == 0

    def ends(folder: Path) -> Counter[str]:
        rows = [row for row in rows_of(folder / "waterfall.csv") if row["step"] == "audited"]
        return Counter({row["reason"]: int(row["n_studies"]) for row in rows})

    before, after = ends(here.folder / "out"), ends(tmp_path / "out")
    assert after[""] == before[""] - 1  # the row of those who reach it
    assert after["no_verdict"] == before["no_verdict"] + 1
    assert after["not_read"] == before["not_read"]


def test_the_worklist_brings_missed_ones_first(audited: Audited) -> None:
    listed = [row for row in rows_of(audited.folder / "out" / "worklist.csv") if row["list"] == "missed"]
    assert [int(row["place"]) for row in listed] == list(range(1, len(listed) + 1))
    scores = [float(row["probability"]) for row in listed]
    assert scores == sorted(scores, reverse=True)
    found = sum(audited.truth[row["study_key"]] for row in listed)
    assert found / len(listed) > 2 * HOSPITAL.prevalence
    expected = float(listed[-1]["expected_cases"])
    assert expected == pytest.approx(found, rel=0.35)
    assert float(listed[-1]["reads_per_case"]) == pytest.approx(len(listed) / expected)


def test_T58_exports_pool_the_very_old_and_name_nobody(audited: Audited, tmp_path: Path) -> None:
    assert audited.ovf("audit", "--out", str(tmp_path / "safe")) == 0
    worklist = rows_of(tmp_path / "safe" / "worklist.csv")
    assert max(int(row["age_years"]) for row in worklist) == 90
    assert "patient_id" not in worklist[0]
    assert "study_date" not in worklist[0]
    strata = rows_of(tmp_path / "safe" / "strata.csv")
    counts = [row[name] for row in strata for name in row if name.startswith("n_")]
    assert "" in [row["n_report_fracture"] for row in strata]
    shown = [int(count) for row in strata for name, count in row.items() if count and is_count(name)]
    assert counts
    assert not [count for count in shown if 0 < count < 5]
    assert {row["category"] for row in strata if row["dimension"] == "age"} >= {"80-89", "90 and over"}
    for row in rows_of(tmp_path / "safe" / "numbers.csv"):
        if row["section"] not in ("agreement", "sensitivity") and row["numerator"]:
            events, n = float(row["numerator"]), float(row["denominator"])
            assert not 0 < events < 5
            assert not 0 < n - events < 5
    texts = "".join(path.read_text() for path in (tmp_path / "safe").glob("*.csv"))
    assert "PID-" not in texts
    assert "ACC-" not in texts


def is_count(name: str) -> bool:
    return name.startswith("n_") and name not in ("n_readers", "n_cases_read")


def test_identities_are_written_only_when_asked(audited: Audited, tmp_path: Path) -> None:
    assert audited.ovf("audit", "--out", str(tmp_path / "named"), "--identified") == 0
    worklist = rows_of(tmp_path / "named" / "worklist.csv")
    assert worklist[0]["patient_id"].startswith("PID-")
    assert worklist[0]["accession_numbers"].startswith("ACC-")


def test_a_sample_stands_for_the_archive_it_was_drawn_from(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = copied(audited, tmp_path / "w")
    batch, _ = hospital_batch(Hospital(n_patients=1001, prevalence=0.25), seed=5)
    more = batch.studies[-1].study_key
    add_report(batch, more, "present")
    here.store.land(batch)
    here.store.publish()
    assert here.ovf("audit", "--out", str(tmp_path / "out")) == 0
    assert "The archive has changed since the sample was drawn" in capsys.readouterr().out
    numbers = {row["quantity"]: row for row in rows_of(tmp_path / "out" / "numbers.csv")}
    assert numbers["prevalence, prediction-powered"]["status"] == "refused"
    before = number(audited, "prevalence")
    after = next(
        row
        for row in rows_of(tmp_path / "out" / "numbers.csv")
        if row["quantity"] == "prevalence" and row["dimension"] == "all"
    )
    assert after["value"] == before["value"]


def test_asking_for_another_population_than_was_drawn_is_refused(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited.ovf("audit", "--out", str(tmp_path / "out"), "--rule", "all") == 10
    assert "was drawn with --rule first" in capsys.readouterr().err


def test_a_forgotten_patient_leaves_the_audit(audited: Audited, tmp_path: Path) -> None:
    here = copied(audited, tmp_path / "w")
    with here.store.read_live() as connection:
        case, patient = connection.execute("SELECT case_id, patient_key FROM audit_unit LIMIT 1").fetchall()[
            0
        ]
    here.store.forget(patient_key=patient)
    with here.store.read_live() as connection:
        found = connection.execute("SELECT * FROM audit_unit WHERE case_id = ?", [case]).fetchall()[0]
        readings = connection.execute("SELECT * FROM audit_reading WHERE case_id = ?", [case]).fetchall()
        failed = [result.name for result in run_checks(connection) if not result.passed]
    assert patient.removeprefix("patient-") not in str(found)
    assert readings == []
    assert not [name for name in failed if "audit" in name or "erased" in name]
    assert here.ovf("audit", "--out", str(tmp_path / "out")) == 0
