"""Series and marks for tests of twins: a simulated patient scanned, and a column of plain blocks."""

from __future__ import annotations

import numpy as np

from phantom.anatomy import draw_patient
from phantom.real.ct_series import RealSeries
from phantom.real.vertebra_marks import VertebraMark, half_width_of
from phantom.scanner.acquisition import Acquisition
from phantom.volume import render_volume

BONE_HU, DISC_HU, SOFT_HU = 200, 80, 40
LEVELS = ("T11", "T12", "L1", "L2")


def mark_at(
    level: str,
    top_mm: float,
    height_mm: float,
    *,
    slope: float = 0.0,
    half_depth_mm: float = 15.0,
    y_mm: float = 0.0,
) -> VertebraMark:
    """A body whose endplates fall by `slope` mm per mm to the back."""
    front, back = y_mm - half_depth_mm, y_mm + half_depth_mm
    lines = [
        ((front, z + slope * half_depth_mm), (back, z - slope * half_depth_mm))
        for z in (top_mm, top_mm - height_mm)
    ]
    return VertebraMark(level, 0.0, front, back, lines[0], lines[1], half_width_of(level, half_depth_mm))


def column(
    *, height_mm: float = 24.0, disc_mm: float = 6.0, slope: float = 0.0, half_depth_mm: float = 15.0
) -> tuple[VertebraMark, ...]:
    """Four bodies, head to foot, the first with its upper endplate at z = 0."""
    step = height_mm + disc_mm
    return tuple(
        mark_at(level, -k * step, height_mm, slope=slope, half_depth_mm=half_depth_mm)
        for k, level in enumerate(LEVELS)
    )


def block_series(
    marks: tuple[VertebraMark, ...],
    *,
    spacing_mm: float = 1.0,
    only: int | None = None,
    noise_hu: float = 0.0,
    seed: int = 0,
) -> RealSeries:
    """Marked bodies as blocks of bone in soft tissue, with discs between; `only` one of them, if told.

    Edges lie at fractions of a slice as thick slices show them.
    """
    z = np.arange(45.0, -150.0, -spacing_mm)
    y, x = np.arange(-80.0, 60.0, 2.0), np.arange(-50.0, 51.0, 2.0)
    volume = np.full((len(z), len(y), len(x)), float(SOFT_HU))
    inside = (np.abs(y)[:, None] <= marks[0].half_depth_mm + 4) & (
        np.abs(x)[None, :] <= marks[0].half_width_mm + 4
    )
    volume[:, inside] = DISC_HU if only is None else 0
    if only is not None:
        volume[:, ~inside] = 0
    for k, mark in enumerate(marks):
        if only in (None, k):
            share = _share_inside(mark, z, y, spacing_mm)[:, :, None] * inside[None]
            volume += share * (BONE_HU - volume)
    if noise_hu:
        volume = volume + np.random.default_rng(seed).normal(0, noise_hu, volume.shape)
    return RealSeries(
        np.rint(volume).astype(np.int16), (spacing_mm, 2.0, 2.0), (-50.0, -80.0, 45.0), spacing_mm
    )


def _share_inside(mark: VertebraMark, z: np.ndarray, y: np.ndarray, thickness_mm: float) -> np.ndarray:
    """Share of each voxel (z, y) between the endplate lines, which go on straight."""
    (y0, t0), (y1, t1) = mark.upper_yz_mm
    (_, b0), (_, b1) = mark.lower_yz_mm
    top = t0 + (t1 - t0) * (y - y0) / (y1 - y0)
    foot = b0 + (b1 - b0) * (y - y0) / (y1 - y0)
    upper = np.minimum(z[:, None] + 0.5 * thickness_mm, top[None])
    lower = np.maximum(z[:, None] - 0.5 * thickness_mm, foot[None])
    return np.clip((upper - lower) / thickness_mm, 0, 1)


def scanned_patient(seed: int = 5, columns: int = 128) -> tuple[RealSeries, tuple[VertebraMark, ...]]:
    """A simulated patient without fractures as an axial series, and the marks of the bodies that it shows whole."""
    patient = draw_patient(seed, has_fracture=False)
    scan = Acquisition(thickness_mm=2.0, spacing_mm=2.0, noise_hu=12.0, field_of_view_mm=420.0)
    volume = render_volume(patient, columns=columns, acquisition=scan)
    series = RealSeries(
        volume.volume_zyx_hu, volume.spacing_mm, volume.origin_xyz_mm, volume.acquisition.thickness_mm
    )
    shown = {truth.level for truth in volume.vertebrae if truth.is_visible}
    marks = []
    for body in patient.thoracolumbar:
        if body.level not in shown:
            continue
        reach = np.array([-0.85, 0.0, 0.85]) * body.half_depth_mm
        lines = [
            tuple(body.to_patient(0, float(v), w)[1:] for v, w in zip(reach, at, strict=True))
            for at in (body.upper_mm, body.lower_mm)
        ]
        x, y, _ = body.centre_xyz_mm
        marks.append(
            VertebraMark(
                body.level,
                x,
                y - body.half_depth_mm,
                y + body.half_depth_mm,
                lines[0],
                lines[1],
                body.half_width_mm,
            )
        )
    return series, tuple(sorted(marks, key=lambda mark: -mark.z_mm))
