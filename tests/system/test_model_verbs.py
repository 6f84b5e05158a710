"""The model verbs on a swept hospital: scores side by side, another limit and calibration, nothing scored again."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from ovf_command import Command, save_untrained

from models.domain import fit_domain, read_domain, write_domain
from models.loading import load_model


@pytest.fixture
def warehouse(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed.parent, tmp_path / "w")
    return tmp_path / "w" / undisturbed.name


def ask(warehouse: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def export(ovf: Command, warehouse: Path, *options: object) -> list[dict[str, str]]:
    ovf.inside("export", "scores", "--warehouse", warehouse, "--out", "s.csv", *options)
    with (ovf.folder / "s.csv").open() as file:
        return list(csv.DictReader(file))


def test_rescored_slabs_stand_beside_the_sweeps_scores(ovf: Command, warehouse: Path, tmp_path: Path) -> None:
    """The same weights under another name: what the sweep said, but for the compression of the kept slabs."""
    again = save_untrained(tmp_path / "again", "again", seed=0)
    before = export(ovf, warehouse)
    scored = {row["series_key"] for row in before if row["outcome"] == "scored"}
    done = ovf("rescore", "--model", again, "--warehouse", warehouse, "--workers", 1)
    assert f"{len(scored)} of {len(scored)} kept slabs scored; 0 gone" in done.stdout
    assert "0 of 0" in ovf.inside("rescore", "--model", again, "--warehouse", warehouse).stdout
    assert export(ovf, warehouse, "--model", "untrained") == before  # it took over nothing
    ovf.inside("check", "--warehouse", warehouse)
    said = ovf.inside("model", "diff", "untrained", "again", "--warehouse", warehouse).stdout
    assert f"{len(scored)} series scored by both" in said
    swept, rescored = (
        dict(ask(warehouse, f"SELECT series_key, logit FROM current_score WHERE model_id = '{model_id}'"))
        for model_id in ("untrained", "again")
    )
    assert swept.keys() == rescored.keys() == scored
    assert max(abs(swept[key] - rescored[key]) for key in swept) < 0.002  # they lie 0.015 apart


def test_what_lies_far_from_all_that_was_seen_is_not_a_negative(
    ovf: Command, warehouse: Path, untrained_model: Path, tmp_path: Path
) -> None:
    """A yardstick is given to a model after its sweep: distances come from the features kept, the limit decides."""
    model = tmp_path / "with-domain"
    shutil.copytree(untrained_model, model)
    rows = ask(warehouse, "SELECT slice_features FROM score ORDER BY series_key")
    seen = [np.array(features, np.float32).reshape(-1, 32) for (features,) in rows]
    digest = load_model(model).digest
    reference = fit_domain(seen, model_digest=digest, fitted_on="this hospital")
    nearest = min(reference.distance(scan) for scan in seen)
    write_domain(model, replace(reference, limit=nearest, limit_rule="all but the nearest are far"))
    ovf.inside("rescore", "--model", model, "--warehouse", warehouse)
    found = export(ovf, warehouse)
    far = [row for row in found if row["reason"] == "not_evaluable:domain"]
    assert len(far) == len(seen) - 1
    assert {(row["outcome"], row["probability"], row["flagged"]) for row in far} == {("excluded", "", "")}
    reference = read_domain(model)
    assert reference is not None
    assert {float(row["domain_distance"]) for row in found if row["domain_distance"]} == {
        reference.distance(scan) for scan in seen
    }
    ovf.inside("check", "--warehouse", warehouse)
    n_scores = ask(warehouse, "SELECT count(*) FROM score")
    said = ovf.inside("model", "domain", "--limit", 99, "--warehouse", warehouse).stdout
    assert "limit 99.000" in said
    assert not [row for row in export(ovf, warehouse) if row["reason"] == "not_evaluable:domain"]
    one = far[0]["series_key"]
    ovf.inside("explain", one, "--model", model, "--warehouse", warehouse, "--out", "e")
    told = json.loads(
        (ovf.folder / "e" / f"{one}.json").read_text()
    )  # by the limit and the distance kept here
    assert told["is_beyond_domain"] is False
    assert told["domain_distance"] == pytest.approx(float(far[0]["domain_distance"]), abs=1e-4)
    ovf.inside(
        "rescore", "--model", model, "--warehouse", warehouse
    )  # what ships does not take the place of our limit
    assert not [row for row in export(ovf, warehouse) if row["reason"] == "not_evaluable:domain"]
    assert ask(warehouse, "SELECT count(*) FROM score") == n_scores


def test_calibration_is_a_row_and_flags_follow_it(ovf: Command, warehouse: Path) -> None:
    scores = ask(warehouse, "SELECT * FROM score ORDER BY ALL")
    said = ovf.inside(
        "model", "calibrate", "--prevalence", 0.02, "--trained-share", 713 / 1432, "--warehouse", warehouse
    )
    assert "shifted by -3.88 logits" in said.stdout
    again = ovf.inside(
        "model", "calibrate", "--prevalence", 0.02, "--trained-share", 713 / 1432, "--warehouse", warehouse
    )
    assert "has these numbers already" in again.stdout  # what is published names its operating point
    logit, probability, is_flagged = ask(warehouse, "SELECT logit, probability, is_flagged FROM flagged")[0]
    assert probability == pytest.approx(1 / (1 + np.exp(3.88 - logit)), rel=0.02)
    assert is_flagged == (logit >= 0)  # without a rule the same scans stay flagged
    refused = ovf.inside("model", "calibrate", "--threshold", 50, "--warehouse", warehouse, expect=10)
    assert "above 0 and below 1" in refused.stderr
    ovf.inside("model", "calibrate", "--threshold", 0.0001, "--warehouse", warehouse)
    assert all(row[0] for row in ask(warehouse, "SELECT is_flagged FROM flagged"))
    few = ovf.folder / "read.csv"
    few.write_text(
        "study_key,fracture\n" + "".join(f"{row['study_key']},no\n" for row in export(ovf, warehouse))
    )
    refused = ovf.inside("model", "calibrate", "--readings", few, "--warehouse", warehouse, expect=10)
    assert "read more" in refused.stderr
    assert ask(warehouse, "SELECT * FROM score ORDER BY ALL") == scores


def test_explained_slabs_become_pictures_and_numbers_and_a_damaged_one_is_told(
    ovf: Command, warehouse: Path, untrained_model: Path
) -> None:
    series_key, damaged = (
        row[0] for row in ask(warehouse, "SELECT series_key FROM score ORDER BY series_key LIMIT 2")
    )
    slab = next((warehouse.parent / "slabs").rglob(f"{damaged}-*.jp2"))
    slab.write_bytes(slab.read_bytes()[: slab.stat().st_size // 2])
    identity = warehouse.with_name("identity.duckdb")
    away = identity.rename(ovf.folder / "away.duckdb")  # a series key needs none
    line = ["explain", damaged, series_key, "--warehouse", warehouse, "--out", "e"]
    done = ovf.inside(*line, "--model", untrained_model, expect=10)
    assert f"{damaged}: not explained: " in done.stdout
    assert "1 of 2 scans could not be explained" in done.stderr
    told = json.loads((ovf.folder / "e" / f"{series_key}.json").read_text())
    top_z_mm, rows, pixel_mm = ask(
        warehouse, f"SELECT top_z_mm, rows, pixel_mm FROM slab WHERE series_key = '{series_key}'"
    )[0]
    assert top_z_mm - rows * pixel_mm < told["peak"]["patient_z_mm"] < top_z_mm
    assert all((ovf.folder / "e" / each["file"]).stat().st_size > 1000 for each in told["pictures"])
    assert told["is_beyond_domain"] is False  # it has no reference
    refused = ovf.inside(
        "export", "scores", "--identified", "--out", "i.csv", "--warehouse", warehouse, expect=10
    )
    assert "is not beside the warehouse" in refused.stderr
    away.rename(identity)
    refused = ovf.inside(
        "rescore", "--model", untrained_model, "--slabs", "nowhere", "--warehouse", warehouse, expect=10
    )
    assert "there is no folder nowhere" in refused.stderr
    refused = ovf.inside(*line, expect=10)
    assert "name its folder with --model" in refused.stderr  # the sweep's model is not an installed one
    refused = ovf.inside(
        "explain", "no-such-series", "--model", untrained_model, "--warehouse", warehouse, expect=10
    )
    assert "no kept slab" in refused.stderr


@pytest.mark.long
def test_altered_and_pickled_weights_are_not_installed(
    ovf: Command, untrained_model: Path, tmp_path: Path
) -> None:
    packed = shutil.make_archive(str(tmp_path / "model"), "zip", untrained_model)
    into = tmp_path / "models"
    ovf.inside("model", "import", packed, "--into", into)
    shown = ovf.inside("model", "show", into / "untrained").stdout
    digest = load_model(into / "untrained").digest
    order = [
        shown.index(title)
        for title in ("identity", "Intended use", "Training data", "Performance", "Calibration")
    ]
    assert digest in shown
    assert order == sorted(order)
    weights = into / "untrained" / "model.safetensors"
    sound = weights.read_bytes()
    for wrong in (sound[:-1] + bytes([sound[-1] ^ 1]), b"\x80\x04" + sound, sound[:-100]):
        weights.write_bytes(wrong)
        ovf.inside("model", "show", into / "untrained", expect=13)
        ovf.inside("model", "import", into / "untrained", "--into", tmp_path / "others", expect=13)
    assert not (tmp_path / "others").exists()
