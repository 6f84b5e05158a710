"""`ovf evaluate` on a warehouse: label file, stored test part, what leaks and what is hidden, page and tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
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
from flows.evaluate import EvaluationRequest, evaluate
from flows.kept_split import forget_in_splits
from flows.model_rows import land_model
from flows.model_show import model_text
from models.config import ModelConfig
from models.domain import fit_domain, write_domain
from models.heads import FractureNet
from models.loading import save_model
from models.lstm import ScanLstm
from models.registry import OperatingPoint, describe_model, write_operating_point
from models.split_file import SPLIT_FILE, SplitFacts, SplitRow, read_split, write_split

pytestmark = pytest.mark.slow


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
def model(hospital: SmallHospital, tmp_path: Path) -> Path:
    """An untrained model that claims to have learned from the first 40 patients of the hospital."""
    torch.manual_seed(0)
    config = ModelConfig(model_id="own", view=VIEW, is_simulated_only=False)
    save_model(tmp_path / "own", FractureNet(config), ScanLstm(config), config, "# own\n")
    write_operating_point(tmp_path / "own", OperatingPoint(0.5, "one half", "nothing"))
    split = []
    for study_key, is_case in hospital.truth.items():
        number = study_key.removeprefix("study-")[:3]
        part = "training" if int(number) < 40 else "test"
        split.append(
            SplitRow(
                part,
                f"patient-{number}",
                study_key,
                study_key.replace("study", "series"),
                "r1",
                int(is_case),
            )
        )
    write_split(tmp_path / "own", split, SplitFacts(1, dict(SHARES), "key-1", "label file", False, {}))
    return tmp_path / "own"


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
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its split was kept beside the warehouse when it scored; without one, that is said."""
    own = small_hospital(tmp_path / "own-hospital")
    line = [
        "evaluate",
        "--warehouse",
        own.warehouse,
        "--labels",
        str(own.labels),
        "--out",
        str(tmp_path / "out"),
    ]
    assert run(line) == 0
    assert "cannot be shown" in capsys.readouterr().out
    land_model(own.store, model)  # as a sweep and a rescoring do
    (kept,) = own.store.paths.splits.iterdir()
    copied = own.store.backup(tmp_path / "backup")
    assert read_split(copied / "splits" / kept.name) == read_split(model)
    kept.rename(kept.with_name(rows.model().model_digest))
    line += ["--model", rows.model().model_id]
    assert run(line) == 0
    told = capsys.readouterr().out
    n_seen = sum(int(key.removeprefix("study-")[:3]) < 40 for key in own.truth)
    assert f"{n_seen} patient_of_the_training" in told
    assert "no patient counted here is in the training" in told
    own.store.forget(patient_key="patient-001")
    forget_in_splits(own.store)
    (kept,) = own.store.paths.splits.iterdir()
    patients = {row.patient_key for row in read_split(kept).rows}
    assert patients == {row.patient_key for row in read_split(model).rows} - {"patient-001"}


def test_scans_beyond_the_domain_keep_their_distance(hospital: SmallHospital, model: Path) -> None:
    rng = np.random.default_rng(3)
    reference = fit_domain(
        [rng.normal(size=(N_SLICES, 32)) for _ in range(80)],
        model_digest=describe_model(model).digest,
        fitted_on="noise",
    )
    asked = EvaluationRequest(hospital.slabs, str(model), hospital.labels, is_showing_small=True)
    write_domain(model, reference)
    before = evaluate(hospital.store, asked, lambda _: None).domain
    assert {row.n_beyond for row in before} == {None}
    write_domain(model, replace(reference, limit=before[0].median, limit_rule="half of one scanner's"))
    found = evaluate(hospital.store, asked, lambda _: None)
    assert [replace(row, n_beyond=None) for row in found.domain] == list(before)
    n_beyond = sum(row.n_beyond or 0 for row in found.domain)
    assert n_beyond == sum(found.study.n_not_scored["not_evaluable:domain"]) >= before[0].n_scans // 2


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
