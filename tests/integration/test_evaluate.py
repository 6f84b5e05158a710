"""`ovf evaluate` on a warehouse: label file, stored test part, what leaks and what is hidden, page and tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import warehouse_rows as rows
from cohort_rows import N_SLICES, SmallHospital, small_hospital
from train_cohort_process import VIEW

from flows.cli import run
from flows.cohort import SHARES
from flows.errors import SettingsError
from flows.evaluate import TRAINED_ON, EvaluationRequest, evaluate
from flows.evaluation_export import tables_of
from flows.evaluation_summary import evaluation_text
from flows.kept_split import forget_in_splits
from flows.labels import FROM_FILE, FROM_REPORTS, labels_from_file
from flows.model_rows import land_model
from flows.model_show import model_text
from models.config import ModelConfig
from models.domain import DomainReference, fit_domain, write_domain
from models.heads import FractureNet
from models.loading import save_model
from models.lstm import ScanLstm
from models.registry import OperatingPoint, describe_model, write_operating_point
from models.split_file import SPLIT_FILE, SplitFacts, SplitRow, read_split, write_split
from reports.evaluation_page import render_evaluation_page
from warehouse.landing import LandingBatch

pytestmark = pytest.mark.slow
FACTS = SplitFacts(1, dict(SHARES), "key-1", "label file", False, {}, "", FROM_FILE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> SmallHospital:
    return small_hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture
def own_hospital(hospital: SmallHospital, tmp_path: Path) -> SmallHospital:
    """To be changed."""
    return hospital.copied(tmp_path / "own-hospital")


def split_of(truth: Mapping[str, bool]) -> list[SplitRow]:
    """The first 40 patients of the hospital are in the training, the others in the test."""
    return [
        SplitRow(
            "training" if int(number := study_key.removeprefix("study-")[:3]) < 40 else "test",
            f"patient-{number}",
            study_key,
            study_key.replace("study", "series"),
            "r1",
            int(is_case),
        )
        for study_key, is_case in truth.items()
    ]


@pytest.fixture
def model(hospital: SmallHospital, tmp_path: Path) -> Path:
    """An untrained model that claims to have learned from the first 40 patients of the hospital."""
    torch.manual_seed(0)
    config = ModelConfig(model_id="own", view=VIEW, is_simulated_only=False)
    save_model(tmp_path / "own", FractureNet(config), ScanLstm(config), config, "# own\n")
    write_operating_point(tmp_path / "own", OperatingPoint(0.5, "one half", "nothing"))
    write_split(tmp_path / "own", split_of(hospital.truth), FACTS)
    return tmp_path / "own"


def reference_of_noise(model: Path) -> DomainReference:
    rng = np.random.default_rng(3)
    images = [rng.normal(size=(N_SLICES, 32)) for _ in range(80)]
    return fit_domain(images, model_digest=describe_model(model).digest, fitted_on="noise")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_label_file_by_accession_number(
    hospital: SmallHospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = [
        "evaluate",
        "--warehouse",
        hospital.warehouse,
        "--labels",
        str(hospital.labels),
        "--out",
        str(out),
    ]
    assert run([*line, "--show-small-cells"]) == 0
    told = capsys.readouterr().out
    assert "70 labelled scans of 60 patients" in told
    assert "simulated, not validated on patients" in told  # the model of the sweep says so
    counts = {row["reader"]: row for row in rows_of(out / "counts.csv")}
    assert set(counts) == {"reports", "max", "mean", "vote", "LSTM"}
    n_cases = sum(hospital.truth.values())
    for row in counts.values():
        assert int(row["tp"]) + int(row["fn"]) == n_cases
    numbers = rows_of(out / "numbers.csv")
    recall = next(
        r for r in numbers if (r["reader"], r["category"], r["quantity"]) == ("LSTM", "all", "recall")
    )
    assert float(recall["value"]) == int(counts["LSTM"]["tp"]) / n_cases
    assert "patients" in recall["method"]  # ten have two scans
    for dimension in (
        "sex",
        "age",
        "vendor",
        "kernel",
        "slice thickness",
        "coverage",
        "contrast",
        "grade",
        "height loss",
    ):
        own = [
            r for r in numbers if r["dimension"] == dimension and r["quantity"] in ("n_cases", "n_controls")
        ]
        assert sum(int(r["value"]) for r in own) == len(hospital.truth), dimension
    wrong = int(counts["LSTM"]["fn"]) + int(counts["LSTM"]["fp"])
    page = (out / "index.html").read_text()
    assert len(rows_of(out / "errors.csv")) == wrong == page.count("data:image/png;base64,")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    for secret in ("ACC-", "PID-", "1.2.3."):
        assert secret not in page + told
    assert (out / "index.html").stat().st_mode & 0o077 == 0


def test_what_may_leave_the_house_hides_small_groups(hospital: SmallHospital, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = [
        "evaluate",
        "--warehouse",
        hospital.warehouse,
        "--labels",
        str(hospital.labels),
        "--out",
        str(out),
    ]
    assert run(line) == 0
    for row in rows_of(out / "numbers.csv"):
        if row["dimension"] != "all" and row["quantity"] in ("tp", "fn", "fp", "tn", "n_cases", "n_controls"):
            assert row["value"] == "" or not 0 < int(row["value"]) < 5
    assert list(rows_of(out / "errors.csv")[0]) == ["kind", "study_key", "probability"]


def test_the_stored_test_part_is_scored_now_and_nobody_else(
    hospital: SmallHospital, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["evaluate", "--warehouse", hospital.warehouse, "--model", str(model), "--out", str(out)]
    assert run(line) == 0
    told = capsys.readouterr().out
    n_test = sum(int(key.removeprefix("study-")[:3]) >= 40 for key in hospital.truth)
    assert f"scoring {n_test} stored slabs" in told
    assert f"{n_test:,} labelled scans" in told
    assert "no patient counted here is in the training" in (out / "index.html").read_text()
    shown = model_text(model)
    (numbers,) = [
        r
        for r in rows_of(out / "numbers.csv")
        if (r["reader"], r["quantity"]) == ("LSTM", "AUC") and r["category"] == "all"
    ]
    assert f"| LSTM, AUC | {float(numbers['value']):.3f} | {float(numbers['low']):.3f}-" in shown
    assert f"n_scans {n_test}" in shown
    assert "flagged from 0.5000 on (one half)" in shown
    assert run([*line, "--labels", str(hospital.labels)]) == 0
    n_seen = len(hospital.truth) - n_test
    assert f"{n_seen} patient_of_the_training" in capsys.readouterr().out
    text = (model / SPLIT_FILE).read_text()
    (model / SPLIT_FILE).write_text(text.replace("training,", "test,", 1))
    assert run(line) == 13
    assert "altered" in capsys.readouterr().err


def test_a_model_known_by_its_scores_alone_is_not_tested_on_its_patients(
    own_hospital: SmallHospital, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its split was kept beside the warehouse when it scored; without one, that is said."""
    line = [
        "evaluate",
        "--warehouse",
        own_hospital.warehouse,
        "--labels",
        str(own_hospital.labels),
        "--out",
        str(tmp_path / "out"),
    ]
    assert run(line) == 0
    assert "cannot be shown" in capsys.readouterr().out
    land_model(own_hospital.store, model)  # as a sweep and a rescoring do
    (kept,) = own_hospital.store.paths.splits.iterdir()
    copied = own_hospital.store.backup(tmp_path / "backup")
    assert read_split(copied / "splits" / kept.name) == read_split(model)
    kept.rename(kept.with_name(rows.model().model_digest))
    line += ["--model", rows.model().model_id]
    assert run(line) == 0
    told = capsys.readouterr().out
    n_seen = sum(int(key.removeprefix("study-")[:3]) < 40 for key in own_hospital.truth)
    assert f"{n_seen} patient_of_the_training" in told
    assert "no patient counted here is in the training" in told
    (kept.parent / ".killed.fresh").mkdir()  # left by a process that was killed while it kept a split
    own_hospital.store.forget(patient_key="patient-001")
    forget_in_splits(own_hospital.store)
    (kept,) = own_hospital.store.paths.splits.iterdir()
    patients = {row.patient_key for row in read_split(kept).rows}
    assert patients == {row.patient_key for row in read_split(model).rows} - {"patient-001"}


