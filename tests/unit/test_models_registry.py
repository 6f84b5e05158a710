"""Models on disk: what was saved comes back, what was altered is refused, nothing is unpickled."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import CONFIG, save_tiny_model

from models.config import SPINE_VIEW
from models.heads import FractureNet
from models.loading import LoadedModel, load_model, save_model
from models.lstm import ScanLstm
from models.registry import (
    BODY_READERS,
    MIDLINE_FINDERS,
    WEIGHTS_FILE,
    ModelError,
    OperatingPoint,
    PartKind,
    describe_model,
    describe_models,
    find_model,
    model_folders,
    read_model_card,
    read_operating_point,
    verify_model,
    write_operating_point,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "tiny"
    directory.mkdir()
    for path in saved.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    return directory


def test_weights_are_half_precision_and_small(saved: Path) -> None:
    assert (saved / "model.safetensors").stat().st_size < 50e6
    loaded = load_model(saved)
    assert isinstance(loaded, LoadedModel)
    assert loaded.net.head.fc1.weight.dtype == torch.float32
    assert not loaded.net.training


def test_model_comes_back_with_its_digest(saved: Path) -> None:
    torch.manual_seed(0)
    fresh = FractureNet(CONFIG)
    loaded = load_model(saved)
    torch.testing.assert_close(
        loaded.net.state_dict()["resnet.conv1.weight"], fresh.resnet.conv1.weight.detach().half().float()
    )
    assert loaded.config == CONFIG
    assert len(loaded.digest) == 64


def test_model_is_found_by_id_and_listed(saved: Path) -> None:
    assert load_model("tiny", root=saved.parent).digest == load_model(saved).digest
    (listing,) = describe_models(saved.parent)
    assert describe_model("tiny", root=saved.parent) == listing
    assert listing.view_name == "tiles-1p25"
    assert listing.model_id == "tiny"
    assert listing.is_simulated_only


def test_operating_point_is_outside_the_digest(copy: Path) -> None:
    before = load_model(copy).digest
    write_operating_point(copy, OperatingPoint(0.9, "by hand", "nothing"))
    assert load_model(copy).digest == before
    assert read_operating_point(copy).threshold == 0.9


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 62},
        {"threshold": "0.5"},
        {"threshold": float("nan")},
        {"calibration_slope": -1},
        {"calibration_intercept": float("inf")},
        {"case_share": 3},
        {"rule": None},
    ],
)
def test_numbers_that_nothing_can_be_flagged_by_are_refused(copy: Path, wrong: dict[str, object]) -> None:
    path = copy / "operating_point.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(ModelError, match="not an operating point"):
        read_operating_point(copy)


@pytest.mark.parametrize(("part", "value"), [("midline", "spine-99"), ("kind", "cube")])
def test_a_view_of_a_later_version_is_told(copy: Path, part: str, value: str) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["view"][part] = value
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="update it"):
        describe_model(copy)


PART_KINDS = pytest.mark.parametrize("kind", [MIDLINE_FINDERS, BODY_READERS], ids=lambda kind: kind.words)


@PART_KINDS
def test_a_changed_byte_in_a_small_network_is_refused_at_once(
    tmp_path: Path, kind: PartKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the driver of a sweep, which builds no network, and by every worker that loads the model."""
    config = replace(CONFIG, view=SPINE_VIEW, bodies=next(iter(BODY_READERS.sha256_by_name)), body_weight=1.0)
    save_model(tmp_path / "model", FractureNet(config), ScanLstm(config), config, "# a card\n")
    verify_model(tmp_path / "model")
    [name] = kind.sha256_by_name
    content = bytearray(kind.path(name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "altered.safetensors").write_bytes(content)
    path_of, altered = PartKind.path, tmp_path / "altered.safetensors"
    monkeypatch.setattr(PartKind, "path", lambda self, of: altered if self is kind else path_of(self, of))
    for refuses in (verify_model, load_model):
        with pytest.raises(ModelError, match=f"{kind.words} '{name}' were altered"):
            refuses(tmp_path / "model")


@PART_KINDS
def test_every_small_network_has_its_hash_in_the_code(kind: PartKind) -> None:
    assert set(kind.sha256_by_name) == {path.stem for path in kind.folder.glob("*.safetensors")}
    assert all(kind.read(name) for name in kind.sha256_by_name)
    with pytest.raises(ModelError, match="cannot be read"):
        kind.read("unheard-of")


def test_card_is_read(saved: Path) -> None:
    assert "Simulated scans only" in read_model_card(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_one_changed_byte_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(ModelError, match="does not match"):
        load_model(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_model(copy)


class Trap:
    """Raises when somebody unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("was unpickled",))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickled_weights_are_refused_unread(copy: Path, protocol: int) -> None:
    (copy / "model.safetensors").write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(ModelError, match="pickled"):
        load_model(copy)


def test_torch_archive_is_refused(copy: Path) -> None:
    torch.save({"a": torch.zeros(1)}, copy / "model.safetensors")
    with pytest.raises(ModelError, match="pickled"):
        load_model(copy)


def test_unknown_id_names_the_known_ones(saved: Path) -> None:
    with pytest.raises(ModelError, match="tiny"):
        load_model("absent", root=saved.parent)


def test_a_partly_written_folder_hides_no_sound_model(saved: Path, copy: Path) -> None:
    root = copy.parent
    shutil.copytree(saved, root / "partly")
    (root / "partly" / WEIGHTS_FILE).unlink()
    shutil.copytree(saved, root / "torn")
    (root / "torn" / "manifest.json").write_text("{")
    assert [model.directory for model in describe_models(root)] == [copy]
    assert find_model(describe_model(copy).digest[:12], root) == copy
    damaged = {folder.name: str(m) for folder, m in model_folders(root) if isinstance(m, ModelError)}
    assert set(damaged) == {"partly", "torn"}
    assert WEIGHTS_FILE in damaged["partly"]


def test_damaged_manifest_is_a_model_error(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load_model(copy)


def test_config_of_another_version_is_a_model_error(copy: Path) -> None:
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**values, "unheard_of": 1}))
    with pytest.raises(ModelError):
        describe_model(copy)


def test_a_worker_with_another_model_is_refused(saved: Path) -> None:
    digest = load_model(saved).digest
    assert load_model(saved, expected_digest=digest).digest == digest
    with pytest.raises(ModelError, match="driver"):
        load_model(saved, expected_digest="0" * 64)


def test_model_error_crosses_process_boundaries() -> None:
    error = pickle.loads(pickle.dumps(ModelError("why")))
    assert isinstance(error, ModelError)
    assert str(error) == "why"
