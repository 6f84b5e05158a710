"""Scores scans with one loaded model: batches cross scans, and the answer does not depend on the company.

Every batch has one fixed shape (the last one is filled up with black images), so that each image goes through
the same kernels wherever it lies; what follows the convolutions runs in fp32, image by image, scan by scan.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bodies import LEAST_VERTEBRAE, FoundBody, reader_of, shares, worst_logit
from models.config import ModelConfig
from models.dataset import TiledImages
from models.heads import FractureNet
from models.loading import LoadedModel
from models.lstm import ScanLstm
from models.resnet import fold_batch_norm

Precision = Literal["auto", "fp32", "bf16"]

CPU_BATCH, CUDA_BATCH = 16, 256
PRECISION_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class ScanScore:
    """What the model said about one scan, raw, in fp32."""

    logit: float  # of the scan, by the LSTM and by its vertebrae, where the model reads them one by one
    slice_logits: NDArray[np.float32]  # (n,)
    slice_features: NDArray[np.float32]  # (n, 32)
    # From head to foot, each with how fractured it is; None of a model that reads none.
    vertebrae: list[tuple[FoundBody, float]] | None
    precision: str  # of the convolutions: fp32 | bf16
    device: str  # cpu | cuda

    @property
    def body_logit(self) -> float | None:
        """Of the most suspicious vertebra; None where none is heard, and of a model that reads none."""
        return None if self.vertebrae is None else worst_logit(self.vertebrae)

    @property
    def n_vertebrae(self) -> int | None:
        """Whole ones that were heard; None of a model that reads none."""
        return None if self.vertebrae is None else sum(body.may_speak for body, _ in self.vertebrae)

    @property
    def lacks_vertebrae(self) -> bool:
        """Whether too little of a spine is seen for the answer to count: a limb, a lung, a slab beside the spine."""
        return self.n_vertebrae is not None and self.n_vertebrae < LEAST_VERTEBRAE

    @property
    def is_finite(self) -> bool:
        """Whether every answer is a number; else none of them counts."""
        answers = (self.logit, self.slice_logits, self.slice_features)
        return all(bool(np.isfinite(answer).all()) for answer in answers)


def has_fast_bf16() -> bool:
    """True when this CPU multiplies bf16 in hardware (AVX-512 BF16 or AMX); elsewhere bf16 is slow."""
    able = torch.cpu.get_capabilities()
    return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16"))


def choose_device(device: str | None) -> torch.device:
    """`device` when given, else CUDA when there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of the convolutions. `auto`: bf16 where the hardware has it, else fp32."""
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    # Below compute capability 8 a GPU emulates it, slowly.
    is_cuda = device.type == "cuda"
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if is_cuda else has_fast_bf16()
    return torch.bfloat16 if fast else torch.float32


class Convolutions:
    """The convolutional part, folded and made ready for one device: images in, pooled 512-vectors out."""

    def __init__(
        self,
        net: FractureNet,
        config: ModelConfig,
        device: torch.device,
        dtype: torch.dtype,
        batch_size: int | None = None,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.batch_size = batch_size or (CUDA_BATCH if device.type == "cuda" else CPU_BATCH)
        self.net = copy.deepcopy(net).float().cpu().eval().requires_grad_(False)
        resnet = fold_batch_norm(copy.deepcopy(net.resnet).float()).requires_grad_(False)
        self.resnet = resnet.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pooled(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Tensor]:
        """The pooled last feature map of each image, (512,) in fp32 on the CPU, in order."""
        left = iter(images)
        while batch := list(islice(left, self.batch_size)):
            dense, deep = self._convolve(batch)
            for index in range(len(batch)):
                yield self._pool(dense[index], deep[index])

    def _pool(self, dense: Tensor, deep: Tensor) -> Tensor:
        """One image by itself, in fp32: no shape to depend on. dense (256, H, W), deep (512, h, w) → (512,)."""
        if self.net.pooling == "mean":
            return deep.mean(dim=(1, 2))
        with torch.inference_mode():
            return self.net.pool(deep[None], self.net.dense_head(dense[None]))[0]

    def _convolve(self, batch: list[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        """Up to `batch_size` images → stride-16 and stride-32 features on the CPU in fp32, filled up with black."""
        recipe = self.config.view
        filled = np.zeros((self.batch_size, 1, recipe.tile_rows, recipe.tile_cols), np.uint8)
        filled[: len(batch), 0] = batch
        with torch.inference_mode():
            pixels = torch.from_numpy(filled).to(self.device).float() / 255
            pixels = (pixels - self.config.pixel_mean) / self.config.pixel_std
            pixels = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
            dense, deep = self.resnet(pixels)
            return cast(Tensor, dense.float().cpu().contiguous()), cast(
                Tensor, deep.float().cpu().contiguous()
            )


class Scorer:
    """One model, made ready for one device once, then used for any number of scans. Not for training."""

    def __init__(
        self,
        loaded: LoadedModel,
        device: str | None = None,
        precision: Precision = "auto",
        batch_size: int | None = None,
    ) -> None:
        self.config: ModelConfig = loaded.config
        self.digest = loaded.digest
        chosen = choose_device(device)
        dtype = choose_dtype(precision, chosen)
        self.convolutions = Convolutions(loaded.net, loaded.config, chosen, dtype, batch_size)
        self.head = copy.deepcopy(loaded.net.head).float().cpu().eval()
        self.bodies = reader_of(loaded.config.bodies, chosen) if loaded.config.bodies else None
        self.lstm: ScanLstm = copy.deepcopy(loaded.lstm).float().cpu().eval()

    def score(self, views: Sequence[TiledImages]) -> list[ScanScore]:
        """views: of one scan each, as `make_view` gives them, n ≥ 1 images → one score each.

        ValueError when a scan has no images or of another size than the model's view.
        """
        for view in views:
            self._check(view.images_nhw)
        pooled = self.convolutions.pooled(image for view in views for image in view.images_nhw)
        return [self._scan_score(view, list(islice(pooled, len(view.images_nhw)))) for view in views]

    def _check(self, images_nhw: NDArray[np.uint8]) -> None:
        recipe = self.config.view
        size = (recipe.tile_rows, recipe.tile_cols)
        if images_nhw.ndim != 3 or len(images_nhw) == 0 or images_nhw.shape[1:] != size:
            raise ValueError(f"a scan is (n ≥ 1, {recipe.tile_rows}, {recipe.tile_cols}) for this model")
        if images_nhw.dtype != np.uint8:
            raise ValueError("the images of a scan are uint8")

    def _scan_score(self, view: TiledImages, pooled: list[Tensor]) -> ScanScore:
        vertebrae = self.bodies.vertebrae(view) if self.bodies is not None else None
        with torch.inference_mode():
            said = [self.head(one[None]) for one in pooled]  # one by one: no matrix shape to depend on
            features = torch.cat([feature for feature, _ in said])  # (n, 32)
            logit = float(self.lstm(features[None])[0])
            if vertebrae is not None:
                times, added = shares(worst_logit(vertebrae), self.config.body_weight)
                logit = times * logit + added
            return ScanScore(
                logit=logit,
                slice_logits=torch.cat([one for _, one in said]).numpy(),
                slice_features=features.numpy(),
                vertebrae=vertebrae,
                precision=PRECISION_NAMES[self.convolutions.dtype],
                device=self.convolutions.device.type,
            )
