"""What disturbs a scan beside noise: streaks of metal and of arms, dark bands of hardened beams, motion, breathing.

All of it is a function of place, so that slabs and volumes of one scan show the same. Canvases are (x, z, y).
"""

from __future__ import annotations

import math

import numpy as np

from phantom.picture.painting import Float, Grid
from phantom.picture.scene import Scene
from phantom.scanner.acquisition import Acquisition
from phantom.scanner.noise import HIP_Z_MM, noise_bank
from phantom.vertebrae.hardware import MetalPart

METAL_HU = 330.0  # amplitude of the streaks near a screw at 120 kV, a guess: the data hold no image of screws
METAL_REACH_MM = 14.0  # they halve at this distance beyond the metal
METAL_RAYS = 7
LONG_PART_MM = 12.0  # a piece is cut in parts of this height along z, each with its own middle
HARDENED_HALF_MM = (11.0, 13.0)  # half height along y and z of the dark band between shoulders and hips
STREAK_STEP_MM = 1.5  # distance of independent streaks along y
SLICE_STEP_MM = 2.5  # slices further apart than this have other streaks
SPINE_MARGIN_MM = 25.0  # breathing moves what lies further in front of the spine


def disturb(canvas: Float, grid: Grid, scene: Scene, scan: Acquisition) -> None:
    """All artefacts of a scan, in place; before kernel and noise."""
    for k, part in enumerate(scene.patient.metal if scan.metal_streaks > 0 else ()):
        gain = scan.metal_streaks * scan.mineral_gain
        add_metal_streaks(canvas, grid, part, seed=scene.patient.seed + k, gain=gain)
    if scan.hardening_hu > 0:
        _harden(canvas, grid, scene, scan)
    if scan.arm_streaks_hu > 0 and scan.arms != "up":
        _arm_streaks(canvas, grid, scene, scan)
    if scan.motion_mm > 0:
        _double(canvas, grid, scan)
    if scan.breath_mm > 0:
        _breathe(canvas, grid, scene, scan)


def rows_of(grid: Grid, low_mm: float, high_mm: float) -> slice | None:
    """Rows of the grid between two heights."""
    return grid.span(2, low_mm, high_mm)


def add_metal_streaks(canvas: Float, grid: Grid, part: MetalPart, *, seed: int, gain: float = 1.0) -> None:
    """Bright and dark rays around one piece of metal, in the axial planes that it crosses; in place."""
    start, end = np.array(part.start_xyz_mm), np.array(part.end_xyz_mm)
    pieces = max(1, math.ceil(abs(float(end[2] - start[2])) / LONG_PART_MM))
    cuts = start + (end - start) * np.linspace(0, 1, pieces + 1)[:, None]
    for k in range(pieces):
        rng = np.random.default_rng([seed, k, 0x3E7A])
        _streaks_of(canvas, grid, cuts[k], cuts[k + 1], part.radius_mm, rng, METAL_HU * gain)


def _streaks_of(  # noqa: PLR0917
    canvas: Float,
    grid: Grid,
    start: Float,
    end: Float,
    radius_mm: float,
    rng: np.random.Generator,
    strength_hu: float,
) -> None:
    low, high = sorted((float(start[2]), float(end[2])))
    half = radius_mm + 0.5 * grid.z_width_mm
    rows = rows_of(grid, low - half, high + half)
    if rows is None:
        return
    middle, along = 0.5 * (start + end), end - start
    reach = 0.5 * float(np.hypot(along[0], along[1])) + radius_mm
    dx, dy = grid.x_mm[:, None] - np.float32(middle[0]), grid.y_mm[None] - np.float32(middle[1])
    distance = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    rays = _rays(angle, math.atan2(along[1], along[0]) if reach > 2 * radius_mm else None, rng)
    beyond = np.maximum(distance - reach, 0) * np.float32(1 / METAL_REACH_MM)
    rays *= np.float32(strength_hu) / (1 + beyond)
    share = (0.75 + 0.25 * np.sin(2.1 * grid.z_mm[rows] + rng.uniform(0, 6))).astype(np.float32)
    canvas[:, rows] += share[None, :, None] * rays[:, None, :]


def _rays(angle: Float, axis_rad: float | None, rng: np.random.Generator) -> Float:
    """Alternating rays over the angle, each on both sides; dark along the metal's own long way."""
    total = np.zeros_like(angle)
    for k in range(METAL_RAYS):
        at, width = rng.uniform(0, math.pi), rng.uniform(0.05, 0.22)
        off = np.sin(angle - np.float32(at)) * np.float32(1 / width)
        total += np.exp(-off * off) * np.float32(rng.uniform(0.3, 0.8) * (1 if k % 2 else -1))
    if axis_rad is not None:
        off = np.sin(angle - np.float32(axis_rad)) * np.float32(1 / 0.2)
        total -= np.exp(-off * off)
    return total