def test_scans_beyond_the_domain_keep_their_distance(hospital: SmallHospital, model: Path) -> None:
    reference = reference_of_noise(model)
    asked = EvaluationRequest(hospital.slabs, str(model), hospital.labels, is_showing_small=True)
    write_domain(model, reference)
    before = evaluate(hospital.store, asked, lambda _: None).domain
    assert {row.n_beyond for row in before} == {None}
    write_domain(model, replace(reference, limit=before[0].median, limit_rule="half of one scanner's"))
    found = evaluate(hospital.store, asked, lambda _: None)
    assert [replace(row, n_beyond=None) for row in found.domain] == list(before)
    n_beyond = sum(row.n_beyond or 0 for row in found.domain)
    assert n_beyond == sum(found.study.n_not_scored["not_evaluable:domain"]) >= before[0].n_scans // 2


def test_what_may_leave_the_house_shows_nobodys_distance(hospital: SmallHospital, model: Path) -> None:
    """One or two lie beyond the limit: not told, nor how far the farthest lies."""
    inside = EvaluationRequest(hospital.slabs, str(model), hospital.labels, is_showing_small=True)
    reference = reference_of_noise(model)
    write_domain(model, reference)
    highest = max(row.high or 0 for row in evaluate(hospital.store, inside, lambda _: None).domain)
    write_domain(model, replace(reference, limit=highest, limit_rule="nearly all"))
    whole = evaluate(hospital.store, inside, lambda _: None)
    assert {1, 2, 3, 4} & {row.n_beyond for row in whole.domain}
    shown = evaluate(hospital.store, replace(inside, is_showing_small=False), lambda _: None)
    assert {row.high for row in shown.domain} == {None}
    assert not {1, 2, 3, 4} & {row.n_beyond for row in shown.domain}
    hidden = [row for row in tables_of(shown)["domain"] if row["status"] == "suppressed"]
    assert hidden
    assert all((row["n_beyond"], row["high"]) == ("", "") for row in hidden)
    assert "largest" not in hidden[0]
    page = render_evaluation_page(shown)
    assert "hidden*" in page[page.index("distance from what the model has seen") :]
    # That some were not scored is told, though not how many.
    assert 0 < sum(whole.study.n_not_scored["not_evaluable:domain"]) < 10
    assert {row["reason"]: row["n_cases"] for row in tables_of(shown)["not_scored"]} == {"other": ""}
    assert "other reasons" in page


