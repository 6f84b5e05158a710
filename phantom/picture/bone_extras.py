"""What is inside or between bodies: spots, clefts, the basivertebral vein, bony bridges, metal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.bone_frame import Placed, box_around, frame
from phantom.picture.painting import Float, Grid, between, blend, paint_each, soft
from phantom.torso.organs import Blob
from phantom.vertebrae.hardware import MetalPart
from phantom.vertebrae.vertebra import Cut, Spot, Triple, Vertebra

SHELL_EATEN_MM = 1.5  # how far a lesion that destroys the shell reaches past it, by eye
SHELL_LEFT_MM = 1.0  # and how much of the shell others leave
SOFT_MM = 0.8  # softness of what is painted inside a body
BRIDGE_POINTS = 12


def paint_contents(
    view: Float, body: Vertebra, places: tuple[Float, Float, Float], depth: Float, texture: Float
) -> None:
    """Spots, then cuts of one body; `depth` is the distance to its surface (inside positive), `view` its box."""
    for spot in body.spots:
        margin = SHELL_EATEN_MM if spot.eats_shell else -SHELL_LEFT_MM
        share = _spot_share(spot, places, texture) * soft(depth + np.float32(margin), SOFT_MM)
        if spot.adds:
            view += share * np.float32(spot.hu)
        else:
            blend(view, share, np.float32(spot.hu) + np.float32(spot.streak) * texture)
    for cut in body.cuts:
        blend(view, _cut_share(cut, places) * soft(depth + np.float32(0.8), SOFT_MM), cut.hu)


def _ellipsoid(centre: Triple, radii: Triple, places: tuple[Float, Float, Float]) -> Float:
    """1 at the centre, 0 on the ellipsoid, negative outside."""
    u, v, w = (
        ((place - np.float32(c)) * np.float32(1 / r)) ** 2
        for place, c, r in zip(places, centre, radii, strict=True)
    )
    return np.asarray(1 - (u + v + w))


def _spot_share(spot: Spot, places: tuple[Float, Float, Float], texture: Float) -> Float:
    inside = _ellipsoid(spot.centre_mm, spot.radii_mm, places)
    if spot.ragged:
        inside += np.float32(spot.ragged) * texture
    return np.asarray(between(inside * np.float32(1 / (0.08 + spot.edge)), 0, 1))


def _cut_share(cut: Cut, places: tuple[Float, Float, Float]) -> Float:
    across = sum(
        (place - np.float32(c)) * np.float32(n)
        for place, c, n in zip(places, cut.centre_mm, cut.normal, strict=True)
    )
    near = between(2 * _ellipsoid(cut.centre_mm, cut.radii_mm, places), 0, 1)
    return np.asarray(soft(np.float32(cut.half_mm) * near - np.abs(across), SOFT_MM) * np.sqrt(near))


def paint_vein(canvas: Float, patient: Anatomy, at: Placed) -> None:
    """The cleft where the basivertebral vein leaves the middle of the rear wall."""
    body = at.body
    middle = (sum(body.upper_mm) + sum(body.lower_mm)) / 6
    centre, radii = (0.0, 0.97 * body.half_depth_mm, middle), (5.5, body.vein_mm, 1.2 + 0.12 * body.vein_mm)
    low, high = ([c + s * r for c, r in zip(centre, radii, strict=True)] for s in (-1, 1))
    box = box_around(at.grid, body, (low[0], low[1], low[2]), (high[0], high[1] - 0.7 * radii[1], high[2]))
    if box is None:
        return
    inside = _ellipsoid(centre, radii, frame(at, box))
    blend(canvas[box], 0.75 * between(2 * inside, 0, 1), patient.tissues.canal)


def paint_bridges(canvas: Float, grid: Grid, patient: Anatomy) -> None:
    """Bony bridges in front of discs and ossified ligaments, as chains of small ellipsoids."""
    column = patient.vertebrae
    for body, below in zip(column, (*column[1:], patient.sacrum[0]), strict=True):
        blobs = []
        if body.bridge_mm > 0:
            blobs += _bridge(patient, body, below)
        if body.ossified_mm > 0:
            blobs += _ossified(patient, body, below)
        paint_each(canvas, grid, blobs)


def _bridge(patient: Anatomy, body: Vertebra, below: Vertebra) -> list[Blob]:
    """From the lower front corner of one body over the disc to the upper front corner of the next."""
    start = np.array(body.to_patient(0, -1.02 * body.half_depth_mm, body.lower_mm[0] + 3))
    end = np.array(below.to_patient(0, -1.02 * below.half_depth_mm, below.upper_mm[0] - 3))
    forward = -np.array(body.axes[1])
    over = 0.5 * (start + end) + forward * 2 * body.bridge_mm
    points = [
        (1 - t) ** 2 * start + 2 * t * (1 - t) * over + t * t * end for t in np.linspace(0, 1, BRIDGE_POINTS)
    ]
    if "ossified_ligament" in body.imitators:
        top = np.array(body.to_patient(0, -0.98 * body.half_depth_mm, body.upper_mm[0] - 2))
        points += [top + t * (start - top) + forward * 0.4 * body.bridge_mm for t in np.linspace(0, 1, 12)]
    wide = 0.5 * body.half_width_mm
    thick = 1.3 + 0.36 * body.bridge_mm
    step = float(np.linalg.norm(end - start)) / BRIDGE_POINTS
    return [_shell(patient, body, p, (wide, thick, max(2.0, 1.4 * step))) for p in points]


def _ossified(patient: Anatomy, body: Vertebra, below: Vertebra) -> list[Blob]:
    """A plate along the front of the canal, from the middle of one body to the middle of the next."""
    start = np.array(body.to_patient(0, body.half_depth_mm + 0.5 * body.ossified_mm, 0))
    end = np.array(below.to_patient(0, below.half_depth_mm + 0.5 * body.ossified_mm, 0))
    radii = (4.5, 0.5 * body.ossified_mm + 0.6, 2.4)
    return [_shell(patient, body, start + t * (end - start), radii) for t in np.linspace(0, 1, 14)]


def _shell(patient: Anatomy, body: Vertebra, point: npt.NDArray[np.float64], radii: Triple) -> Blob:
    x, y, z = point.tolist()
    core = 0.5 * (patient.cortex_hu + body.trabecular_hu)
    return Blob((x, y, z), radii, 0.95 * patient.cortex_hu, core, 0.9)


def paint_metal(canvas: Float, grid: Grid, parts: Iterable[MetalPart]) -> None:
    """Straight pieces of metal as capsules, over all else."""
    for part in parts:
        a, b, r = np.array(part.start_xyz_mm), np.array(part.end_xyz_mm), part.radius_mm + 0.5
        low, high = np.minimum(a, b) - r, np.maximum(a, b) + r
        box = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        if box is None:
            continue
        x, z, y = grid.places(box)
        along = b - a
        length2 = max(float(along @ along), 1e-6)
        ax, ay, az = (np.float32(c) for c in a)
        lx, ly, lz = (np.float32(c) for c in along)
        t = between(((x - ax) * lx + (y - ay) * ly + (z - az) * lz) * np.float32(1 / length2), 0, 1)
        d2 = (x - ax - t * lx) ** 2 + (y - ay - t * ly) ** 2 + (z - az - t * lz) ** 2
        blend(canvas[box], soft(np.float32(part.radius_mm) - np.sqrt(d2), grid.y_width_mm), part.hu)
