"""Bodies and objects around the simple trunk of `slab_cases`, as functions of patient coordinates (LPS, mm)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from slab_cases import Float, trunk_hu

Anatomy = Callable[[Float, Float, Float], Float]


def over(below: Float, inside: Float, hu: float) -> Float:
    """`hu` where `inside`, else what was there."""
    return np.where(inside, hu, below)


def _grid(x: Float, y: Float, z: Float) -> tuple[Float, Float, Float]:
    x, y, z = np.broadcast_arrays(np.float32(x), np.float32(y), np.float32(z))
    return x, y, z


def cylinder(x: Float, y: Float, at: tuple[float, float], radius_mm: float) -> Float:
    """Inside an upright cylinder."""
    return np.asarray(np.hypot(x - at[0], y - at[1]) < radius_mm)


def on_table(x: Float, y: Float, z: Float) -> Float:
    """The trunk on a mattress and a hollow table, under a blanket."""
    x, y, z = _grid(x, y, z)
    hu = trunk_hu(x, y, z)
    hu = over(hu, (y > 112) & (y < 124) & (np.abs(x) < 220) & (hu < -500), -930.0)  # mattress
    shell = (np.abs(x) < 240) & (y > 124) & (y < 164) & ((y < 128) | (y > 160) | (np.abs(x) > 236))
    blanket = np.abs(np.hypot(x / 196, (y + 2) / 128) - 1) < 0.008
    return over(over(hu, shell, 200.0), blanket & (hu < -500), -250.0)


def _arm(x: Float, y: Float, at: tuple[float, float]) -> tuple[Float, Float]:
    return cylinder(x, y, at, 42), cylinder(x, y, at, 12)


def with_arm_at_one_side(x: Float, y: Float, z: Float) -> Float:
    """The trunk with one arm that touches it (the other is raised)."""
    x, y, z = _grid(x, y, z)
    arm, bone = _arm(x, y, (208.0, 20.0))
    hu = trunk_hu(x, y, z)
    return over(over(hu, arm & (hu < 0), 30.0), bone, 700.0)


def knee(x: Float, y: Float, z: Float) -> Float:
    """One leg at the height of the femur."""
    x, y, z = _grid(x, y, z)
    return over(
        over(np.full(x.shape, -1000.0), cylinder(x, y, (0, 0), 65), 40.0), cylinder(x, y, (0, 5), 20), 500.0
    )


def two_legs(x: Float, y: Float, z: Float) -> Float:
    """Both thighs, each wider than a slim trunk."""
    return np.maximum(knee((x - 105) * 0.65, y * 0.65, z), knee((x + 105) * 0.65, y * 0.65, z))


def head(x: Float, y: Float, z: Float) -> Float:
    """A skull with its base."""
    x, y, z = _grid(x, y, z)
    r = np.hypot(x / 76, y / 95)
    hu = over(np.full(x.shape, -1000.0), r < 1, 40.0)
    return over(hu, (r > 0.85) & (r < 0.95), 1200.0)


def water(x: Float, y: Float, z: Float) -> Float:
    """A cylinder of water, as for a daily check."""
    x, y, z = _grid(x, y, z)
    return over(np.full(x.shape, -1000.0), cylinder(x, y, (0, 0), 160), 0.0)


def air(x: Float, y: Float, z: Float) -> Float:
    """Nothing."""
    return np.full(_grid(x, y, z)[0].shape, -1000.0)


def osteoporotic(x: Float, y: Float, z: Float) -> Float:
    """Trabecular bone of 40 HU, no denser than its discs: rim and arch only."""
    return trunk_hu(x, y, z, bone_hu=40.0)


def curved(x: Float, y: Float, z: Float) -> Float:
    """Scoliosis: the spine 20 mm off the middle."""
    return trunk_hu(x, y, z, spine_x=20.0)


def with_screws(x: Float, y: Float, z: Float) -> Float:
    """Pedicle screws in two vertebrae."""
    x, y, z = _grid(x, y, z)
    screws = (np.abs(np.abs(x) - 15) < 4) & (np.abs(y - 60) < 25) & (np.abs(np.abs(z) - 15) < 4)
    return over(trunk_hu(x, y, z), screws, 8000.0)


def with_contrast(x: Float, y: Float, z: Float) -> Float:
    """An enhanced heart and aorta."""
    x, y, z = _grid(x, y, z)
    hu = over(trunk_hu(x, y, z), (np.hypot(x - 20, y + 30) < 50) & (z > 0), 400.0)
    return over(hu, cylinder(x, y, (18.0, 20.0), 13), 420.0)


def noisy(sigma_hu: float) -> Anatomy:
    """The trunk through a lung kernel."""

    def noisy_trunk(x: Float, y: Float, z: Float) -> Float:
        hu = trunk_hu(x, y, z)
        return hu + np.random.default_rng(int(abs(z.ravel()[0]) * 1000)).normal(0, sigma_hu, hu.shape)

    return noisy_trunk


def not_in_hu(x: Float, y: Float, z: Float) -> Float:
    """Stored values without their intercept."""
    return trunk_hu(x, y, z) + 1024
