"""Endplates as surfaces: a dish through three given heights, its roughness, and pits."""

from __future__ import annotations

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
    (>= 1), and their roughness in units of its SD. Axes (2, nx, ny).
    """

    dz_mm: Float
    steepness: Float
    rough: Float


def plates_over(body: Vertebra, dx: Float, dy: Float) -> Plates:
    """Where the endplates lie above or below each place.

    `dx` (nx, 1) and `dy` (1, ny) are mm from the body's centre along the patient's axes. Both endplates are
    found at once, because most of the time goes into calls on small arrays.
    """
    (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = body.axes
    aside, across, side = ux * dx + uy * dy, vx * dx + vy * dy, wx * dx + wy * dy
    heights = np.array([body.upper_mm, body.lower_mm], np.float32)[:, :, None, None]
    mean = 0.5 * (heights[:, 0] + heights[:, 2])
    slope = (heights[:, 2] - heights[:, 0]) * np.float32(0.5 / (RIM * body.half_depth_mm))
    dent = mean - heights[:, 1]
    # The plane through the front and the back height gives the first guess, exact for a flat endplate.
    dz = (mean + slope * across - side) / (wz - slope * vz)
    for _ in range(ROUNDS if abs(vz) > STEEP else 1):
        v = across + vz * dz
        dz = (mean + slope * v - dent * _dish(body, v, aside + uz * dz) - side) / wz
    # Steep pits would make the search wander: they are added where the smooth endplate lies.
    u, v = aside + uz * dz, across + vz * dz
    rough = roughness(body, u, v)
    dz = dz + _detail(body, u, v, rough) / wz
    return Plates(dz, _steepness(side + wz * dz, dy), rough)


def roughness(body: Vertebra, u: Float, v: Float) -> Float:
    """The bank read at (u, v) mm of the upper and the lower endplate (2, nx, ny)."""
    at_u, at_v = body.relief_at
    iu = (u * np.float32(1 / RELIEF_STEP_MM) + (at_u + _SHIFTS)).astype(np.int32) & (RELIEF_SIDE - 1)
    iv = (v * np.float32(1 / RELIEF_STEP_MM) + (at_v + _SHIFTS)).astype(np.int32) & (RELIEF_SIDE - 1)
    return np.asarray(relief_bank()[iu, iv])


def _dish(body: Vertebra, v: Float, u: Float) -> Float:
    """1 at the middle, 0 at the rim; `dish_power` flattens its floor, `dish_skew` moves it back or forth.

    Along u = 0 it is 1 and 0 exactly at the places of the truth; sideways it may lean (`lateral_tilt`).
    """
    power, skew = body.dish_power, np.array(body.dish_skew, np.float32)[:, None, None]
    t = np.minimum(np.maximum(v * np.float32(1 / (RIM * body.half_depth_mm)), -1), 1)
    t = t - skew * (1 - t * t)
    qu = np.minimum(np.abs(u * np.float32(1 / (0.92 * body.half_width_mm))), 1)
    along = (1 - np.abs(t) ** power) / (1 - np.abs(skew) ** power)
    lean = 1 + np.float32(body.lateral_tilt / body.half_width_mm) * u
    return np.asarray(along * (1 - qu**power) * lean)


def _detail(body: Vertebra, u: Float, v: Float, rough: Float) -> Float:
    """What roughness and pits add to the smooth endplates, mm upwards; nothing at the places of the truth."""
    amplitude = np.array(body.relief_mm, np.float32)[:, None, None]
    out = amplitude * (rough - _at_places(body, v))
    for node in body.nodes:
        k, depth = (0, node.depth_mm) if node.is_upper else (1, -node.depth_mm)
        out[k] -= depth * _pit(node.u_mm, node.v_mm, node.radius_mm, u[k], v[k])
    return np.asarray(out)


def _at_places(body: Vertebra, v: Float) -> Float:
    """What roughness has at the three places of the truth, drawn out along v: it is taken away again."""
    reach = np.float32(RIM * body.half_depth_mm)
    places = np.array([-reach, 0.0, reach], np.float32)
    front, middle, back = roughness(body, np.zeros((1, 3), np.float32), places).transpose(2, 0, 1)[..., None]
    q = np.minimum(np.maximum(v * (1 / reach), -1), 1)
    return np.asarray(middle + q * np.where(q < 0, middle - front, back - middle))


def _pit(u0: float, v0: float, radius: float, u: Float, v: Float) -> Float:
    r2 = ((u - u0) ** 2 + (v - v0) ** 2) * np.float32(1 / radius**2)
    return np.asarray(np.clip(1.25 * np.maximum(1 - r2, 0), 0, 1))


def _steepness(w: Float, dy: Float) -> Float:
    """Length of a slanting surface over its length seen from above, so that shells keep their thickness."""
    if w.shape[-1] < 3:
        return np.ones_like(w)
    rise = np.zeros_like(w)
    rise[..., 1:-1] = (w[..., 2:] - w[..., :-2]) * np.float32(0.5 / (dy[0, 1] - dy[0, 0]))
    return np.asarray(np.sqrt(1 + np.minimum(rise * rise, 4)))
