"""`python -m flows.train_midline OUT`: the small network that finds the spine's middle in a slab (tasks/midline.py).

Learns from simulated patients of the families that training may see: slabs wider than a sweep's, of which a part at a
random lateral place is cut, so that the spine lies anywhere in it. The truth is where the bodies were put.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from flows.process_pool import process_pool
from phantom.picture.scene import scene_of
from phantom.protocol import SEEN, draw_training_patient
from phantom.slabs import render_slab
from tasks.midline import DILATIONS, HALF_WIDTH_MM, across_mm, depth_edges_mm, make_block
from tasks.view import spine_column_mm

FIRST_SEED = 3_300_000  # of patients that no other training and no test draws
WIDE_MM, MOST_ASIDE_MM = 48.0, 18.0
SLABS_PIXEL_MM, SLABS_SPACING_MM = 1.25, 3.0
PARTS_A_PATIENT = 3
WINDOW_ROWS = 64
CHANNELS, KERNEL = 24, (3, 7)
TARGET_SIGMA_MM = 3.0
BEYOND_MM = 15.0  # so far above the first and below the last body the truth is taken to go on
BATCH, RATE = 16, 2e-3


@dataclass(frozen=True)
class Example:
    """A block with the lateral place of the bodies' middle in each of its rows; NaN where there are no bodies."""

    values: NDArray[np.float16]  # (depths, rows, places)
    middle_mm: NDArray[np.float32]  # (rows,)


class MidlineNet(nn.Module):
    """What `tasks.midline.place_shares` computes, for training."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [len(depth_edges_mm()) - 1, *(CHANNELS for _ in DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv2d(n_in, n_out, KERNEL, dilation=(dilation, 1))
            for n_in, n_out, dilation in zip(sizes[:-1], sizes[1:], DILATIONS, strict=True)
        )
        self.out = nn.Conv2d(CHANNELS, 1, (1, 1))

    def forward(self, values: Tensor) -> Tensor:
        """values (N, depths, rows, places) → logits (N, rows, places)."""
        for layer, dilation in zip(self.layers, DILATIONS, strict=True):
            rows, places = dilation * (KERNEL[0] // 2), KERNEL[1] // 2
            values = F.pad(values, (0, 0, rows, rows), "replicate")
            values = torch.relu(layer(F.pad(values, (places, places))))
        return torch.as_tensor(self.out(values).squeeze(1))

    def tensors(self) -> dict[str, Tensor]:
        """As `tasks.midline` reads them, in half precision."""
        named = {
            f"{i}.{name}": value
            for i, layer in enumerate(self.layers)
            for name, value in layer.named_parameters()
        }
        named |= {f"out.{name}": value for name, value in self.out.named_parameters()}
        return {name: value.detach().half().contiguous() for name, value in named.items()}


def draw_examples(order: tuple[int, str]) -> list[Example]:
    """Parts of one patient's slab."""
    seed, family = order
    patient = draw_training_patient(seed, has_fracture=seed % 2 == 0, family=family)
    slab = render_slab(
        patient,
        seed=seed,
        half_width_mm=WIDE_MM,
        pixel_mm=SLABS_PIXEL_MM,
        slice_spacing_mm=SLABS_SPACING_MM,
    )
    scene = scene_of(patient, slab.acquisition, reach_mm=WIDE_MM + SLABS_SPACING_MM)
    centres = np.array(sorted(body.centre_xyz_mm[::-1] for body in scene.patient.vertebrae))  # z, y, x
    rng = np.random.default_rng([seed, 0x51DE])
    middle, half = len(slab.slab_xzy_hu) // 2, round(HALF_WIDTH_MM / SLABS_SPACING_MM)
    most = round(MOST_ASIDE_MM / SLABS_SPACING_MM)
    found = []
    for aside in rng.choice(np.arange(-most, most + 1), size=PARTS_A_PATIENT, replace=False):
        part = slab.slab_xzy_hu[middle + aside - half : middle + aside + half + 1]
        column = spine_column_mm(part, slab.pixel_mm)
        block = make_block(part, slab.pixel_mm, slab.slice_spacing_mm, column)
        z = float(slab.z_mm[0]) + slab.pixel_mm / 2 - block.row_mm
        x = np.interp(z, centres[:, 0], centres[:, 2]) - aside * SLABS_SPACING_MM
        x[(z < centres[0, 0] - BEYOND_MM) | (z > centres[-1, 0] + BEYOND_MM)] = np.nan
        found.append(Example(block.values.astype(np.float16), x.astype(np.float32)))
    return found


