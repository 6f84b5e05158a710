"""Endplates as surfaces: a dish through three given heights, its roughness, and pits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from phantom.vertebrae.vertebra import RIM, Vertebra

Float = npt.NDArray[np.float32]

RELIEF_SIDE = 512
RELIEF_STEP_MM = 0.25
WAVES_MM = (0.7, 1.6, 4.5)  # lengths of the waves of a rough endplate (SD of the smoothing), by eye
WAVE_SHARES = (0.5, 0.9, 0.8)
ROUNDS, STEEP = 2, 0.1  # of the search for an endplate above a place; one is enough in upright bodies

# Upper and lower endplate read the bank far apart; the whole sides keep every index positive.
_SHIFTS = np.array([2 * RELIEF_SIDE, 2.5 * RELIEF_SIDE], np.float32)[:, None, None]


@lru_cache(maxsize=1)
def relief_bank() -> Float:
    """Periodic roughness of unit variance (u, v)."""
    rng = np.random.default_rng(20260103)
    total = np.zeros((RELIEF_SIDE, RELIEF_SIDE), np.float32)
    for wave, share in zip(WAVES_MM, WAVE_SHARES, strict=True):
        field = rng.standard_normal(total.shape, np.float32)
        smooth = gaussian_filter(field, wave / RELIEF_STEP_MM, mode="wrap")
        total += np.float32(share) * smooth / smooth.std()
    return np.ascontiguousarray(total / total.std(), dtype=np.float32)


@dataclass(frozen=True)
class Plates:
    """Both endplates (upper, lower) over places (nx, ny): dz from the body's centre in mm, how steep they are
    (>= 1), and their roughness in units of its SD. Axes (2, nx, ny); of several bodies (n, 2, nx, ny).
    """

    dz_mm: Float
    steepness: Float
    rough: Float


class _Column:
    """What the search needs of several bodies: arrays (n, 1, 1, 1), or (n, 2, 1, 1) by endplate."""

    def __init__(self, bodies: Sequence[Vertebra]) -> None:
        self.bodies = bodies
        axes = np.array([body.axes for body in bodies], np.float32)[..., None, None, None]
        (self.ux, self.uy, self.uz), (self.vx, self.vy, self.vz), (self.wx, self.wy, self.wz) = np.moveaxis(
            axes, 0, 2
        )
        numbers = np.array([_numbers(body) for body in bodies]).astype(np.float32).T[..., None, None, None]
        self.reach, self.per_reach, self.half_per_reach, self.per_wide, self.lean, self.at_u, self.at_v = (
            numbers
        )
        heights = np.array([(b.upper_mm, b.lower_mm) for b in bodies], np.float32)[..., None, None]
        self.front, self.middle, self.back = np.moveaxis(heights, 2, 0)
        self.relief = np.array([b.relief_mm for b in bodies], np.float32)[..., None, None]
        self.skew = np.array([b.dish_skew for b in bodies], np.float32)[..., None, None]
        self.powers = [b.dish_power for b in bodies]
        self.is_steep = np.array([abs(b.axes[1][2]) > STEEP for b in bodies])[:, None, None, None]

    def power(self, base: Float) -> Float:
        """`base` to the power of each body's dish; NumPy squares for the power 2, which is not the same to the bit."""
        return np.stack([one**power for one, power in zip(base, self.powers, strict=True)])


def _numbers(body: Vertebra) -> tuple[float, ...]:
    reach, wide = RIM * body.half_depth_mm, 0.92 * body.half_width_mm
    return (reach, 1 / reach, 0.5 / reach, 1 / wide, body.lateral_tilt / body.half_width_mm, *body.relief_at)


