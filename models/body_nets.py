"""Three small networks that read vertebrae one by one (`bodies.py`): a finder, a reader of one, of its neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FINDER_WIDTHS = (16, 32, 64, 96)
READER_WIDTHS = (16, 32, 64)
CELL_PX = 4  # of the finder's answers
HEIGHT_MM = 20.0  # heights are told in units of it
# What the finder says of a cell: body?, three heights, their spreads (log), the way to the body's middle in cells.
BODY, HEIGHTS, SPREADS, OFFSETS = 0, slice(1, 4), slice(4, 7), slice(7, 9)
N_SAID = 9
# What the reader says of a body: heights before and after they were lost, and how fractured it is.
LEFT, INTACT, FRACTURE = slice(0, 3), slice(3, 6), 6
N_READ = 7
PATCH_ROWS, PATCH_COLS = 72, 48  # of 1.25 mm: 90 × 60 mm, so that half of either neighbour is seen
NEIGHBOURS = 4  # to either side
N_FACTS = 19  # of a body: what both networks said, its place, and 1


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def _halved(channels: int, wanted: int, size: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(channels, wanted, size, 2, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(wanted), nn.ReLU())


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class BodyFinder(nn.Module):
    """A U-Net over one image: cells of 5 mm that say what `BODY` to `OFFSETS` name, and the share of body in 2.5 mm."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = FINDER_WIDTHS
        self.stem = nn.Sequential(_halved(1, a, 5), _Residual(a))
        self.down1 = nn.Sequential(_halved(a, b), _Residual(b))
        self.down2 = nn.Sequential(_halved(b, c), _Residual(c), _Residual(c))
        self.down3 = nn.Sequential(_halved(c, d), _Residual(d), _Residual(d))
        self.widen2, self.up2 = nn.Conv2d(d, c, 1), _Residual(c)
        self.widen1, self.up1 = nn.Conv2d(c, b, 1), _Residual(b)
        self.widen0, self.up0 = nn.Conv2d(b, a, 1), _Residual(a)
        self.said = nn.Sequential(nn.Conv2d(b, 64, 1), nn.ReLU(), nn.Conv2d(64, N_SAID, 1))
        self.mask = nn.Conv2d(a, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, 1, H, W), normalised → (N, 9, H/4, W/4) and mask logits (N, 1, H/2, W/2)."""
        half = self.stem(images)
        quarter = self.down1(half)
        eighth = self.down2(quarter)
        eighth = self.up2(eighth + _doubled(self.widen2(self.down3(eighth))))
        quarter = self.up1(quarter + _doubled(self.widen1(eighth)))
        return self.said(quarter).float(), self.mask(self.up0(half + _doubled(self.widen0(quarter)))).float()


class BodyReader(nn.Module):
    """One body, upright and centred: three means of the slices, and the finder's mask → seven numbers."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = READER_WIDTHS
        self.features = nn.Sequential(
            *(_halved(4, a, 5), _Residual(a), _halved(a, b), _Residual(b), _Residual(b)),
            *(_halved(b, c), _Residual(c), _Residual(c), nn.Flatten()),
        )
        cells = (PATCH_ROWS // 8) * (PATCH_COLS // 8)
        self.read = nn.Sequential(
            nn.Linear(c * cells, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, N_READ)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """patches (N, 4, 72, 48) → (N, 7)."""
        return torch.as_tensor(self.read(self.features(patches)))


class NeighbourReader(nn.Module):
    """What is known of a body and of four to either side → logit of "fractured", and the share of a height lost."""

    mean: Tensor
    spread: Tensor

    def __init__(self, hidden: int = 96) -> None:
        super().__init__()
        n = 2 * NEIGHBOURS + 1
        # Of each fact, over the bodies that were taught.
        self.register_buffer("mean", torch.zeros(n, N_FACTS))
        self.register_buffer("spread", torch.ones(n, N_FACTS))
        self.read = nn.Sequential(
            *(nn.Linear(n * N_FACTS, hidden), nn.ReLU(), nn.Dropout(0.1)),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 2)),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """windows (N, 9, facts), the last fact 0 where there is no body → (N, 2)."""
        known = (windows - self.mean) / self.spread * windows[..., -1:]
        return torch.as_tensor(self.read(known.flatten(1)))
