"""The scorer: bit-equal whatever the batch, the mix and the order; and honest about what it refuses."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.config import TILES_VIEW, ModelConfig
from models.dataset import SequenceScan
from models.heads import FractureNet
from models.infer import ScanScore, Scorer, choose_dtype, has_fast_bf16
from models.loading import LoadedModel
from models.lstm import ScanLstm

SMALL_VIEW = replace(TILES_VIEW, tile_rows=64, tile_cols=64)
CONFIG = ModelConfig(model_id="test", view=SMALL_VIEW)


def seen(images: NDArray[np.generic]) -> SequenceScan:
    """Images of one tile, as the scorer takes them."""
    n = len(images)
    return SequenceScan("", False, images, np.zeros(n, np.int16), np.zeros(n, np.float32))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine are many times faster with one thread than with waiting ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    torch.manual_seed(0)
    net = FractureNet(CONFIG)
    net.train()
    with torch.no_grad():  # batch norms as after some training
        for _ in range(3):
            net(torch.randn(8, 1, 64, 64))
    return LoadedModel(net.eval(), ScanLstm(CONFIG).eval(), CONFIG, "0" * 64, None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scans() -> list[SequenceScan]:
    rng = np.random.default_rng(0)
    return [seen(rng.integers(0, 256, (n, 64, 64), dtype=np.uint8)) for n in (7, 1, 14, 3)]


def equal(a: ScanScore, b: ScanScore) -> bool:
    return (
        a.logit == b.logit
        and np.array_equal(a.slice_logits, b.slice_logits)
        and np.array_equal(a.slice_features, b.slice_features)
    )


def test_score_has_one_row_per_image(loaded: LoadedModel, scans: list[SequenceScan]) -> None:
    scores = Scorer(loaded, device="cpu", batch_size=8).score(scans)
    assert [len(score.slice_logits) for score in scores] == [7, 1, 14, 3]
    assert scores[0].slice_features.shape == (7, 32)
    assert scores[0].slice_features.dtype == np.float32


@pytest.mark.parametrize(
    "precision",
    ["fp32", pytest.param("bf16", marks=() if has_fast_bf16() else pytest.mark.long)],  # slow where emulated
)
def test_scores_are_bit_equal_alone_together_and_in_any_order(
    loaded: LoadedModel, scans: list[SequenceScan], precision: str
) -> None:
    scorer = Scorer(loaded, device="cpu", precision=precision, batch_size=8)  # type: ignore[arg-type]
    together = scorer.score(scans)
    alone = [scorer.score([scan])[0] for scan in scans]
    backwards = scorer.score(scans[::-1])[::-1]
    for first, second, third in zip(together, alone, backwards, strict=True):
        assert equal(first, second)
        assert equal(first, third)


def test_scores_are_bit_equal_whatever_the_threads(loaded: LoadedModel, scans: list[SequenceScan]) -> None:
    """Workers with one core and workers with many give one answer."""
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(Scorer(loaded, device="cpu", precision="fp32", batch_size=8).score(scans))
    finally:
        torch.set_num_threads(before)
    assert all(equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: GPU against CPU is not compared here"
)
@pytest.mark.parametrize(("precision", "apart"), [("fp32", 0.01), ("bf16", 0.1)])
def test_a_gpu_says_what_the_cpu_says_whatever_the_company(
    loaded: LoadedModel, scans: list[SequenceScan], precision: str, apart: float
) -> None:
    on_cpu = Scorer(loaded, device="cpu", precision="fp32", batch_size=8).score(scans)
    on_gpu = Scorer(loaded, device="cuda", precision=precision, batch_size=8)  # type: ignore[arg-type]
    together = on_gpu.score(scans)
    for cpu, gpu, scan in zip(on_cpu, together, scans, strict=True):
        assert gpu.logit == pytest.approx(cpu.logit, abs=apart)
        np.testing.assert_allclose(gpu.slice_logits, cpu.slice_logits, atol=apart)
        assert equal(on_gpu.score([scan])[0], gpu)


def test_scorer_computes_what_the_network_was_trained_as(
    loaded: LoadedModel, scans: list[SequenceScan]
) -> None:
    score = Scorer(loaded, device="cpu", precision="fp32").score(scans[:1])[0]
    pixels = torch.from_numpy(scans[0].images_nhw)[:, None].float() / 255
    with torch.no_grad():
        out = loaded.net((pixels - CONFIG.pixel_mean) / CONFIG.pixel_std)
        logit = float(loaded.lstm(out.features[None])[0])
    np.testing.assert_allclose(score.slice_logits, out.logits.numpy(), atol=2e-3)
    assert score.logit == pytest.approx(logit, abs=2e-3)


def test_scorer_leaves_the_loaded_model_as_it_was(loaded: LoadedModel, scans: list[SequenceScan]) -> None:
    Scorer(loaded, device="cpu")
    assert loaded.net.resnet.conv1.in_channels == 3
    assert isinstance(loaded.net.resnet.bn1, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("shape", [(0, 64, 64), (3, 64, 32), (64, 64)])
def test_images_that_are_none_are_refused(loaded: LoadedModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a scan is"):
        Scorer(loaded, device="cpu").score([seen(np.zeros(shape, np.uint8))])


def test_floats_are_refused(loaded: LoadedModel) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Scorer(loaded, device="cpu").score([seen(np.zeros((1, 64, 64), np.float32))])


def test_no_scans_give_no_scores(loaded: LoadedModel) -> None:
    assert Scorer(loaded, device="cpu").score([]) == []


def test_bf16_is_chosen_only_where_the_processor_has_it() -> None:
    wanted = torch.bfloat16 if has_fast_bf16() else torch.float32
    assert choose_dtype("auto", torch.device("cpu")) == wanted
    assert choose_dtype("fp32", torch.device("cpu")) == torch.float32