def said_by_reports(hospital: SmallHospital) -> dict[str, bool]:
    with hospital.store.read() as connection:
        found = connection.execute("SELECT study_key, statement FROM current_statement").fetchall()
    return {study_key: statement == "present" for study_key, statement in found}


def test_reports_that_are_the_truth_are_no_reader(hospital: SmallHospital, model: Path) -> None:
    """However the truth is known to be theirs; where nothing is known, when they agree with every label."""
    asked = EvaluationRequest(hospital.slabs, str(model), is_showing_small=True)
    of_reports, of_file = split_of(said_by_reports(hospital)), split_of(hospital.truth)
    earlier = replace(FACTS, label_origin="", label_source="labels")
    for rows_, facts, why in (
        (of_reports, replace(FACTS, label_origin=FROM_REPORTS), "they are the truth"),
        (of_reports, earlier, "they agree with every label"),
        (of_file, replace(earlier, label_source="report statements (possible: case)"), "they are the truth"),
        (of_file, earlier, "The reports may be no independent reader"),
        (of_file, FACTS, None),
    ):
        write_split(model, rows_, facts)
        found = evaluate(hospital.store, asked, lambda _: None)
        is_reader = rows_ is of_file and not facts.label_source.startswith("report")
        assert any(row.reader == "reports" for row in found.study.readers) is is_reader, why
        assert any(pair.second == "reports" for pair in found.study.pairs) is is_reader, why
        told, page = evaluation_text(found), render_evaluation_page(found)
        assert ("the reports</text>" in page) is is_reader  # a point of the curves
        for words in (told, page):
            if why is None:
                assert "no reader here" not in words
                assert "not known" not in words
            else:
                assert why in words, why
    from_reports = EvaluationRequest(hospital.slabs, is_from_reports=True)
    assert "they are the truth" in evaluation_text(evaluate(hospital.store, from_reports, lambda _: None))


