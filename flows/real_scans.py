"""Scans made of real ones for training: twins with a lowered vertebra and their shams, as the model reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.errors import SettingsError
from flows.phantom_scans import PIXEL_MM, PhantomScan, half_width_drawn_mm, largest_loss, sequence_scan
from flows.scan_cache import read_scan, write_scan
from flows.training_scans import training_scan
from models.config import ViewRecipe
from phantom.from_real import MeasuredScan, Twin, draw_lowering, make_pair
from phantom.real.ct_series import RealSeries
from phantom.real.mark_files import read_marks
from phantom.real.scan_files import read_real_scan
from phantom.real.vertebra_marks import VertebraMark
from phantom.vertebrae.fractures import SHAPES
from phantom.vertebrae.spine import LABEL_OF

# Losses of twins, and how often: clear fractures, and low bodies that are none (as many as Genant's grades leave out).
FRACTURE_LOSSES, LOW_LOSSES, LOW_SHARE = (0.20, 0.55), (0.06, 0.18), 0.25
# Pairs of a sagittal image, against those of a volume: it is one slice only.
IMAGE_SHARE = 0.4
_SALT = 0x2EA1


@dataclass(frozen=True)
class RealSource:
    """One real scan with marked vertebrae: an axial series, a volume in NIfTI, or one sagittal image."""

    name: str
    series: RealSeries
    marks: tuple[VertebraMark, ...]

    @property
    def number(self) -> int:
        """Its own number below a million, whatever other scans there are."""
        return int(self.name.removeprefix("real-"), 16) % 1_000_000

    @property
    def digest(self) -> str:
        """Of its voxels: another scan under the same address is another scan."""
        return hashlib.sha256(self.series.volume_zyx_hu.tobytes()).hexdigest()

    @property
    def is_image(self) -> bool:
        """Whether it is one sagittal image."""
        return self.series.is_image

    def pairs(self, of_volume: int) -> int:
        """Of how many pairs it is worth where a volume is of so many."""
        return round(of_volume * (IMAGE_SHARE if self.is_image else 1))


def read_sources(paths: Sequence[Path], marks: Sequence[Path]) -> list[RealSource]:
    """The real scans of a training. `marks` is one file for all, or one for each path.

    Raises SettingsError when the numbers do not fit, RealDataError where no twins can be made.
    """
    if len(marks) not in (1, len(paths)):
        raise SettingsError("give one --real-marks for all --real-series, or one for each")
    sources = []
    for index, path in enumerate(paths):
        series = read_real_scan(path)
        own = marks[index] if len(marks) > 1 else marks[0]
        sources.append(RealSource(_name_of(path), series, read_marks(own, series)))
    return sources


def _name_of(path: Path) -> str:
    """A name that says nothing of what a folder is called."""
    return "real-" + hashlib.sha256("/".join(path.parts[-3:]).encode()).hexdigest()[:8]


def draw_twins(
    source: RealSource,
    n: int,
    seed: int,
    view: ViewRecipe,
    folder: Path,
    *,
    is_for_extractor: bool,
    on_scan: Callable[[int], None] | None = None,
) -> list[PhantomScan]:
    """`n` twins and `n` shams of one real scan; those that lie in `folder` are read, the others made and left there."""
    kind = "extractor" if is_for_extractor else "sequence"
    paths = [folder / f"{view.name}-{kind}-{source.name}-{seed}-{index}.npz" for index in range(2 * n)]

    def keep(index: int, twin: Twin) -> None:
        write_scan(paths[index], _scan_of(twin, source, index, view, is_for_extractor))

    make_missing(paths, source, seed, keep, on_scan)
    return [read_scan(path) for path in paths]


def make_missing(
    paths: Sequence[Path],
    source: RealSource,
    seed: int,
    keep: Callable[[int, Twin], None],
    on_scan: Callable[[int], None] | None = None,
) -> None:
    """Make twin, sham, twin, sham … of a real scan, a file each; `keep` writes those that are not there."""
    if all(path.exists() for path in paths):
        return
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for index, twin in enumerate(make_varied(source, len(paths) // 2, seed, is_for_slabs=True)):
        if not paths[index].exists():
            keep(index, twin)
        if on_scan is not None:
            on_scan(index + 1)


def make_varied(source: RealSource, n: int, seed: int, *, is_for_slabs: bool) -> Iterator[Twin]:
    """Twin, sham, twin, sham …: levels and shapes in turn at random, three fractures for each low body."""
    measured = MeasuredScan.of(source.series, source.marks, is_for_slabs)
    for pair in range(n):
        rng = np.random.default_rng([seed, pair, _SALT])
        losses = LOW_LOSSES if rng.random() < LOW_SHARE else FRACTURE_LOSSES
        lowering = draw_lowering(rng, str(rng.choice(list(SHAPES))), float(rng.uniform(*losses)))
        index = int(rng.integers(len(source.marks)))
        yield from make_pair(measured, index, lowering, pair=pair, seed=seed, rng=rng)


def _scan_of(
    twin: Twin, source: RealSource, index: int, view: ViewRecipe, is_for_extractor: bool
) -> PhantomScan:
    slab = twin.slab(pixel_mm=PIXEL_MM, half_width_mm=half_width_drawn_mm(view, is_for_extractor))
    own = LABEL_OF.get(twin.level, 0)
    return PhantomScan(
        seed=twin.seed * 10_000 + index,
        family=source.name,
        is_positive=slab.has_fracture,
        worst_grade=slab.worst_grade,
        coverage=slab.coverage,
        thickness_mm=float(slab.acquisition.thickness_mm),
        noise_hu=float(slab.acquisition.noise_hu),
        largest_loss=largest_loss(slab),
        trabecular_hu=float(np.nanmean([body.trabecular_hu for body in slab.vertebrae])),
        patient=source.name,
        sequence=None if is_for_extractor else sequence_scan(slab, source.name, view),
        training=training_scan(slab, source.name, view, twin.seed + index, known={own}, shown={own})
        if is_for_extractor
        else None,
    )
