"""A training from a warehouse, tiny but whole: cohort, split, stages, threshold; killed and gone on; starts refused."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_cohort_process
from cohort_rows import SmallHospital, small_hospital
from safetensors.torch import save_file
from train_cohort_process import tiny_order

from estimates.reader_study import REPORTS
from flows.cli import run
from flows.cohort_state import COHORT_FILE
from flows.errors import SettingsError
from flows.evaluate import EvaluationRequest, evaluate
from flows.evaluation_summary import evaluation_text
from flows.labels import FROM_FILE, FROM_REPORTS
from flows.train_cohort import _cohort_of, train_on_cohort
from flows.training_folder import CLAIM_FILE
from models.config import ModelConfig
from models.loading import load_model
from models.registry import ModelError, read_model_card, read_operating_point
from models.resnet import ResNet34
from models.split_file import read_split
from models.starting import starting_net
from tasks.shard_work import kept_slab_path

pytestmark = pytest.mark.slow
KILL_WITHIN_S = 240.0  # a busy machine


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> SmallHospital:
    """What `hospital` will be later: the same patients, and more."""
    return small_hospital(tmp_path_factory.mktemp("grown"), n_patients=60)


@pytest.fixture(scope="module")
def hospital(grown: SmallHospital, tmp_path_factory: pytest.TempPathFactory) -> SmallHospital:
    """Its label file names patients whose scans are not there yet."""
    now = small_hospital(tmp_path_factory.mktemp("hospital"), n_patients=44)
    return replace(now, labels=grown.labels)


@pytest.fixture(scope="module")
def trained(hospital: SmallHospital, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed training. Only looked at."""
    out = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    train_on_cohort(hospital.store, out, tiny_order(hospital.slabs, hospital.labels), lambda _: None)
    return out


def test_the_split_is_by_patient_and_stored_with_the_weights(hospital: SmallHospital, trained: Path) -> None:
    split = read_split(trained)  # checks that no patient is in two parts
    assert {row.split for row in split.rows} == {"training", "validation", "calibration", "test"}
    patients = {
        part: {row.patient_key for row in split.of(part)} for part in ("training", "validation", "test")
    }
    assert not patients["training"] & patients["test"]
    assert {row.study_key for row in split.rows} <= set(hospital.truth)
    assert all(row.is_case == hospital.truth[row.study_key] for row in split.rows)
    assert len(split.rows) + sum(split.facts.left_out.values()) == len(hospital.truth)
    assert not split.facts.is_simulated
    assert split.facts.label_origin == FROM_FILE
    written = (trained / "split.csv").read_text() + (trained / "split.json").read_text()
    assert not any(secret in written for secret in ("ACC-", "PID-", "1.2.3."))


def test_what_is_written_beside_the_weights(trained: Path) -> None:
    config = load_model(trained).config
    assert not config.is_simulated_only
    assert "not validated elsewhere" in config.intended_use
    card = read_model_card(trained)
    assert "Not for clinical use" in card
    assert "| calibration |" in card
    assert read_operating_point(trained).threshold == 0.5  # too few sound scans in the calibration part
    with (trained / "calibration_scores.csv").open() as stream:
        scored = list(csv.DictReader(stream))
    assert {row["study_key"] for row in scored} == {
        row.study_key for row in read_split(trained).of("calibration")
    }
    with (trained / "curves.csv").open() as stream:
        curves = list(csv.DictReader(stream))
    assert {row["stage"] for row in curves} == {"features", "lstm", "final"}
    assert any(row["validation_loss"] for row in curves if row["stage"] == "features")
    losses = [float(row["loss"]) for row in curves if row["stage"] == "lstm"]
    assert losses[-1] < losses[0]
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def spoiled_slabs(hospital: SmallHospital, trained: Path, tmp_path: Path) -> Path:
    """The slabs of the hospital, those of the test and calibration parts overwritten."""
    shutil.copytree(hospital.slabs, tmp_path / "slabs")
    split = read_split(trained)
    for row in [*split.of("test"), *split.of("calibration")]:
        next((tmp_path / "slabs").rglob(f"{row.series_key}-*")).write_bytes(b"never read by a training")
    return tmp_path / "slabs"