def train(examples: Sequence[Example], *, steps: int, seed: int) -> MidlineNet:
    """The network after `steps` of Adam at a falling rate."""
    torch.manual_seed(seed)
    net = MidlineNet()
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rng = np.random.default_rng([seed, 1])
    recent: list[float] = []
    for step in range(steps):
        values, middle = _batch(examples, rng)
        loss = _loss(net(values), middle)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        recent.append(float(loss))
        if step % 100 == 99:
            print(f"step {step + 1} of {steps}, loss {np.mean(recent[-100:]):.3f}", flush=True)
    return net.eval()


def _batch(examples: Sequence[Example], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    windows = [_window(examples[i], rng) for i in rng.integers(len(examples), size=BATCH)]
    values = torch.from_numpy(np.stack([window for window, _ in windows]))
    return values, torch.from_numpy(np.stack([middle for _, middle in windows]))


def _window(example: Example, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Some rows of a block, changed in looks, mirrored at times, the bodies' depth a little off."""
    values, middle = example.values.astype(np.float32), example.middle_mm
    n = values.shape[1]
    first = int(rng.integers(max(1, n - WINDOW_ROWS + 1)))
    rows = np.arange(first, first + WINDOW_ROWS).clip(0, n - 1)
    values, middle = values[:, rows], np.where(first + np.arange(WINDOW_ROWS) < n, middle[rows], np.nan)
    if rng.random() < 0.5:
        values, middle = values[:, :, ::-1], -middle
    values = np.roll(values, int(rng.integers(-2, 3)), axis=0)
    values = values ** np.exp(rng.normal(0, 0.25))
    values = values * rng.uniform(0.75, 1.3) + rng.uniform(-0.12, 0.12)
    if rng.random() < 0.3:  # something else before or behind the spine
        start = int(rng.integers(len(values)))
        values[start : start + 3] = rng.uniform(0, 0.5)
    noise = rng.normal(0, rng.uniform(0, 0.06), values.shape)
    return np.clip(values + noise, 0, 1).astype(np.float32), middle.astype(np.float32)


def _loss(logits: Tensor, middle: Tensor) -> Tensor:
    """Cross-entropy with a bell around the true place, over rows that have one."""
    known = ~middle.isnan()
    places = torch.from_numpy(across_mm())
    at = middle.nan_to_num().clamp(-HALF_WIDTH_MM, HALF_WIDTH_MM)
    bell = torch.exp(-0.5 * ((places - at[..., None]) / TARGET_SIGMA_MM) ** 2)
    bell = bell / bell.sum(dim=2, keepdim=True)
    each = -(bell * logits.log_softmax(dim=2)).sum(dim=2)
    return each[known].mean()


def draw_all(patients: int, workers: int) -> Iterator[list[Example]]:
    """Examples of every patient, families in turn."""
    orders = [(FIRST_SEED + n, SEEN[n % len(SEEN)]) for n in range(patients)]
    with process_pool(workers) as pool:
        yield from pool.map(draw_examples, orders, chunksize=8)


def main() -> None:
    """Draw, train, write, and say the digest that `tasks.midline.FINDERS` names."""
    parser = argparse.ArgumentParser(prog="python -m flows.train_midline", description=__doc__)
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    parser.add_argument("--patients", type=int, default=900)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    examples: list[Example] = []
    for number, own in enumerate(draw_all(given.patients, given.workers), 1):
        examples += own
        if number % 100 == 0:
            print(f"drew {number} of {given.patients} patients", flush=True)
    net = train(examples, steps=given.steps, seed=given.seed)
    save_file(net.tensors(), given.out)
    print(f"{given.out}: SHA-256 {hashlib.sha256(given.out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