def _harden(canvas: Float, grid: Grid, scene: Scene, scan: Acquisition) -> None:
    """The dark band between both shoulders and between both hips."""
    for z, y, half_x in _dense_pairs(scene, scan):
        half_y, half_z = HARDENED_HALF_MM
        rows = rows_of(grid, z - 2.2 * half_z, z + 2.2 * half_z)
        columns = grid.span(1, y - 2.2 * half_y, y + 2.2 * half_y)
        x = grid.span(0, -half_x, half_x)
        if rows is None or columns is None or x is None:
            continue
        by_z = np.exp(-(((grid.z_mm[rows] - z) / half_z) ** 2))
        by_y = np.exp(-(((grid.y_mm[columns] - y) / half_y) ** 2))
        canvas[x, rows, columns] -= (np.float32(scan.hardening_hu) * by_z[:, None] * by_y[None])[None]


def _dense_pairs(scene: Scene, scan: Acquisition) -> list[tuple[float, float, float]]:
    """Height, depth and half distance of the shoulders and of the hips."""
    patient = scene.patient
    top = patient.vertebra("T1").centre_xyz_mm
    hips = float(np.interp(0.0, patient.body.z_mm, patient.body.spine_front_y_mm)) - 12
    shoulder = top[2] + (24 if scan.arms == "up" else -18)
    return [(shoulder, top[1] - 4, 130.0), (HIP_Z_MM, hips, 75.0)]


def _arm_streaks(canvas: Float, grid: Grid, scene: Scene, scan: Acquisition) -> None:
    """Lines from arm to arm: other ones in each slice, the same along x."""
    amount = np.interp(grid.z_mm, scene.beside_z_mm, scene.beside_mm) / 160.0
    rows = np.flatnonzero(amount > 0.05)
    if not len(rows):
        return
    bank = noise_bank("plain")
    pick = np.floor(grid.z_mm[rows] / SLICE_STEP_MM).astype(np.int64) * 17 + scene.patient.seed
    at = grid.y_mm / STREAK_STEP_MM + 700
    low = at.astype(np.int64)
    share = (at - low).astype(np.float32)[None]
    one, two = (bank[np.ix_(pick % len(bank), (low + k) % len(bank))] for k in (0, 1))
    lines = (one * (1 - share) + two * share) * (scan.arm_streaks_hu * amount[rows, None]).astype(np.float32)
    canvas[:, rows] += lines[None]


def _double(canvas: Float, grid: Grid, scan: Acquisition) -> None:
    """Slices taken while the patient moved: two pictures, one a little further to the back."""
    rows = moved_rows(grid, scan)
    if rows is None:
        return
    shift = scan.motion_mm / float(grid.y_mm[1] - grid.y_mm[0])
    whole, part = int(shift), np.float32(shift - int(shift))
    n = canvas.shape[2] - whole - 1
    still = canvas[:, rows]
    moved = still.copy()
    moved[:, :, whole + 1 :] = (1 - part) * still[:, :, 1 : n + 1] + part * still[:, :, :n]
    canvas[:, rows] = np.float32(0.55) * still + np.float32(0.45) * moved


def moved_rows(grid: Grid, scan: Acquisition) -> slice | None:
    """Rows of the grid that motion doubles."""
    top, bottom = float(grid.z_mm[0]), float(grid.z_mm[-1])
    middle = top - scan.motion_at * (top - bottom)
    return rows_of(grid, middle - 0.5 * scan.motion_span_mm, middle + 0.5 * scan.motion_span_mm)


def _breathe(canvas: Float, grid: Grid, scene: Scene, scan: Acquisition) -> None:
    """A stack of slices taken at another depth of breath: chest and belly lie elsewhere, the spine does not."""
    top, bottom = float(grid.z_mm[0]), float(grid.z_mm[-1])
    middle = top - scan.breath_at * (top - bottom)
    rows = rows_of(grid, middle - 18, middle + 18)
    step = float(grid.z_mm[0] - grid.z_mm[1])
    shift = scan.breath_mm / step
    whole, part = int(shift), np.float32(shift - int(shift))
    shape = scene.patient.body
    if rows is None or rows.stop + whole + 1 > len(grid.z_mm):
        return
    front = float(np.interp(middle, shape.z_mm, shape.spine_front_y_mm)) - SPINE_MARGIN_MM
    columns = grid.span(1, float(grid.y_mm[0]), front)
    if columns is None:
        return
    lower = slice(rows.start + whole, rows.stop + whole)
    next_lower = slice(lower.start + 1, lower.stop + 1)
    shifted = (1 - part) * canvas[:, lower, columns] + part * canvas[:, next_lower, columns]
    ramp = np.clip((front - grid.y_mm[columns]) * np.float32(1 / 20), 0, 1)
    view = canvas[:, rows, columns]
    view += ramp[None, None] * (shifted - view)
