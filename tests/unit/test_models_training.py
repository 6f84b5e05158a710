"""Training data, augmentation, the loop and its stages, on small networks and made-up scans."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.augment import augment, cell_targets
from models.config import TILES_VIEW, ModelConfig
from models.dataset import CROP_MARGIN_PX, SequenceScan, TrainingScan, cut, draw_crop, split_by_patient
from models.heads import FractureNet
from models.lstm import ScanLstm
from models.optimise import Checkpoint, Plateau, Progress, StageRun, rate_share
from models.recipes import PUBLISHED, QUICK, WIDE_AUGMENTATION, Augmentation, Stage
from models.training import (
    Aggregation,
    ExtractorLoss,
    PooledScan,
    TrainerSettings,
    pool_scans,
    pretrain,
    settle_batch_norm,
    train_aggregation,
)

NO_CHANGE = Augmentation(rotate_deg=0, shift_px=0)
SMALL_VIEW = replace(TILES_VIEW, tile_rows=64, tile_cols=64)
CONFIG = ModelConfig(model_id="test", view=SMALL_VIEW)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine are many times faster with one thread than with waiting ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scan_with_lesion(
    n_rows: int = 200, first: int = 100, last: int = 116, patient: str = "a"
) -> TrainingScan:
    mask = np.zeros((n_rows, 120), np.uint8)
    mask[first:last, 50:74] = 1
    images = np.full((2, n_rows, 120), 60, np.uint8) + mask * 100
    return TrainingScan(patient, True, images, np.full(n_rows, 62, np.float32), mask, ((first, last),))


def sound_scan(patient: str = "b") -> TrainingScan:
    mask = np.zeros((200, 120), np.uint8)
    images = np.full((2, 200, 120), 60, np.uint8)
    return TrainingScan(patient, False, images, np.full(200, 62, np.float32), mask)


def test_published_recipe_has_every_published_number() -> None:
    features, lstm, final = PUBLISHED.features, PUBLISHED.lstm, PUBLISHED.final
    assert (features.learning_rate, features.batch, features.epochs) == (0.01, 192, 400)
    assert (features.betas, features.eps, features.weight_decay) == ((0.9, 0.999), 1e-8, 1e-4)
    assert (lstm.learning_rate, lstm.epochs) == (0.1, 600)
    assert PUBLISHED.head_learning_rate == 1e-4
    assert (final.learning_rate, final.epochs) == (1e-6, 50)
    assert PUBLISHED.pretrain.epochs == 0
    assert not PUBLISHED.has_image_truth
    assert PUBLISHED.features_dense_weight == 0
    assert CONFIG.dropout == 0.2
    only_rotation_and_shift = replace(PUBLISHED.augmentation, rotate_deg=0, shift_px=0)
    assert only_rotation_and_shift == NO_CHANGE


def test_a_patient_is_in_one_split_only() -> None:
    patients = [f"p{i % 40}" for i in range(100)]
    splits = split_by_patient(patients, {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=3)
    who = {name: {patients[i] for i in indices} for name, indices in splits.items()}
    assert [len(who[name]) for name in ("train", "validation", "test")] == [32, 4, 4]
    assert not who["train"] & who["validation"]
    assert not (who["train"] | who["validation"]) & who["test"]
    assert sorted(i for indices in splits.values() for i in indices) == list(range(100))


def test_a_split_needs_shares_that_fit() -> None:
    with pytest.raises(ValueError, match="exceed"):
        split_by_patient(["a"], {"train": 0.9, "test": 0.2}, seed=0)


def test_cut_pads_with_air() -> None:
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    assert cut(image, (-1, 2), (3, 3)).tolist() == [[0, 0, 0], [3, 4, 0], [7, 8, 0]]
    assert not cut(image, (10, 10), (2, 2)).any()


def test_crop_holds_the_lesion_and_lies_around_the_spine() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        crop = draw_crop(scan_with_lesion(), (64, 48), rng)
        assert crop.image.shape == crop.mask.shape == (64 + 2 * CROP_MARGIN_PX, 48 + 2 * CROP_MARGIN_PX)
        inner = crop.mask[CROP_MARGIN_PX:-CROP_MARGIN_PX, CROP_MARGIN_PX:-CROP_MARGIN_PX]
        held += int(inner.sum()) == 16 * 24
        assert np.array_equal(crop.mask > 0, crop.image > 100)
    assert held >= 25


def test_augmentation_without_ranges_is_the_middle_of_the_crop() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 40, 40), dtype=np.uint8)
    out, _ = augment(
        torch.from_numpy(image), torch.zeros(1, 40, 40), (24, 20), NO_CHANGE, torch.Generator().manual_seed(0)
    )
    np.testing.assert_allclose(out[0, 0].numpy(), image[0, 8:32, 10:30] / 255, atol=1e-5)


def test_augmentation_moves_mask_and_image_alike() -> None:
    crop = draw_crop(scan_with_lesion(), (96, 64), np.random.default_rng(2))
    geometry = replace(WIDE_AUGMENTATION, gain=0, offset=0, gamma=0, noise=0, blotch=0, blur_px=0)
    images, masks = augment(
        torch.from_numpy(crop.image[None]),
        torch.from_numpy(crop.mask[None]),
        (96, 64),
        geometry,
        torch.Generator().manual_seed(5),
    )
    bright = images[0, 0] > (60 + 100 * 0.9) / 255
    assert float(masks[0, 0][bright].min()) > 0.8
    assert bright.sum() > 200


def test_intensity_stays_in_the_window_and_repeats_by_seed() -> None:
    images = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (4, 60, 60), dtype=np.uint8))
    first, second = (
        augment(images, images * 0, (32, 32), WIDE_AUGMENTATION, torch.Generator().manual_seed(7))[0]
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


def test_cell_is_fractured_when_a_quarter_of_it_is() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[0, 0, :4, :16] = 1  # exactly a quarter of cell (0, 0)
    mask[0, 0, 16:19, 16:32] = 1  # less of cell (1, 1)
    assert cell_targets(mask, 16)[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_plateau_halves_after_its_patience() -> None:
    plateau = Plateau()
    for loss in (1.0, 0.9, 0.9, 0.9):
        plateau.update(loss, patience=2)
    assert plateau.factor == 0.5


def test_one_cycle_rises_and_falls_to_nothing() -> None:
    stage = Stage("s", epochs=1, batch=1, learning_rate=1)
    rates = [rate_share(stage, step, 100, Plateau()) for step in range(100)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01


def quadratic_run(directory: Path | None, epochs: float, seen: list[Progress]) -> nn.Linear:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    stage = Stage("toy", epochs=epochs, batch=1, learning_rate=0.05, schedule="constant")

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng(step)
        x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
        return ((module(x)[:, 0] - x.sum(dim=1)) ** 2).mean()

    run = StageRun(
        stage,
        module,
        [(list(module.parameters()), 1.0)],
        n_items=10,
        checkpoint=None if directory is None else Checkpoint(directory),
        on_progress=seen.append,
    )
    run.run(loss)
    return module


def test_a_resumed_stage_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = quadratic_run(None, 4, [])
    quadratic_run(tmp_path, 2, [])  # "killed" after its last checkpoint, at step 20 of 40
    seen: list[Progress] = []
    resumed = quadratic_run(tmp_path, 4, seen)
    assert [p.step for p in seen] == list(range(21, 41))
    assert seen[-1].seconds_left == 0
    assert torch.equal(whole.weight, resumed.weight)
    assert not list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.pkl"))


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    quadratic_run(tmp_path, 1, [])
    seen: list[Progress] = []
    quadratic_run(tmp_path, 1, seen)
    assert seen == []


def settings(**changes: object) -> TrainerSettings:
    stage = Stage("pretrain", epochs=1, batch=4, learning_rate=1e-3)
    recipe = replace(QUICK, pretrain=stage, pretrain_crop=(64, 48), augmentation=NO_CHANGE)
    return TrainerSettings(replace(recipe, **changes), CONFIG, seed=0)  # type: ignore[arg-type]


def test_half_of_a_batch_is_positive_and_truth_is_the_images_own() -> None:
    scans = [scan_with_lesion(), sound_scan(), sound_scan("c")]
    loss = ExtractorLoss(
        FractureNet(CONFIG), scans, settings(), size=(64, 48), dense_weight=1.0, image_truth=True
    )
    images, cells, labels, known = loss.draw(Stage("s", 1, 8, 0.1), step=0)
    assert images.shape == (8, 1, 64, 48)
    assert cells.shape == (8, 4, 3)
    assert known.all()
    assert torch.equal(labels, cells.amax(dim=(1, 2)))
    assert labels[1::2].sum() == 0  # every second one is drawn from the sound scans
    assert labels[::2].sum() >= 2


def test_label_propagation_gives_every_image_its_scans_label() -> None:
    scans = [scan_with_lesion(first=4, last=14), sound_scan()]
    loss = ExtractorLoss(
        FractureNet(CONFIG), scans, settings(), size=(64, 48), dense_weight=0.0, image_truth=False
    )
    labels = loss.draw(Stage("s", 1, 16, 0.1), step=1)[2]
    assert labels.tolist() == [1.0, 0.0] * 8


def test_pretraining_needs_dense_truth() -> None:
    bare = replace(sound_scan(), lesion_mask=None)
    with pytest.raises(ValueError, match="known"):
        pretrain(FractureNet(CONFIG), [bare], settings())


def test_settled_batch_norm_is_the_plain_average() -> None:
    torch.manual_seed(0)
    net = FractureNet(CONFIG)
    settle_batch_norm(net, lambda step: torch.full((2, 1, 64, 64), float(step)), n_batches=3)
    kernel = net.resnet.conv1.weight.sum(dim=(1, 2, 3))
    inner = net.resnet.conv1(torch.full((1, 3, 64, 64), 1.0)).mean(dim=(0, 2, 3))
    expected = inner.detach()  # mean over steps 0, 1, 2 of a linear map
    assert kernel.shape == (64,)
    torch.testing.assert_close(net.resnet.bn1.running_mean, expected, rtol=1e-4, atol=1e-4)
    assert not net.training


def test_aggregation_learns_and_keeps_batch_norm_frozen() -> None:
    torch.manual_seed(0)
    model = Aggregation(FractureNet(CONFIG).head, ScanLstm(CONFIG))
    rng = np.random.default_rng(0)
    scans = []
    for index in range(24):
        pooled = torch.from_numpy(rng.normal(size=(rng.integers(3, 8), 512)).astype(np.float32))
        pooled[:, :64] += 3.0 * (index % 2)
        scans.append(PooledScan(pooled, bool(index % 2)))
    before = model.head.bn.running_mean.clone()
    first_weight = model.head.fc1.weight.detach().clone()
    lstm = Stage("lstm", epochs=25, batch=12, learning_rate=3e-3)
    final = Stage("final", epochs=1, batch=12, learning_rate=1e-6, schedule="constant")
    train_aggregation(model, scans[:18], scans[18:], settings(lstm=lstm, final=final))
    with torch.no_grad():
        logits = [float(model(s.pooled[None], torch.tensor([len(s.pooled)]))) for s in scans]
    assert torch.equal(model.head.bn.running_mean, before)
    assert not torch.equal(model.head.fc1.weight, first_weight)
    assert min(logits[1::2]) > max(logits[::2])


def test_pooled_vectors_do_not_depend_on_training_mode() -> None:
    torch.manual_seed(0)
    net = FractureNet(CONFIG).train()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    scan = SequenceScan("a", True, images)
    (first,) = pool_scans(net, [scan], CONFIG, None)
    (second,) = pool_scans(net, [scan], CONFIG, None)
    assert first.pooled.shape == (3, 512)
    assert torch.equal(first.pooled, second.pooled)