@pytest.mark.timeout(600)
def test_a_killed_training_ends_as_an_undisturbed_one_and_touches_neither_calibration_nor_test(
    hospital: SmallHospital, trained: Path, spoiled_slabs: Path, tmp_path: Path
) -> None:
    """Killed, gone on, and without the slabs of both parts: the very same weights come out."""
    out = tmp_path / "killed"
    line = [sys.executable, train_cohort_process.__file__, hospital.warehouse, str(out)]
    with subprocess.Popen([*line, str(spoiled_slabs), str(hospital.labels)]) as process:
        state, deadline = out / "checkpoints" / "features.json", time.monotonic() + KILL_WITHIN_S
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert json.loads(state.read_text())["step"] >= 1
    assert not (out / "model.safetensors").exists()
    train_on_cohort(hospital.store, out, tiny_order(spoiled_slabs, hospital.labels), lambda _: None)
    assert load_model(out).digest == load_model(trained).digest
    undisturbed, split = read_split(trained), read_split(out)
    for part in ("training", "validation", "test"):
        assert split.of(part) == undisturbed.of(part)
    # counted, not trained on; the slabs of the test were not even opened
    assert split.facts.left_out["slab_unreadable"] == len(undisturbed.of("calibration"))


def test_patients_of_the_start_are_never_tested_on(
    hospital: SmallHospital, trained: Path, tmp_path: Path
) -> None:
    """Another seed would deal them out anew; and who has no label any more is remembered as well."""
    fewer = tmp_path / "fewer.csv"
    rows = hospital.labels.read_text().splitlines(keepends=True)
    gone = next(row.study_key for row in read_split(trained).of("training"))
    fewer.write_text("".join(row for row in rows if gone.replace("study-", "ACC-") not in row))
    out = tmp_path / "second"
    train_on_cohort(
        hospital.store, out, tiny_order(hospital.slabs, fewer, seed=8, start=str(trained)), lambda _: None
    )
    first, second = read_split(trained), read_split(out)
    learned = {row.patient_key for part in ("training", "validation") for row in first.of(part)}
    assert second.of("calibration") + second.of("test")
    for part in ("calibration", "test"):
        assert not learned & {row.patient_key for row in second.of(part)}
    assert learned <= {
        row.patient_key for part in ("training", "validation", "earlier") for row in second.of(part)
    }
    assert second.facts.start == ""


def test_a_training_that_goes_on_keeps_its_cohort_though_the_archive_has_grown(
    grown: SmallHospital, trained: Path, tmp_path: Path
) -> None:
    out, order = tmp_path / "on", tiny_order(grown.slabs, grown.labels)
    shutil.copytree(trained, out)
    (out / "model.safetensors").unlink()
    train_on_cohort(grown.store, out, order, lambda _: None)
    assert read_split(out) == read_split(trained)
    assert load_model(out).digest == load_model(trained).digest
    assert not any(words in (out / COHORT_FILE).read_text() for words in ('age_years": 6', "2020-"))
    _, cohort, _ = _cohort_of(grown.store, tmp_path / "new", order)
    assert len(cohort.scans) > len(read_split(out).rows)
    (out / COHORT_FILE).unlink()
    (out / CLAIM_FILE).unlink()  # as an earlier version left it
    with pytest.raises(SettingsError, match="another version"):
        train_on_cohort(grown.store, out, order, lambda _: None)


@pytest.mark.parametrize("start", ["random", "ovf-phantom-2"])
def test_damaged_slabs_that_leave_too_few_end_before_the_training(
    hospital: SmallHospital, tmp_path: Path, start: str
) -> None:
    slabs = tmp_path / "slabs"
    shutil.copytree(hospital.slabs, slabs)
    for study_key, is_case in hospital.truth.items():
        if is_case:
            kept_slab_path(slabs, study_key.replace("study", "series"), "r1").write_bytes(b"cut short")
    said: list[str] = []
    order = replace(tiny_order(slabs, hospital.labels), start=start)
    with pytest.raises(SettingsError, match=r"\d+ slabs are gone or damaged.*training"):
        train_on_cohort(hospital.store, tmp_path / "out", order, said.append)
    assert any("gone or damaged and left out" in line for line in said)
    assert not (tmp_path / "out" / CLAIM_FILE).exists()


