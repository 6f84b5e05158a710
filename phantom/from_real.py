"""Twins of real scans with made fractures, each with its sham.

One vertebra of a real scan is lowered by a smooth deformation, the column above sinks with it, and the freed space
is filled with disc tissue (`twins.py`, `twin_tissue.py`). What is said about a twin is relative to the scan as it
is: its own losses are unknown and count as none.

    series = read_ct_series(folder)
    for twin in make_twins(series, read_marks(table, series), 10, seed=1):
        slab = twin.slab()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from phantom.real import twin_tissue
from phantom.real.ct_series import RealSeries
from phantom.real.twin_slabs import (
    Outline,
    find_outline,
    marks_after,
    near_middle,
    render_real_slab,
    truth_of,
)
from phantom.real.twin_tissue import Noise
from phantom.real.twins import Lowering, Site, Three, TwinField, sham_field, site_of, twin_field
from phantom.real.vertebra_marks import VertebraMark
from phantom.slabs import PhantomSlab
from phantom.truth import VertebraTruth
from phantom.vertebrae.fractures import SHAPES

LOSSES = (0.0, 0.60)
MOST_GAIN_HU = 45.0  # of impacted bone; real ones span from none (old) to a white band (recent)
SLAB_HALF_WIDTH_MM = 30.0
COLUMN_MARGIN_MM = 3.0  # besides the slab, so that its outer slices are whole
_SALT = 0x7F1


@dataclass(frozen=True)
class Twin:
    """One deformed scan. `kind` is "twin" or "sham"; a pair shares its seed, level, shape and head end.

    `loss` is the largest share lost of a height as scanned: 0 for a sham. `planned_loss` is that of the pair.
    """

    kind: str
    pair: int
    seed: int
    level: str
    shape: str
    loss: float
    planned_loss: float
    heights_before_mm: Three
    heights_after_mm: Three
    series: RealSeries
    marks: tuple[VertebraMark, ...]
    field: TwinField
    outline: Outline
    noise_hu: float
    gain_hu: float

    @cached_property
    def vertebrae(self) -> tuple[VertebraTruth, ...]:
        """Truth of all marked bodies; rows are slices of the series."""
        return truth_of(self.series, self.marks, self.field, self.series.z_mm)

    def slab(
        self,
        *,
        pixel_mm: float = 0.8,
        slice_spacing_mm: float = 3.0,
        half_width_mm: float = SLAB_HALF_WIDTH_MM,
    ) -> PhantomSlab:
        """The slab of this scan with dense truth; its `coverage` is "real"."""
        return render_real_slab(
            self.series,
            self.marks,
            self.field,
            self.outline,
            self.noise_hu,
            pixel_mm=pixel_mm,
            slice_spacing_mm=slice_spacing_mm,
            half_width_mm=half_width_mm,
        )


def make_twins(
    series: RealSeries,
    marks: Sequence[VertebraMark],
    n: int,
    seed: int,
    *,
    is_for_slabs: bool = False,
    levels: Sequence[str] = (),
    shapes: Sequence[str] = SHAPES,
    losses: tuple[float, float] = LOSSES,
) -> Iterator[Twin]:
    """`n` twins, each followed by its sham; deterministic by seed. Level, shape and loss are drawn evenly.

    `is_for_slabs` deforms only the columns that a slab shows, which is several times faster. ValueError when no
    mark has a wanted level.
    """
    ordered = tuple(marks)
    chosen = [k for k, mark in enumerate(ordered) if not levels or mark.level in levels]
    if not chosen:
        raise ValueError("no vertebra of these levels is marked")
    scan = MeasuredScan.of(series, ordered, is_for_slabs)
    for pair in range(n):
        rng = np.random.default_rng([seed, pair, _SALT])
        index = int(rng.choice(chosen))
        lowering = draw_lowering(rng, str(rng.choice(list(shapes))), float(rng.uniform(*losses)))
        yield from make_pair(scan, index, lowering, pair=pair, seed=seed, rng=rng)


def draw_lowering(rng: np.random.Generator, shape: str, loss: float) -> Lowering:
    """A lowering of that shape and loss; the other two heights follow the shape."""
    if shape == "wedge":
        shares = (loss, loss * rng.uniform(0.45, 0.7), loss * rng.uniform(0.0, 0.15))
    elif shape == "biconcave":
        shares = (loss * rng.uniform(0.05, 0.35), loss, loss * rng.uniform(0.0, 0.2))
    else:
        shares = (loss * rng.uniform(0.85, 1.0), loss, loss * rng.uniform(0.7, 0.95))
    a, m, p = (float(share) for share in shares)
    return Lowering(shape, (a, m, p), float(rng.beta(4, 2)), float(rng.uniform(-0.3, 0.3)))


@dataclass(frozen=True)
class MeasuredScan:
    """What all twins of one scan share."""

    series: RealSeries
    marks: tuple[VertebraMark, ...]
    sites: tuple[Site, ...]
    noises: tuple[Noise, ...]
    disc_hu: float
    outline: Outline

    @staticmethod
    def of(series: RealSeries, marks: tuple[VertebraMark, ...], is_for_slabs: bool) -> MeasuredScan:
        """Measure a scan; with `is_for_slabs` only the part that a slab shows is kept."""
        sites = tuple(site_of(marks, k) for k in range(len(marks)))
        noises = tuple(twin_tissue.measure_noise(series, mark) for mark in marks)
        outline = find_outline(series)
        disc_hu = twin_tissue.disc_level_hu(series, sites)
        if is_for_slabs:
            reach = SLAB_HALF_WIDTH_MM + COLUMN_MARGIN_MM
            series = near_middle(series, outline.middle_x_mm, reach)
        return MeasuredScan(series, marks, sites, noises, disc_hu, outline)


def make_pair(
    scan: MeasuredScan, index: int, lowering: Lowering, *, pair: int, seed: int, rng: np.random.Generator
) -> Iterator[Twin]:
    """A twin and its sham. Density is drawn once for both, so that it never tells them apart."""
    field = twin_field(scan.sites[index], lowering)
    sham = sham_field(field, scan.series.spacing_mm[0], float(rng.choice([-1.0, 1.0])))
    first_slice = twin_tissue.head_slices_lost(scan.series, field)
    gain_hu = float(rng.uniform(0, MOST_GAIN_HU))
    for each in (field, sham):
        series = _deformed(scan, each, index, first_slice=first_slice, gain_hu=gain_hu, rng=rng)
        yield Twin(
            kind="sham" if each.is_sham else "twin",
            pair=pair,
            seed=seed,
            level=each.site.mark.level,
            shape=lowering.shape,
            loss=each.lowering.loss,
            planned_loss=lowering.loss,
            heights_before_mm=each.heights_mm,
            heights_after_mm=each.heights_after_mm,
            series=series,
            marks=marks_after(scan.marks, each),
            field=each,
            outline=scan.outline,
            noise_hu=scan.noises[index].sigma_hu,
            gain_hu=gain_hu,
        )


def _deformed(
    scan: MeasuredScan,
    field: TwinField,
    index: int,
    *,
    first_slice: int,
    gain_hu: float,
    rng: np.random.Generator,
) -> RealSeries:
    """The deformed voxels as a series of their own, its first slices at the head end left out."""
    series = scan.series
    voxels = twin_tissue.deform(series, field, first_slice)
    box = twin_tissue.box_of(series, field, first_slice)
    left = twin_tissue.noise_left(field.sinking_mm / series.spacing_mm[0] % 1.0)
    noise = scan.noises[index].draw(rng, voxels[box.part].shape) * np.float32(0.5 * (1 + left))
    twin_tissue.fill_discs(voxels, box, field, scan.disc_hu, noise)
    twin_tissue.impact(voxels, box, field, gain_hu)
    x, y, z = series.origin_xyz_mm
    return replace(
        series,
        volume_zyx_hu=twin_tissue.rounded(voxels),
        origin_xyz_mm=(x, y, z - first_slice * series.spacing_mm[0]),
        address="",
    )
