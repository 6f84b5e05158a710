"""Training data, augmentation, the loop and its stages, on small networks and made-up scans."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.augment import augment
from models.config import TILES_VIEW, ModelConfig
from models.dataset import (
    CROP_MARGIN_PX,
    FRACTURED,
    LOSSES,
    N_FACTS,
    N_LABELS,
    STATUS,
    UNKNOWN,
    DenseTruth,
    SequenceScan,
    TrainingScan,
    cut,
    draw_crop,
    split_by_patient,
)
from models.dense_truth import dense_targets, image_labels
from models.heads import FractureNet, focus
from models.lstm import ScanLstm
from models.optimise import Checkpoint, DivergedError, Plateau, Progress, StageRun, rate_share
from models.recipes import PUBLISHED, QUICK, WIDE_AUGMENTATION, WILD_AUGMENTATION, Augmentation, Stage
from models.training import (
    Aggregation,
    ExtractorLoss,
    PooledScan,
    TrainerSettings,
    _aggregation_loss,
    pool_scans,
    pretrain,
    settle_batch_norm,
    train_aggregation,
)

NO_CHANGE = Augmentation(rotate_deg=0, shift_px=0)
SMALL_VIEW = replace(TILES_VIEW, tile_rows=64, tile_cols=64)
CONFIG = ModelConfig(model_id="test", view=SMALL_VIEW)
WIDE_CONFIG = replace(CONFIG, pooling="focus", dense_channels=5, dense_hidden=32, dense_stride=8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine are many times faster with one thread than with waiting ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LESION = 9  # the label of the fractured body


def facts(**losses: float) -> np.ndarray:
    bodies = np.zeros((N_LABELS, N_FACTS), np.float32)
    bodies[LESION] = (FRACTURED, losses.get("front", 0.4), 0.3, 0.0)
    return bodies


def scan_with_lesion(
    n_rows: int = 200, first: int = 100, last: int = 116, patient: str = "a"
) -> TrainingScan:
    mask = np.zeros((2, n_rows, 120), np.uint8)
    mask[:, first:last, 50:74] = 1
    truth = DenseTruth(mask[:, ::2, ::2] * np.uint8(LESION), facts(), ((first, last),))
    images = np.full((2, n_rows, 120), 60, np.uint8) + mask * np.uint8(100)
    return TrainingScan(patient, True, images, np.full(n_rows, 62, np.float32), truth)


def sound_scan(patient: str = "b", *, is_real: bool = False) -> TrainingScan:
    truth = DenseTruth(np.zeros((2, 100, 60), np.uint8), np.zeros((N_LABELS, N_FACTS), np.float32))
    images = np.full((2, 200, 120), 60, np.uint8)
    return TrainingScan(patient, False, images, np.full(200, 62, np.float32), truth, is_real)


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
        crop = draw_crop(scan_with_lesion(), (64, 48), rng, aside_px=4)
        assert crop.image.shape == (64 + 2 * CROP_MARGIN_PX, 48 + 2 * CROP_MARGIN_PX)
        assert crop.labels.shape == (crop.image.shape[0] // 2, crop.image.shape[1] // 2)
        inner = crop.labels[CROP_MARGIN_PX // 2 : -CROP_MARGIN_PX // 2]
        held += int((inner > 0).sum()) == 8 * 12
        assert np.array_equal(crop.labels > 0, crop.image[::2, ::2] > 100)
    assert held >= 25


def test_augmentation_without_ranges_is_the_middle_of_the_crop() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 40, 40), dtype=np.uint8)
    none = torch.zeros(1, 20, 20, dtype=torch.uint8)
    out, _ = augment(torch.from_numpy(image), none, (24, 20), NO_CHANGE, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(out[0, 0].numpy(), image[0, 8:32, 10:30] / 255, atol=1e-5)


def test_cortex_fades_to_its_marrow_and_nothing_else_changes() -> None:
    """A body of 24 pixels with a bright shell beside a bright rib: only the shell of the body darkens."""
    image, labels = np.full((1, 48, 48), 40, np.uint8), np.zeros((1, 24, 24), np.uint8)
    image[0, 12:36, 12:36], image[0, 14:34, 14:34] = 200, 90
    image[0, :, 44:] = 220
    labels[0, 6:18, 6:18] = 5
    given = torch.from_numpy(image), torch.from_numpy(labels)
    before, _ = augment(*given, (48, 48), NO_CHANGE, torch.Generator().manual_seed(1))
    faded = []
    for seed in range(4):
        ranges = replace(NO_CHANGE, cortex=1.0)
        after, _ = augment(*given, (48, 48), ranges, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(after[0, 0, 15:33, 15:33], before[0, 0, 15:33, 15:33])
        torch.testing.assert_close(after[0, 0, :, 40:], before[0, 0, :, 40:])
        assert (after <= before + 1e-6).all()
        shell = after[0, 0, 12, 16:32] * 255
        assert (shell >= 89).all()
        faded.append(float(shell.mean()))
    assert max(faded) - min(faded) > 10  # each image by itself
    untouched, _ = augment(*given, (48, 48), NO_CHANGE, torch.Generator().manual_seed(0))
    torch.testing.assert_close(untouched, before)


def test_augmentation_moves_labels_and_image_alike() -> None:
    crop = draw_crop(scan_with_lesion(), (96, 64), np.random.default_rng(2))
    geometry = Augmentation(rotate_deg=12, shift_px=8, rise_px=8, scale=0.15, stretch=0.04, bend_px=6)
    images, labels = augment(
        torch.from_numpy(crop.image[None]),
        torch.from_numpy(crop.labels[None]),
        (96, 64),
        geometry,
        torch.Generator().manual_seed(5),
    )
    bright = torch.nn.functional.avg_pool2d(images[:, 0], 4)[0] * 255
    assert bool((labels[0][bright > 158] == LESION).all())
    assert bool((labels[0][bright < 62] == 0).all())
    assert (labels[0] == LESION).sum() > 12


@pytest.mark.parametrize("ranges", [WIDE_AUGMENTATION, WILD_AUGMENTATION])
def test_intensity_stays_in_the_window_and_repeats_by_seed(ranges: Augmentation) -> None:
    images = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (4, 60, 60), dtype=np.uint8))
    labels = torch.from_numpy(np.random.default_rng(4).integers(0, 18, (4, 30, 30), dtype=np.uint8))
    first, second = (
        augment(images, labels, (32, 32), ranges, torch.Generator().manual_seed(7))[0] for _ in range(2)
    )
    assert torch.equal(first, second)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert float(first.std()) > 0.02


def test_cells_know_fractures_bodies_and_losses() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)  # places of 4 pixels: 32 x 32
    labels[0, 1, 1] = LESION  # one place of four of cell (0, 0)
    labels[0, 4:6, 4:6] = 3  # cell (2, 2): nothing known of its heights
    bodies = torch.from_numpy(facts())[None]
    bodies[0, 3, LOSSES] = UNKNOWN
    found = dense_targets(labels, bodies, 8)
    assert found.fracture[0].nonzero().tolist() == [[0, 0]]
    assert found.body[0].nonzero().tolist() == [[0, 0], [2, 2]]
    np.testing.assert_allclose(found.losses[0, :, 0, 0], [2.0, 1.5, 0.0])  # in fifths of a height
    assert found.loss_weight[0].nonzero().tolist() == [[0, 0]]
    assert bool((found.body_weight == 1).all())


def test_an_image_with_a_sliver_of_a_fracture_or_an_unknown_body_teaches_no_label() -> None:
    labels = torch.zeros(4, 8, 8, dtype=torch.long)
    labels[0, 2:5, 2:5] = LESION
    labels[1, 7, :2] = LESION
    labels[2, 2:5, 2:5] = 4
    bodies = torch.from_numpy(facts())[None].repeat(4, 1, 1)
    bodies[2, 4, STATUS] = UNKNOWN
    said, weights = image_labels(labels, bodies)
    assert said.tolist() == [1, 0, 0, 0]
    assert weights.tolist() == [1, 0, 0, 1]


def test_images_and_cells_near_the_limit_are_taught_soft_labels() -> None:
    """Bodies of 19, 21 and 50 %, one fractured that nobody measured, and one of another cause, which is unknown."""
    labels = torch.zeros(5, 8, 8, dtype=torch.long)
    labels[:, 2:5, 2:5] = LESION
    bodies = torch.zeros(5, N_LABELS, N_FACTS)
    bodies[1:, LESION, STATUS] = FRACTURED
    bodies[4, LESION, STATUS] = UNKNOWN
    bodies[:, LESION, LOSSES] = torch.tensor([[0.19], [0.21], [0.5], [UNKNOWN], [0.4]])
    near = 1 / (1 + math.exp(0.5))
    said, weights = image_labels(labels, bodies, 0.02)
    np.testing.assert_allclose(said, [near, 1 - near, 1, 1, 0], atol=1e-4)
    assert weights.tolist() == [1, 1, 1, 1, 0]
    cells = dense_targets(labels, bodies, 8, 0.02)
    np.testing.assert_allclose(cells.fracture[:, 1, 1], said, atol=1e-4)
    np.testing.assert_allclose(cells.fracture[:, 3, 3], 0, atol=1e-4)
    assert cells.fracture_weight[:, 1, 1].tolist() == weights.tolist()
    hard, _ = image_labels(labels, bodies)
    assert hard.tolist() == [0, 1, 1, 1, 0]


def test_pooling_with_focus_reads_where_the_dense_head_points() -> None:
    deep = torch.zeros(1, 512, 2, 2)
    deep[0, :, 1, 1] = 1.0
    cells = torch.full((1, 8, 8), -6.0)
    assert float(focus(deep, cells)[0, 0]) == pytest.approx(0.25)
    cells[0, 6, 6] = 4.0
    assert float(focus(deep, cells)[0, 0]) > 0.99


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


def test_a_loss_that_is_no_number_ends_the_stage_before_it_reaches_weights_and_checkpoint(
    tmp_path: Path,
) -> None:
    module = nn.Linear(3, 1)
    stage = Stage("toy", epochs=2, batch=1, learning_rate=0.05, schedule="constant")
    groups = [(list(module.parameters()), 1.0)]
    run = StageRun(stage, module, groups, n_items=10, checkpoint=Checkpoint(tmp_path, every_s=0))
    with pytest.raises(DivergedError, match="stage toy: the loss is not finite any more at step 5"):
        run.run(lambda step: module(torch.ones(1, 3)).sum() * (math.nan if step == 4 else 1.0))
    assert all(bool(p.isfinite().all()) for p in module.parameters())
    assert json.loads((tmp_path / "toy.json").read_text())["step"] == 4


def settings(**changes: object) -> TrainerSettings:
    stage = Stage("pretrain", epochs=1, batch=4, learning_rate=1e-3)
    recipe = replace(QUICK, pretrain=stage, pretrain_crop=(64, 48), augmentation=NO_CHANGE)
    return TrainerSettings(replace(recipe, **changes), CONFIG, seed=0)  # type: ignore[arg-type]


def test_half_of_a_batch_is_positive_and_truth_is_the_images_own() -> None:
    scans = [scan_with_lesion(), sound_scan(), sound_scan("c")]
    loss = ExtractorLoss(
        FractureNet(CONFIG), scans, settings(), size=(64, 48), dense_weight=1.0, image_truth=True
    )
    batch = loss.draw(Stage("s", 1, 8, 0.1), step=0)
    assert batch.images.shape == (8, 1, 64, 48)
    assert batch.cells.fracture.shape == (8, 4, 3)
    assert batch.is_known.all()
    shown = batch.cells.fracture.flatten(1).amax(dim=1)
    assert torch.equal(batch.labels[batch.label_weights > 0], shown[batch.label_weights > 0])
    assert batch.labels[1::2].sum() == 0  # every second one is drawn from the sound scans
    assert batch.labels[::2].sum() >= 2


def test_a_stage_draws_its_share_of_scans_made_of_real_ones() -> None:
    scans = [scan_with_lesion(), sound_scan(), sound_scan("c", is_real=True)]
    loss = ExtractorLoss(
        FractureNet(CONFIG), scans, settings(), size=(64, 48), dense_weight=1.0, image_truth=True
    )
    rng = np.random.default_rng(0)
    assert loss._choose(Stage("s", 1, 40, 0.1), 0, rng).count(2) == 0
    assert 10 <= loss._choose(Stage("s", 1, 40, 0.1, real_share=0.5), 0, rng).count(2) <= 30


def test_label_propagation_gives_every_image_its_scans_label() -> None:
    scans = [scan_with_lesion(first=4, last=14), sound_scan()]
    loss = ExtractorLoss(
        FractureNet(CONFIG), scans, settings(), size=(64, 48), dense_weight=0.0, image_truth=False
    )
    batch = loss.draw(Stage("s", 1, 16, 0.1), step=1)
    assert batch.labels.tolist() == [1.0, 0.0] * 8
    assert bool((batch.label_weights == 1).all())


def test_pretraining_needs_dense_truth() -> None:
    bare = replace(sound_scan(), truth=None)
    with pytest.raises(ValueError, match="known"):
        pretrain(FractureNet(CONFIG), [bare], settings(), settings().recipe.pretrain)


@pytest.mark.parametrize("config", [CONFIG, WIDE_CONFIG])
def test_one_step_of_either_network_moves_every_weight(config: ModelConfig) -> None:
    torch.manual_seed(0)
    net = FractureNet(config)
    scans = [scan_with_lesion(), sound_scan()]
    wide = TrainerSettings(settings().recipe, config, seed=0)
    loss = ExtractorLoss(net.train(), scans, wide, size=(64, 48), dense_weight=1.0, image_truth=True)
    loss(Stage("s", 1, 8, 0.1), 0).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


def test_settled_batch_norm_is_the_plain_average() -> None:
    torch.manual_seed(0)
    net = FractureNet(CONFIG)
    settle_batch_norm(net, lambda step: torch.full((2, 1, 64, 64), float(step)), n_batches=3)
    kernel = net.resnet.conv1.weight.sum(dim=(1, 2, 3))
    inner = net.resnet.conv1(torch.full((1, 3, 64, 64), 1.0)).mean(dim=(0, 2, 3))
    expected = inner.detach()  # mean over steps 0, 1, 2 of a linear map
    assert kernel.shape == (64,)
    torch.testing.assert_close(
        net.resnet.bn1.running_mean, expected, rtol=1e-2, atol=4e-3
    )  # bf16 where it is fast
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
    before = {name: value.clone() for name, value in model.head.bn.state_dict().items()}
    first_weight = model.head.fc1.weight.detach().clone()
    lstm = Stage("lstm", epochs=25, batch=12, learning_rate=3e-3)
    final = Stage("final", epochs=1, batch=12, learning_rate=1e-6, schedule="constant")
    train_aggregation(model, scans[:18], scans[18:], settings(lstm=lstm, final=final))
    with torch.no_grad():
        logits = [float(model(s.pooled[None], torch.tensor([len(s.pooled)]))) for s in scans]
    after = model.head.bn.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not torch.equal(model.head.fc1.weight, first_weight)
    assert min(logits[1::2]) > max(logits[::2])


def test_labels_near_the_limit_are_soft_where_losses_are_known() -> None:
    """Two logits at 19 and 21 %, nearly alike; far from the limit, and without a loss or a width, 0 and 1."""
    vector = torch.zeros(1, 512)
    low, high = PooledScan(vector, False, 0.19), PooledScan(vector, True, 0.21)
    assert low.label(0.02) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert low.label(0.02) + high.label(0.02) == pytest.approx(1)
    assert PooledScan(vector, False, 0.0).label(0.02) < 1e-4
    assert PooledScan(vector, True, 0.5).label(0.02) > 1 - 1e-4
    assert (low.label(0.0), high.label(0.0)) == (0.0, 1.0)
    assert (PooledScan(vector, False).label(0.02), PooledScan(vector, True).label(0.02)) == (0.0, 1.0)


def test_what_the_bodies_say_stands_beside_the_lstm_in_its_loss() -> None:
    torch.manual_seed(0)
    model = Aggregation(FractureNet(CONFIG).head, ScanLstm(CONFIG)).eval()
    silent = [PooledScan(torch.randn(3, 512), True), PooledScan(torch.randn(2, 512), False)]
    right = [replace(silent[0], shares=(1.0, 3.0)), replace(silent[1], shares=(1.0, -3.0))]
    wrong = [replace(silent[0], shares=(1.0, -3.0)), replace(silent[1], shares=(1.0, 3.0))]
    losses = [_aggregation_loss(model, scans, 0.0).item() for scans in (right, silent, wrong)]
    assert losses == sorted(losses)
    logits = model(torch.randn(2, 3, 512), torch.tensor([3, 2]))
    assert logits.shape == (2,)


def test_pooled_vectors_do_not_depend_on_training_mode() -> None:
    torch.manual_seed(0)
    net = FractureNet(CONFIG).train()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    scan = SequenceScan("a", True, images, np.zeros(3, np.int16), np.zeros(3, np.float32))
    (first,) = pool_scans(net, [scan], CONFIG, None)
    (second,) = pool_scans(net, [scan], CONFIG, None)
    assert first.pooled.shape == (3, 512)
    assert torch.equal(first.pooled, second.pooled)