def test_what_this_model_has_not_looked_at_is_no_error_of_it(own_hospital: SmallHospital) -> None:
    """Forty scans only another model has scored."""
    key = replace(rows.KEY, model_digest="model-2")
    names = list(own_hospital.truth)
    batch = LandingBatch(models=[rows.model(key)], operating_points=[rows.operating_point(key=key)])
    for name in names[:30]:
        logit = 1.5 if own_hospital.truth[name] else -0.5
        batch.scores.append(rows.score(name.replace("study", "series"), logit=logit, key=key))
    own_hospital.store.land(batch)
    own_hospital.store.publish()
    asked = EvaluationRequest(
        own_hospital.slabs, "name of model-2", own_hospital.labels, is_showing_small=True
    )
    found = evaluate(own_hospital.store, asked, lambda _: None)
    n_open = len(names) - 30
    assert found.study.n_open == n_open == sum(found.study.n_not_scored["pending"])
    assert not [row for row in found.study.readers if row.reader.startswith("LSTM,")]
    assert f"Not looked at by this model yet: {n_open} labelled scans" in evaluation_text(found)
    assert f"Not looked at by this model yet: {n_open} labelled scans" in render_evaluation_page(found)
    tables = tables_of(found)
    assert {row["reader"]: row["n_not_looked_at"] for row in tables["counts"]}["LSTM"] == n_open
    assert [(row["reason"], row["is_open"]) for row in tables["not_scored"]] == [("pending", 1)]


def test_a_patient_whose_pseudonym_changed_is_still_one_of_the_training(
    own_hospital: SmallHospital, model: Path
) -> None:
    """A PatientID was corrected: the study is known, its patient goes by another name now, and has another scan."""
    asked = EvaluationRequest(own_hospital.slabs, str(model), own_hospital.labels, is_showing_small=True)
    before = evaluate(own_hospital.store, asked, lambda _: None)
    batch = LandingBatch()
    for name in own_hospital.truth:
        number = name.removeprefix("study-")[:3]
        batch.studies.append(rows.study(name, patient_key=f"corrected-{number}"))
    own_hospital.store.land(batch)
    own_hospital.store.publish()
    seen = [row for row in split_of(own_hospital.truth) if row.study_key.endswith("a")]
    write_split(model, seen, FACTS)  # it knows one scan of each patient
    after = evaluate(own_hospital.store, asked, lambda _: None)
    assert after.basis.left_out == before.basis.left_out
    assert before.basis.left_out[TRAINED_ON] > 40


def test_a_study_that_two_archives_hold_in_two_states_counts_once(own_hospital: SmallHospital) -> None:
    asked = EvaluationRequest(own_hospital.slabs, None, own_hospital.labels, is_showing_small=True)
    before = evaluate(own_hospital.store, asked, lambda _: None).study
    batch = LandingBatch(archives=[rows.archive("archive-2", n_files=220, n_studies=20, n_series=20)])
    for name in list(own_hospital.truth)[:20]:
        series = name.replace("study", "series")
        copy = replace(
            rows.study(name, archive_key="archive-2", revision="r2", patient_key=f"patient-{name[6:9]}"),
            age_years=70,
            sex="F",
        )
        batch.studies.append(copy)
        batch.series.append(rows.series(series, name, revision="r2", n_instances=11))
        batch.selections.append(rows.selection(series, name, revision="r2", series_revision="r2"))
        batch.slabs.append(rows.slab(series, revision="r2"))
        batch.scores.append(rows.score(series, revision="r2", logit=3.0))
    own_hospital.store.land(batch)
    own_hospital.store.publish()
    after = evaluate(own_hospital.store, asked, lambda _: None).study
    assert [row.counts for row in after.readers] == [row.counts for row in before.readers]


