"""Two weights that share one id: every verb reads one of them, the last that scored or the one named by digest."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import stores
import warehouse_rows as rows
from cohort_rows import small_hospital

from flows.audit import AuditRequest, audit_numbers
from flows.calibrate import current_numbers
from flows.cli import run
from flows.errors import SettingsError
from flows.evaluate import EvaluationRequest, evaluate
from flows.explain import wanted_series
from flows.scored_models import scored_model
from models.config import TILES_VIEW, ModelConfig
from warehouse.decisions import DecisionKey
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import ModelRecord
from warehouse.store import Store

NAME = "ovf-own"
OLD, NEW = "3ce7f3c7f313".ljust(64, "0"), "312647dfe0ab".ljust(64, "0")
ALIKE = "312647df".ljust(64, "f")
SAID = f"{NAME}: newest of 2 weights, 312647dfe0ab; the others by digest: 3ce7f3c7f313"
OWN_THRESHOLD = 0.3


@dataclass(frozen=True)
class Hospital:
    """A warehouse with scores of OLD and, later, of NEW, which says the contrary of each scan."""

    store: Store
    labels: Path
    n_studies: int
    old: dict[str, float]  # study → logit

    def ovf(self, *words: object) -> int:
        return run([*map(str, words), "--warehouse", str(self.store.paths.warehouse)])

    def said(self, table: Path) -> dict[str, float]:
        """Study → probability, of an exported table: one row a study."""
        with table.open(encoding="utf-8", newline="") as stream:
            found = list(csv.DictReader(stream))
        assert len(found) == len({row["study_key"] for row in found}) == self.n_studies
        assert {row["model_id"] for row in found} == {NAME}
        return {row["study_key"]: float(row["probability"]) for row in found}


def key_of(digest: str) -> DecisionKey:
    return replace(rows.KEY, model_digest=digest)


def land_weights(store: Store, digest: str, logits: dict[str, float], *, day: int) -> None:
    """Scores of some series by other weights of the name, written some days after the first."""
    at = rows.START + dt.timedelta(days=day)
    batch = LandingBatch(
        models=[ModelRecord(digest, NAME, "resnet34-lstm", True, "card")],
        runs=[rows.run(f"run-{digest[:12]}", hours=24 * day, key=key_of(digest))],
        operating_points=[rows.operating_point(key=key_of(digest))],
        scores=[
            replace(rows.score(series, logit=logit, key=key_of(digest)), scored_at=at)
            for series, logit in logits.items()
        ],
    )
    store.land(batch)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """Looked at only."""
    made = small_hospital(tmp_path_factory.mktemp("hospital"), n_patients=48)
    with made.store.write() as connection:
        for table in ("score", "model", "operating_point", "run"):
            connection.execute(f"UPDATE {table} SET model_digest = ?", [OLD]).fetchall()
        connection.execute("UPDATE model SET model_id = ?", [NAME]).fetchall()
        connection.execute("UPDATE operating_point SET threshold = ?", [OWN_THRESHOLD]).fetchall()
        logits = dict(connection.execute("SELECT series_key, logit FROM score").fetchall())
    land_weights(made.store, NEW, {series: -logit for series, logit in logits.items()}, day=1)
    made.store.publish()
    of_study = {series.replace("series", "study"): logit for series, logit in logits.items()}
    return Hospital(made.store, made.labels, len(made.truth), of_study)


@pytest.fixture
def copied(swept: Hospital, tmp_path: Path) -> Hospital:
    return replace(swept, store=stores.copied(swept.store, tmp_path / "copy"))


def probability(logit: float) -> float:
    """By `rows.operating_point`."""
    return 1 / (1 + math.exp(1 - 2 * logit))


def test_the_id_means_the_newest_and_a_digest_reaches_either(
    swept: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    for name, sign in ((NAME, -1), (NEW[:8].upper(), -1), (OLD, 1), (OLD[:8], 1)):
        assert swept.ovf("export", "scores", "--model", name, "--out", out) == 0
        assert (SAID in capsys.readouterr().out) == (name == NAME)
        assert swept.said(out) == pytest.approx(
            {study: probability(sign * x) for study, x in swept.old.items()}
        )
    assert swept.ovf("export", "scores", "--model", OLD[:7], "--out", out) == 10  # too few digits
    assert "3ce7f3c7f313" in capsys.readouterr().err
    assert swept.ovf("export", "scores", "--out", out) == 0  # the newest answer of each series, as ever
    assert SAID not in capsys.readouterr().out
    assert swept.said(out) == pytest.approx(
        {study: probability(-logit) for study, logit in swept.old.items()}
    )


def test_the_newest_are_those_that_scored_last(copied: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    """As after `ovf rescore` with the earlier weights."""
    with copied.store.write() as connection:
        later = rows.START + dt.timedelta(days=9)
        connection.execute(
            "UPDATE score SET scored_at = ? WHERE model_digest = ? AND series_key = 'series-001a'",
            [later, OLD],
        ).fetchall()
    with copied.store.read_live() as connection:
        assert scored_model(connection, NAME).model_digest == OLD
    assert "newest of 2 weights, 3ce7f3c7f313; the others by digest: 312647dfe0ab" in capsys.readouterr().out


def test_what_is_ambiguous_is_told_with_its_digests(
    copied: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    land_weights(copied.store, ALIKE, {"series-001a": 1.0}, day=2)
    copied.store.publish()
    out = tmp_path / "out"
    assert copied.ovf("export", "scores", "--model", "312647df", "--out", tmp_path / "s.csv") == 10
    told = capsys.readouterr().err
    assert "312647dfe0ab" in told
    assert "312647dfffff" in told
    for verb in (
        ("audit", "--out", out),
        ("evaluate", "--labels", copied.labels, "--out", out),
        ("model", "calibrate", "--threshold", 0.4),
        ("model", "domain"),
        ("export", "worklist", "--identified", "--out", out),
        ("explain", "--flagged", "--out", out),
    ):
        assert copied.ovf(*verb) == 10
        told = capsys.readouterr().err
        assert "--model" in told, verb
        assert f"{NAME} (3ce7f3c7f313)" in told, verb
        assert f"{NAME} (312647dfe0ab)" in told, verb
    assert copied.ovf("audit", "--out", out, "--model", "ovf-other") == 10
    assert "3ce7f3c7f313" in capsys.readouterr().err
    assert not out.exists()


def test_two_weights_are_compared_by_their_digests(
    swept: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept.ovf("model", "diff", NAME, OLD[:12], "--out", tmp_path / "diff.csv") == 0
    told = capsys.readouterr().out
    assert f"{swept.n_studies} series scored by both" in told
    assert "by ovf-own (312647dfe0ab) alone" in told
    assert "by ovf-own (3ce7f3c7f313) alone" in told
    assert len((tmp_path / "diff.csv").read_text().splitlines()) == 1 + swept.n_studies
    assert swept.ovf("model", "diff", NAME, NAME) == 10
    told = capsys.readouterr().err
    assert "the same weights" in told
    assert "3ce7f3c7f313" in told
    with swept.store.read() as connection:
        summed = connection.execute(query("score_summary")).fetchall()
    assert [row[:3] for row in summed] == [(NAME, "312647dfe0ab", swept.n_studies)]


def test_an_evaluation_and_an_audit_are_of_one_of_them(swept: Hospital, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"model_digest": OLD}))
    (folder / "config.json").write_text(ModelConfig(model_id=NAME, view=TILES_VIEW).to_json())
    (folder / "card.md").write_text("# own\n")
    (folder / "model.safetensors").write_bytes(b"")
    for name, digest, threshold in (
        (NAME, NEW, 0.5),
        (OLD[:8], OLD, OWN_THRESHOLD),
        (str(folder), OLD, OWN_THRESHOLD),
    ):
        said: list[str] = []
        asked = EvaluationRequest(tmp_path / "slabs", name, swept.labels, is_showing_small=True)
        basis = evaluate(swept.store, asked, said.append).basis
        assert (basis.model_digest, basis.threshold, basis.scores_from) == (digest, threshold, "the sweep")
        assert said == ([SAID] if name == NAME else [])
        with swept.store.read() as connection:
            request = AuditRequest(name, is_showing_small=True)
            audited = audit_numbers(connection, request, said.append)
        assert (audited.basis.model_digest, audited.basis.threshold) == (digest, threshold)
        (whole,) = (row for row in audited.strata if row.dimension == "all")
        assert (whole.n_units, whole.n_not_scored) == (48, 0)


def test_a_sample_stays_with_the_weights_it_was_drawn_for(
    copied: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The id means other weights by the time; the sample is told by its own."""
    line = ["audit", "sample", "--reads", 48, "--seed", 1, "--out", tmp_path / "list.csv"]
    assert copied.ovf(*line, "--model", OLD[:8]) == 0
    assert copied.ovf(*line) == 0
    assert copied.ovf(*line, "--model", NAME) == 10
    assert f"flags of {NAME} (3ce7f3c7f313)" in capsys.readouterr().err
    assert copied.ovf("audit", "--out", tmp_path / "audit") == 0
    assert copied.ovf("audit", "--out", tmp_path / "audit", "--model", NAME) == 10
    assert f"flags of {NAME} (3ce7f3c7f313): leave --model out" in capsys.readouterr().err


