"""Bowel with what it holds, the vessels between its loops, and fat between the fibres of muscles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phantom.torso.parts import Blob, Places, blobs_at

Floats = npt.NDArray[np.float64]
WALL_HU, WALL_MM = 42.0, 2.2
GAS_HU = -950.0
# What a loop of the small bowel holds, and how often: fluid, gas, oral contrast.
SMALL_HU, SMALL_SHARES = (18.0, GAS_HU, 240.0), (0.78, 0.14, 0.08)
# The colon: stool with gas in it (an HU of its own in each pouch), gas, fluid.
STOOL_HU = (-220.0, 60.0)
POUCH_MM = 24.0  # from the wall of the side to the middle of the colon
NODES = 110  # vessels and nodes of the mesentery
MUSCLE_ONLY = (20.0, 85.0)
STREAKS = 240  # of fat, in muscle that is all fat


def draw_bowel(rng: np.random.Generator, at: Places) -> list[Blob]:
    """Loops of the small bowel, the frame of the colon around them, nodes between; later ones cover earlier ones."""
    return _small_bowel(rng, at) + _colon(rng, at) + _mesentery(rng, at)


def _small_bowel(rng: np.random.Generator, at: Places) -> list[Blob]:
    count = int(rng.integers(60, 130))
    z = rng.uniform(-120, at.z("L2"), count)
    r = rng.uniform(6, 13, count)
    wide = r * rng.uniform(1, 2.4, count)
    reach = at.inside_x(z) - wide
    x = np.clip(rng.normal(0, 48, count), -reach, reach)
    wall = at.wall_beside(np.abs(x) + 0.5 * wide, z) + r
    _, front, _, _ = at.lines(z)
    y = wall + np.maximum(front - 18 - wall, 0) * rng.beta(1.3, 2.0, count)
    centres = np.stack([x, y, z], axis=1)
    radii = np.stack([wide, r, r * rng.uniform(0.8, 1.8, count)], axis=1)
    cores = rng.choice(SMALL_HU, count, p=SMALL_SHARES) + rng.normal(0, 10, count)
    return [
        Blob((x, y, z), (a, b, c), WALL_HU, core, WALL_MM)
        for (x, y, z), (a, b, c), core in zip(centres.tolist(), radii.tolist(), cores.tolist(), strict=True)
    ]


def _colon(rng: np.random.Generator, at: Places) -> list[Blob]:
    """Pouches along the frame: up on the right, across in front, down on the left; gas lies on what they hold."""
    line = _colon_line(rng, at)
    fullness = float(rng.uniform(0.25, 1.0))
    blobs = []
    for x, y, z in line.tolist():
        r = float(rng.uniform(11, 16) + 12 * fullness * rng.uniform())
        radii = (r, 0.85 * r, r)
        core = float(rng.uniform(*STOOL_HU))
        blobs.append(Blob((x, y, z), radii, WALL_HU, core, WALL_MM))
        share = float(rng.choice([0.0, 0.35, 0.6, 0.9], p=[0.25, 0.3, 0.25, 0.2]))
        if share:
            inner = r - WALL_MM
            gas = (0.9 * inner, 0.85 * inner * share, 0.9 * inner)
            blobs.append(Blob((x, y - 0.85 * inner * (1 - share), z), gas, GAS_HU))
    return blobs


def _colon_line(rng: np.random.Generator, at: Places) -> Floats:
    """Middles of the pouches (n, 3)."""
    top, low, sag = at.z("L1") + float(rng.uniform(-15, 20)), -70.0, float(rng.uniform(0, 70))
    side = np.array([float(rng.uniform(-105, -80)), float(rng.uniform(85, 112))])
    up, down = np.linspace(low, top, 8), np.linspace(top + 25, low, 9)
    share = np.linspace(0, 1, 9)[1:-1]
    across_z = top + 25 * share - sag * np.sin(np.pi * share)
    x = np.concatenate([np.full(8, side[0]), side[0] + (side[1] - side[0]) * share, np.full(9, side[1])])
    z = np.concatenate([up, across_z, down])
    reach = at.inside_x(z) - POUCH_MM
    x = np.clip(x, -reach, reach)
    wall = at.wall_beside(x, z) + 12
    _, front, _, _ = at.lines(z)
    depth = np.concatenate([np.full(8, 0.62), np.full(7, 0.08), np.full(9, 0.72)])
    y = wall + depth * np.maximum(front - wall, 0)
    line = np.stack([x, y, z], axis=1)
    return np.asarray(line + rng.normal(0, 4, line.shape))


def _mesentery(rng: np.random.Generator, at: Places) -> list[Blob]:
    z = rng.uniform(-60, at.z("L1") + 10, NODES)
    wall, front, _, _ = at.lines(z)
    y = wall + 15 + (front - 21 - wall) * rng.uniform(0, 1, NODES)
    centres = np.stack([rng.uniform(-45, 45, NODES), y, z], axis=1)
    return blobs_at(centres, rng.uniform(1, 5.5, (NODES, 3)), 45.0)


def draw_fat_in_muscle(rng: np.random.Generator, at: Places, share: float) -> list[Blob]:
    """Streaks of fat between the fibres of the back's muscles and the psoas, along the body's axis."""
    count = round(STREAKS * share)
    z = rng.uniform(-40, at.z("T4"), count)
    _, _, middle, back = at.lines(z)
    in_psoas = rng.random(count) < 0.2
    aside = np.where(in_psoas, rng.uniform(26, 55, count), rng.uniform(6, 52, count))
    behind = np.where(in_psoas, rng.uniform(-25, 2, count), rng.uniform(14, 48, count))
    x = middle + rng.choice([-1.0, 1.0], count) * aside
    radii = rng.uniform((0.8, 0.8, 12), (5, 3, 45), (count, 3))
    return blobs_at(np.stack([x, back + behind, z], axis=1), radii, -70.0, over=MUSCLE_ONLY)
