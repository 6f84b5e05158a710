"""Row 4: slices scored per second, against the same network as plain fp32 PyTorch, one thread each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row, in_turns
from benchmarks.model import benchmark_model
from models.infer import CPU_BATCH, Convolutions, choose_dtype, has_fast_bf16
from models.loading import LoadedModel, load_model

N_BATCHES, TURNS = 3, 4
TARGET = 6.0
MOST_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # relative, of pooled features


def scoring_rows(folder: Path) -> list[Row]:
    """Our convolutions (folded, channels last, bf16 where the processor has it) against eager fp32."""
    torch.set_num_threads(1)
    loaded = load_model(benchmark_model(folder))
    view = loaded.config.view
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (N_BATCHES * CPU_BATCH, view.tile_rows, view.tile_cols)).astype(np.uint8)
    device = torch.device("cpu")
    dtype = choose_dtype("auto", device)
    ours = Convolutions(loaded.net, loaded.config, device, dtype)
    _check_same(ours, loaded, images[:CPU_BATCH])
    pair = in_turns(lambda: list(ours.pooled(images)), lambda: eager_pooled(loaded, images), turns=TURNS)
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    giga = flop_of(lambda: eager_pooled(loaded, images)) / 1e9
    speeds = f"{giga / pair.ours_median_s:.0f} against {giga / pair.peer_median_s:.0f} GFLOP/s"
    missing = "" if has_fast_bf16() else f"this processor has no bf16; in fp32 {pair.times_faster:.2f} ×; "
    return [
        Row(
            number="4",
            what="slices scored per second on a CPU with bf16",
            against=f"eager fp32, same threads (one), batches of {CPU_BATCH}",
            ours=f"{len(images) / pair.ours_median_s:.1f}/s ({precision})",
            peer=f"{len(images) / pair.peer_median_s:.1f}/s (fp32)",
            ratio=pair.times_faster if has_fast_bf16() else None,
            target=TARGET,
            note=f"{missing}{speeds}",
            numbers={"ours_s": pair.ours_s, "peer_s": pair.peer_s, "fp32_or_bf16_ratio": pair.times_faster},
        )
    ]


def flop_of(work: Callable[[], object]) -> int:
    """Floating-point operations of the network in one call: what a processor's peak can be held against."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def eager_pooled(loaded: LoadedModel, images: NDArray[np.uint8]) -> torch.Tensor:
    """The network as written: contiguous, nothing folded, three equal channels, fp32."""
    config = loaded.config
    with torch.inference_mode():
        parts = []
        for first in range(0, len(images), CPU_BATCH):
            batch = torch.from_numpy(images[first : first + CPU_BATCH])[:, None].float() / 255
            dense, deep = loaded.net.resnet((batch - config.pixel_mean) / config.pixel_std)
            parts.append(loaded.net.pool(deep, loaded.net.dense_head(dense)))
        return torch.cat(parts)


def _check_same(ours: Convolutions, loaded: LoadedModel, images: NDArray[np.uint8]) -> None:
    """Both give the same features. Raises RuntimeError."""
    loaded.net.eval()
    found, expected = torch.stack(list(ours.pooled(images))), eager_pooled(loaded, images)
    difference = float((found - expected).norm() / expected.norm())
    if difference > MOST_DIFFERENCE[ours.dtype]:
        raise RuntimeError(f"the two ways of scoring differ by {difference:.1e}")