def test_a_calibration_is_of_one_of_them(copied: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    for name, digest, other in ((NAME, NEW, OLD), (OLD[:8], OLD, NEW)):
        with copied.store.read_live() as connection:
            before = current_numbers(connection, other)
        assert copied.ovf("model", "calibrate", "--threshold", 0.42, "--model", name) == 0
        assert (SAID in capsys.readouterr().out) == (name == NAME)
        with copied.store.read_live() as connection:
            assert current_numbers(connection, digest).threshold == 0.42
            assert current_numbers(connection, other) == before
    assert copied.ovf("model", "domain", "--model", OLD[:8]) == 0


def test_what_other_weights_flag_is_not_explained(swept: Hospital, tmp_path: Path) -> None:
    """`ovf explain --flagged` with a model of that id: only what these weights flag."""
    flagged = {
        digest: {study for study, logit in swept.old.items() if probability(sign * logit) >= threshold}
        for digest, sign, threshold in ((OLD, 1, OWN_THRESHOLD), (NEW, -1, 0.5))
    }
    for digest, studies in flagged.items():
        model = SimpleNamespace(config=ModelConfig(model_id=NAME, view=TILES_VIEW), digest=digest)
        found = wanted_series([], swept.store, tmp_path, model=model, is_flagged=True)
        assert {one.name.replace("series", "study") for one in found} == studies
    strange = SimpleNamespace(config=ModelConfig(model_id=NAME, view=TILES_VIEW), digest=ALIKE)
    with pytest.raises(SettingsError, match="others have, by digest: 312647dfe0ab, 3ce7f3c7f313"):
        wanted_series([], swept.store, tmp_path, model=strange, is_flagged=True)
