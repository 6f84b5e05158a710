"""A whole training, tiny: every stage runs, the model loads and scores, and a second call repeats nothing."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flows.errors import SettingsError
from flows.train import train_on_phantoms
from models.config import SPINE_VIEW, ModelConfig
from models.heads import FractureNet
from models.loading import load_model, save_model
from models.lstm import ScanLstm
from models.optimise import Progress
from models.recipes import PUBLISHED, QUICK, Stage
from models.registry import read_model_card, read_operating_point
from models.resnet import ResNet34

TINY = replace(
    QUICK,
    name="tiny",
    pretrain=Stage("pretrain", epochs=0.2, batch=4, learning_rate=1e-3),
    pretrain_crop=(64, 32),
    features=Stage("features", epochs=0.1, batch=4, learning_rate=1e-3),
    lstm=Stage("lstm", epochs=2, batch=8, learning_rate=1e-3),
    final=Stage("final", epochs=1, batch=8, learning_rate=1e-6, schedule="constant"),
    patients=(4, 6, 4, 4),
)


# Coarse and small, so that the networks take milliseconds.
TINY_VIEW = replace(SPINE_VIEW, pixel_mm=4.0, tile_rows=64, tile_cols=64, max_bytes=5 * 64 * 64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine are many times faster with one thread than with waiting ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scans of one seed lie, for every training here that reads them."""
    return tmp_path_factory.mktemp("scans")


@pytest.fixture
def out(tmp_path: Path, drawn: Path) -> Path:
    (tmp_path / "scans").symlink_to(drawn, target_is_directory=True)
    return tmp_path


def run_tiny(out: Path, seed: int = 3) -> str:
    return train_on_phantoms(out, recipe=TINY, seed=seed, say=lambda _: None, workers=1, view=TINY_VIEW)


@pytest.mark.slow
def test_a_training_runs_through_and_a_second_call_resumes(out: Path) -> None:
    summary = run_tiny(out)
    first = load_model(out)
    assert "simulated scans only" in summary
    assert "Not for clinical use" in read_model_card(out)
    assert 0 < read_operating_point(out).threshold < 1
    assert (out / "evaluation_scans.csv").read_text().count("\n") == 5
    patients = json.loads((out / "training.json").read_text())["simulated_patients"]
    seeds = [range(part["first_seed"], part["first_seed"] + part["n"]) for part in patients.values()]
    assert len(set().union(*seeds)) == sum(map(len, seeds))  # nobody is in two parts
    curves = (out / "curves.csv").read_bytes()
    ran = {stage.name for stage in (TINY.pretrain, TINY.features, TINY.lstm, TINY.final) if stage.epochs > 0}
    assert ran <= {line.split(b",")[0].decode() for line in curves.splitlines()[1:]}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    run_tiny(out)
    assert load_model(out).digest == first.digest
    assert (out / "curves.csv").read_bytes() == curves
    with pytest.raises(SettingsError, match="another training"):
        run_tiny(out, seed=4)
    assert load_model(out).digest == first.digest


def test_a_model_of_patients_is_no_start_for_simulated_scans(tmp_path: Path) -> None:
    """Its patients would be forgotten on the way, and the next training on their warehouse could test on them."""
    torch.manual_seed(0)
    config = ModelConfig(model_id="own", view=TINY_VIEW, is_simulated_only=False)
    save_model(tmp_path / "own", FractureNet(config), ScanLstm(config), config, "# own\n")
    with pytest.raises(SettingsError, match="trained on patients"):
        train_on_phantoms(
            tmp_path / "out", recipe=TINY, say=lambda _: None, view=TINY_VIEW, start=str(tmp_path / "own")
        )


@pytest.mark.long
def test_published_begins_from_public_weights_and_follows_a_validation_loss(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []
    monkeypatch.setattr("flows.train.progress_words", lambda _: seen.append)
    tiny = replace(
        PUBLISHED,
        name="tiny-published",
        patients=(8, 12, 4, 4),
        features=replace(PUBLISHED.features, epochs=2, batch=4),
        lstm=replace(PUBLISHED.lstm, epochs=2, batch=8),
        final=replace(PUBLISHED.final, epochs=1, batch=8),
    )
    public = out / "resnet34.safetensors"
    save_file({name: value.contiguous() for name, value in ResNet34().state_dict().items()}, public)
    train_on_phantoms(
        out, recipe=tiny, seed=3, say=lambda _: None, workers=1, view=TINY_VIEW, start=str(public)
    )
    assert json.loads((out / "training.json").read_text())["start"].startswith("public weights resnet34.saf")
    for stage in ("features", "lstm"):
        validated = [p.step for p in seen if p.stage == stage and math.isfinite(p.validation_loss)]
        assert validated  # once each whole epoch


def test_a_recipe_that_does_not_exist_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="quick"):
        train_on_phantoms(tmp_path, recipe="slow")