def test_labels_of_studies_that_are_not_here_are_counted(own_hospital: SmallHospital, tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    keys = [name.upper() if number % 2 else name for number, name in enumerate(own_hospital.truth)]
    path.write_text("study_key,label\n" + "".join(f"{key},1\n" for key in keys))
    labels = labels_from_file(own_hospital.store, path)
    assert labels.n_unlinked == {"not_in_warehouse": len(keys) // 2}
    path.write_text("study_key,label\n" + "".join(f"{key.upper()},1\n" for key in keys))
    with pytest.raises(SettingsError, match="none of the 70 rows"):
        labels_from_file(own_hospital.store, path)


def test_slabs_that_are_gone_are_no_errors(own_hospital: SmallHospital, model: Path) -> None:
    """A damaged one is: it was looked at."""
    slabs = sorted(path for path in own_hospital.slabs.rglob("*") if path.is_file())
    for path in slabs[:10]:
        path.unlink()
    slabs[10].write_bytes(b"damaged")
    write_split(model, [replace(row, split="test") for row in split_of(own_hospital.truth)], FACTS)
    asked = EvaluationRequest(own_hospital.slabs, str(model), is_showing_small=True)
    study = evaluate(own_hospital.store, asked, lambda _: None).study
    counts = {row.reader: row.counts for row in study.readers}
    assert study.n_open == 10
    assert counts["LSTM, not evaluable counted as wrong"].n == counts["LSTM"].n + 1 == len(slabs) - 10


def test_a_threshold_chosen_on_the_very_scans_is_told(
    own_hospital: SmallHospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = len(own_hospital.truth)
    batch = LandingBatch(audits=[], audit_cells=[])
    for audit_id in ("A1", "A10"):
        batch.audits.append(rows.audit(audit_id, n_units=n, n_drawn=n))
        batch.audit_cells.append(rows.audit_cell(audit_id, n_units=n, n_drawn=n))
        for number, (study_key, is_case) in enumerate(own_hospital.truth.items()):
            unit = rows.audit_unit(f"{audit_id}-{number:04d}", study_key=study_key)
            batch.audit_units.append(replace(unit, position=number, unit_key=study_key))
            batch.audit_readings.append(rows.audit_reading(unit.case_id, 2 if is_case else 0))
    own_hospital.store.land(batch)
    own_hospital.store.publish()
    out = tmp_path / "out"
    line = ["evaluate", "--warehouse", own_hospital.warehouse, "--from-readings", "--out", str(out)]
    assert run([*line, "--audit", "A10"]) == 0
    told = capsys.readouterr().out
    assert "rule; operating point op-1" in told
    assert "apparent" not in told + (out / "index.html").read_text()
    calibrate = ["model", "calibrate", "--warehouse", own_hospital.warehouse, "--audit", "A10"]
    assert run([*calibrate, "--target-specificity", "0.96"]) == 0
    capsys.readouterr()
    assert run([*line, "--audit", "A10"]) == 0
    told, page = capsys.readouterr().out, (out / "index.html").read_text()
    for words in (told, page):
        assert "specificity of at least 0.96 on audit A10" in words
        assert "threshold or calibration were chosen on audit A10, the scans that are the truth here" in words
    for name in ("numbers", "counts", "pairs"):
        assert all("chosen on audit A10" in row["caveat"] for row in rows_of(out / f"{name}.csv"))
        assert all("0.96 on audit A10" in row["threshold_rule"] for row in rows_of(out / f"{name}.csv"))
    assert run([*line, "--audit", "A1"]) == 0  # another one, though its name is in the other's
    assert "apparent" not in capsys.readouterr().out + (out / "index.html").read_text()


def test_what_is_wrong_has_its_exit_code(
    hospital: SmallHospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["evaluate", "--warehouse", hospital.warehouse, "--out", str(tmp_path / "out")]
    assert run(line) == 10  # neither labels nor a split
    assert "--labels" in capsys.readouterr().err
    assert run([*line, "--model", "nowhere"]) == 10
    assert run([*line, "--from-readings"]) == 10
    assert "ovf audit sample" in capsys.readouterr().err
    other = tmp_path / "other.csv"
    other.write_text("accession_number,label\nACC-elsewhere,1\n")
    assert run([*line, "--labels", str(other)]) == 10
    assert "right warehouse" in capsys.readouterr().err
    assert run([*line, "--labels", str(other), "--from-reports"]) == 2
    hidden = hospital.store.paths.identity.with_suffix(".away")
    hospital.store.paths.identity.rename(hidden)
    try:
        assert run([*line, "--labels", str(hospital.labels)]) == 10
        assert "identity file is not beside" in capsys.readouterr().err
    finally:
        hidden.rename(hospital.store.paths.identity)
    assert not (tmp_path / "out").exists()