def plates_over(bodies: Sequence[Vertebra], dx: Float, dy: Float, columns: npt.NDArray[np.int64]) -> Plates:
    """Where the endplates of bodies lie above or below each place.

    `dx` (n, nx) and `dy` (n, ny) are mm from each body's centre along the patient's axes; of the latter
    `columns` (n) count. All are found at once, because most of the time goes into calls on small arrays.
    """
    of = _Column(bodies)
    dx, dy = dx[:, None, :, None], dy[:, None, None]
    aside, across, side = of.ux * dx + of.uy * dy, of.vx * dx + of.vy * dy, of.wx * dx + of.wy * dy
    mean = 0.5 * (of.front + of.back)
    slope = (of.back - of.front) * of.half_per_reach
    dent = mean - of.middle
    # The plane through the front and the back height gives the first guess, exact for a flat endplate.
    dz = (mean + slope * across - side) / (of.wz - slope * of.vz)
    for k in range(ROUNDS if of.is_steep.any() else 1):
        v = across + of.vz * dz
        found = (mean + slope * v - dent * _dish(of, v, aside + of.uz * dz) - side) / of.wz
        dz = np.where(of.is_steep, found, dz) if k else found
    # Steep pits would make the search wander: they are added where the smooth endplate lies.
    u, v = aside + of.uz * dz, across + of.vz * dz
    rough = _roughness(of, u, v)
    dz = dz + _detail(of, u, v, rough) / of.wz
    return Plates(dz, _steepness(side + of.wz * dz, dy, columns), rough)


def _roughness(of: _Column, u: Float, v: Float) -> Float:
    """The bank read at (u, v) mm of the upper and the lower endplate (n, 2, nx, ny)."""
    iu = (u * np.float32(1 / RELIEF_STEP_MM) + (of.at_u + _SHIFTS)).astype(np.int32)
    iv = (v * np.float32(1 / RELIEF_STEP_MM) + (of.at_v + _SHIFTS)).astype(np.int32)
    iu &= RELIEF_SIDE - 1
    iv &= RELIEF_SIDE - 1
    return np.asarray(relief_bank().take(iu * RELIEF_SIDE + iv))


def _dish(of: _Column, v: Float, u: Float) -> Float:
    """1 at the middle, 0 at the rim; `dish_power` flattens its floor, `dish_skew` moves it back or forth.

    Along u = 0 it is 1 and 0 exactly at the places of the truth; sideways it may lean (`lateral_tilt`).
    """
    t = np.minimum(np.maximum(v * of.per_reach, -1), 1)
    t = t - of.skew * (1 - t * t)
    qu = np.minimum(np.abs(u * of.per_wide), 1)
    along = (1 - of.power(np.abs(t))) / (1 - of.power(np.abs(of.skew)))
    return np.asarray(along * (1 - of.power(qu)) * (1 + of.lean * u))


def _detail(of: _Column, u: Float, v: Float, rough: Float) -> Float:
    """What roughness and pits add to the smooth endplates, mm upwards; nothing at the places of the truth."""
    out = of.relief * (rough - _at_places(of, v))
    for at, body in enumerate(of.bodies):
        for node in body.nodes:
            k, depth = (0, node.depth_mm) if node.is_upper else (1, -node.depth_mm)
            out[at, k] -= depth * _pit(node.u_mm, node.v_mm, node.radius_mm, u[at, k], v[at, k])
    return np.asarray(out)


def _at_places(of: _Column, v: Float) -> Float:
    """What roughness has at the three places of the truth, drawn out along v: it is taken away again."""
    places = of.reach * np.array([-1, 0, 1], np.float32)
    front, middle, back = np.moveaxis(_roughness(of, np.zeros_like(places), places), -1, 0)[..., None]
    q = np.minimum(np.maximum(v * (1 / of.reach), -1), 1)
    return np.asarray(middle + q * np.where(q < 0, middle - front, back - middle))


def _pit(u0: float, v0: float, radius: float, u: Float, v: Float) -> Float:
    r2 = ((u - u0) ** 2 + (v - v0) ** 2) * np.float32(1 / radius**2)
    return np.asarray(np.clip(1.25 * np.maximum(1 - r2, 0), 0, 1))


def _steepness(w: Float, dy: Float, columns: npt.NDArray[np.int64]) -> Float:
    """Length of a slanting surface over its length seen from above, so that shells keep their thickness.

    The first and the last column of a body, and what follows it, count as level.
    """
    if w.shape[-1] < 3:
        return np.ones_like(w)
    count = columns[:, None, None, None]
    step = np.where(count < 3, np.float32(1), dy[..., 1:2] - dy[..., :1])
    rise = np.zeros_like(w)
    rise[..., 1:-1] = (w[..., 2:] - w[..., :-2]) * (np.float32(0.5) / step)
    rise *= np.arange(w.shape[-1]) < count - 1
    return np.asarray(np.sqrt(1 + np.minimum(rise * rise, 4)))