@pytest.mark.long
def test_a_model_of_reports_is_not_held_against_them(grown: SmallHospital, tmp_path: Path) -> None:
    """Its stored test part says what the reports say: no reader could be better."""
    out = tmp_path / "of-reports"
    order = tiny_order(grown.slabs, None)
    train_on_cohort(grown.store, out, order, lambda _: None)
    assert read_split(out).facts.label_origin == FROM_REPORTS
    found = evaluate(grown.store, EvaluationRequest(grown.slabs, str(out)), lambda _: None)
    assert REPORTS not in {row.reader for row in found.study.readers}
    assert REPORTS not in {pair.second for pair in found.study.pairs}
    assert "the reports are no reader here" in evaluation_text(found)


def test_a_folder_holds_one_training(hospital: SmallHospital, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    with pytest.raises(SettingsError, match="another training"):
        train_on_cohort(
            hospital.store,
            tmp_path / "copy",
            tiny_order(hospital.slabs, hospital.labels, seed=4),
            lambda _: None,
        )


def test_the_command_says_who_was_left_out_and_what_is_wrong(
    hospital: SmallHospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--warehouse", hospital.warehouse, "--out", str(tmp_path / "out")]
    few = tmp_path / "few.csv"
    few.write_text("".join(hospital.labels.read_text().splitlines(keepends=True)[:9]) + "ACC-unknown,1,2,\n")
    assert run([*line, "--labels", str(few)]) == 10
    told = capsys.readouterr()
    assert "no_label" in told.out
    assert "not_in_warehouse: 1" in told.out
    assert "too few" in told.err
    assert "ACC-" not in told.out + told.err
    assert run([*line, "--labels", str(tmp_path / "absent.csv")]) == 10
    assert run([*line, "--labels", str(hospital.labels), "--recipe", "wide"]) == 10
    told = capsys.readouterr()
    assert "quick, published" in told.err
    assert "cohort" not in told.out  # told before anything is read
    assert run(["train", "--out", str(tmp_path / "out"), "--slabs", "s", "--no-match"]) == 2
    assert "--slabs, --match" in capsys.readouterr().err
    few.write_text("accession_number,label\nACC-000a,perhaps\n")
    assert run([*line, "--labels", str(few)]) == 10
    assert "row 2" in capsys.readouterr().err
    assert run([*line, "--labels", str(few), "--from-reports"]) == 2
    assert run(line) == 2
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_pickled_and_altered_starts_are_refused(trained: Path, tmp_path: Path) -> None:
    config = ModelConfig(model_id="m", view=train_cohort_process.VIEW)
    net = ResNet34()
    torch.save(net.state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ModelError, match="pickled"):
        starting_net(str(tmp_path / "resnet34.pth"), config, 0)
    public = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(
        public | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)},
        tmp_path / "r.safetensors",
    )
    start = starting_net(str(tmp_path / "r.safetensors"), config, 0)
    assert torch.equal(start.net.resnet.layer4[0].conv1.weight, net.layer4[0].conv1.weight)
    assert not start.is_model
    whole = (tmp_path / "r.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cut short"):
        starting_net(str(tmp_path / "cut.safetensors"), config, 0)
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="other weights"):
        starting_net(str(tmp_path / "other.safetensors"), config, 0)
    shutil.copytree(trained, tmp_path / "altered")
    weights = bytearray((tmp_path / "altered" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "altered" / "model.safetensors").write_bytes(bytes(weights))
    with pytest.raises(ModelError, match="altered"):
        starting_net(str(tmp_path / "altered"), config, 0)
    with pytest.raises(ModelError, match="no such model"):
        starting_net("nowhere", config, 0)
