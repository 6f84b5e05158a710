"""Endplates as surfaces: a dish through three given heights, its roughness, and pits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from phantom.vertebra import RIM, Vertebra

Float = npt.NDArray[np.float32]

RELIEF_SIDE = 512
RELIEF_STEP_MM = 0.25
WAVES_MM = (0.7, 1.6, 4.5)  # lengths of the waves of a rough endplate (SD of the smoothing), by eye
WAVE_SHARES = (0.5, 0.9, 0.8)
ROUNDS = 3  # of the search for an endplate above a place; slopes under 1 converge well within


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


def roughness(body: Vertebra, u: npt.ArrayLike, v: npt.ArrayLike, is_upper: bool) -> Float:
    """The bank read at (u, v) mm for one endplate of a body."""
    shift = 0 if is_upper else RELIEF_SIDE // 2
    iu, iv = (
        (np.asarray(place, np.float32) * np.float32(1 / RELIEF_STEP_MM) + np.float32(at + shift)).astype(int)
        % RELIEF_SIDE
        for place, at in zip((u, v), body.relief_at, strict=True)
    )
    return np.asarray(relief_bank()[iu, iv])


def dish(body: Vertebra, u: Float, v: Float, is_upper: bool) -> Float:
    """w of the smooth part of one endplate at (u, v), mm: through the three heights of the truth at u = 0."""
    a, m, p = body.upper_mm if is_upper else body.lower_mm
    qv = v * np.float32(1 / (RIM * body.half_depth_mm))
    flat = np.float32(0.5 * (a + p)) + qv * np.float32(0.5 * (p - a))
    lean = 1 + np.float32(body.lateral_tilt / body.half_width_mm) * u
    return np.asarray(flat - _dish(body, qv, u, is_upper) * lean * np.float32(0.5 * (a + p) - m))


def detail(body: Vertebra, u: Float, v: Float, is_upper: bool) -> Float:
    """What roughness and pits add to the smooth endplate, mm upwards; nothing at the places of the truth."""
    out = np.zeros_like(v)
    amplitude = body.relief_mm[0 if is_upper else 1]
    if amplitude > 0:
        out += np.float32(amplitude) * (roughness(body, u, v, is_upper) - _at_places(body, v, is_upper))
    for node in body.nodes:
        if node.is_upper == is_upper:
            depth = np.float32(node.depth_mm if is_upper else -node.depth_mm)
            out -= _pit(node.u_mm, node.v_mm, node.radius_mm, u, v) * depth
    return out


def _dish(body: Vertebra, qv: Float, u: Float, is_upper: bool) -> Float:
    """1 at the middle, 0 at the rim; `dish_power` flattens its floor, `dish_skew` moves it back or forth."""
    power = np.float32(body.dish_power)
    skew = np.float32(body.dish_skew[0 if is_upper else 1])
    t = np.clip(qv, -1, 1)
    t = t - skew * (1 - t * t)
    qu = np.minimum(np.abs(u) / np.float32(0.92 * body.half_width_mm), 1)
    top = 1 - np.abs(skew) ** power
    return np.asarray((1 - np.abs(t) ** power) * (1 - qu**power) / top)


def _at_places(body: Vertebra, v: Float, is_upper: bool) -> Float:
    """What roughness has at the three places of the truth, drawn out along v: it is taken away again."""
    reach = RIM * body.half_depth_mm
    places = np.array([-reach, 0.0, reach], np.float32)
    values = roughness(body, np.zeros(3, np.float32), places, is_upper)
    return np.interp(v, places, values).astype(np.float32)


def _pit(u0: float, v0: float, radius: float, u: Float, v: Float) -> Float:
    r2 = ((u - np.float32(u0)) ** 2 + (v - np.float32(v0)) ** 2) * np.float32(1 / radius**2)
    return np.asarray(np.clip(1.25 * np.maximum(1 - r2, 0), 0, 1))


def plate_over(body: Vertebra, dx: Float, dy: Float, is_upper: bool) -> tuple[Float, Float]:
    """Where the endplate lies above or below each place: dz (mm from the centre) and its steepness (>= 1).

    `dx` (nx, 1) and `dy` (1, ny) are mm from the body's centre along the patient's axes; returns (nx, ny).
    """
    (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = (tuple(np.float32(c) for c in axis) for axis in body.axes)
    aside = ux * dx + uy * dy
    a, _, p = body.upper_mm if is_upper else body.lower_mm
    slope = np.float32((p - a) / (2 * RIM * body.half_depth_mm))
    side = wx * dx + wy * dy
    across = vx * dx + vy * dy
    # The plane through the front and the back height gives the first guess, exact for a flat endplate.
    dz = (np.float32(0.5 * (a + p)) + slope * across - side) / (wz - slope * vz)
    for _ in range(ROUNDS):
        dz = (dish(body, aside + uz * dz, across + vz * dz, is_upper) - side) / wz
    # Steep pits would make the search wander: they are added where the smooth endplate lies.
    dz = dz + detail(body, aside + uz * dz, across + vz * dz, is_upper) / wz
    return dz, _steepness(side + wz * dz, dy)


def _steepness(w: Float, dy: Float) -> Float:
    """Length of a slanting surface over its length seen from above, so that shells keep their thickness."""
    if w.shape[1] < 3:
        return np.ones_like(w)
    rise = np.zeros_like(w)
    rise[:, 1:-1] = (w[:, 2:] - w[:, :-2]) * np.float32(0.5 / (dy[0, 1] - dy[0, 0]))
    return np.asarray(np.sqrt(1 + np.minimum(rise * rise, 4)))
