"""How a patient lies in the scanner: turned about the body's axis, nodding or leaning; on back, belly or side.

Anatomy is drawn straight. Here it is turned into the scanner's frame, part by part, so that slabs and volumes show the
same: bodies, metal and rods exactly; ellipsoids and tubes by their middles (their own shape does not turn, which
12 degrees hardly show); the layers of the body by their outline (`painting.paint_layers`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.rods import Bundle
from phantom.scanner.acquisition import Acquisition
from phantom.scanner.tube_voltage import bone_factor, iodine_factor
from phantom.torso.body import BodyShape, to_tuple
from phantom.torso.organs import Blob, Tube
from phantom.vertebrae.hardware import MetalPart
from phantom.vertebrae.spine import Vertebra

Floats = npt.NDArray[np.float64]
Part = TypeVar("Part", Blob, Tube)
SOFT_HU = 45.0  # blood and organs without contrast; what is above it is contrast


@dataclass(frozen=True)
class Turn:
    """A rotation of the patient about a point: `matrix` takes patient to scanner directions."""

    matrix: Floats
    centre: Floats
    yaw_rad: float

    def points(self, points_xyz_mm: npt.ArrayLike) -> Floats:
        """Scanner coordinates of points (n, 3)."""
        return np.asarray((np.asarray(points_xyz_mm) - self.centre) @ self.matrix.T + self.centre)


def turn_of(patient: Anatomy, scan: Acquisition) -> Turn:
    """The rotation of a scan about the middle of the patient's trunk."""
    yaw, nod, lean = (math.radians(d) for d in (scan.yaw_deg, scan.nod_deg, scan.lean_deg))
    about_x = np.array([[1, 0, 0], [0, math.cos(nod), -math.sin(nod)], [0, math.sin(nod), math.cos(nod)]])
    about_y = np.array([[math.cos(lean), 0, math.sin(lean)], [0, 1, 0], [-math.sin(lean), 0, math.cos(lean)]])
    about_z = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    return Turn(about_z @ about_y @ about_x, trunk_centre(patient), yaw)


def trunk_centre(patient: Anatomy) -> Floats:
    """Middle of the trunk: between the skins in front and behind, at the height of T10."""
    shape = patient.body
    z = patient.vertebra("T10").centre_xyz_mm[2]
    front, back = (float(np.interp(z, shape.z_mm, v)) for v in (shape.front_y_mm, shape.back_y_mm))
    return np.array([0.0, 0.5 * (front + back), z])


def posed(patient: Anatomy, scan: Acquisition, reach_mm: float = math.inf) -> Anatomy:
    """The patient in the scanner's frame; contrast as bright as the tube voltage makes it beside bone.

    Ellipsoids that certainly lie further than `reach_mm` beside the patient's middle plane are left out.
    """
    if reach_mm < math.inf:
        near = (b for b in patient.blobs if abs(b.centre_xyz_mm[0]) - b.radii_xyz_mm[0] < reach_mm)
        patient = replace(patient, blobs=tuple(near))
    extra = iodine_factor(scan.kvp) / bone_factor(scan.kvp)
    if extra != 1.0:
        patient = replace(
            patient,
            blobs=tuple(_brighter(b, extra) for b in patient.blobs),
            tubes=tuple(_brighter(t, extra) for t in patient.tubes),
        )
    if not (scan.yaw_deg or scan.nod_deg or scan.lean_deg):
        return patient
    turn = turn_of(patient, scan)
    return replace(
        patient,
        vertebrae=tuple(_vertebra(v, turn) for v in patient.vertebrae),
        sacrum=tuple(_vertebra(v, turn) for v in patient.sacrum),
        metal=tuple(_metal(part, turn) for part in patient.metal),
        blobs=_blobs(patient.blobs, turn),
        tubes=tuple(_tube(t, turn) for t in patient.tubes),
        body=_shape(patient.body, scan, turn),
    )


def turned_bundle(rods: Bundle, turn: Turn) -> Bundle:
    """Rods in the scanner's frame."""
    if np.array_equal(turn.matrix, np.eye(3)):
        return rods
    return replace(rods, starts=turn.points(rods.starts), ends=turn.points(rods.ends))


def _brighter(part: Part, factor: float) -> Part:
    if not part.has_iodine:
        return part
    return replace(part, hu=SOFT_HU + (part.hu - SOFT_HU) * factor)


def _vertebra(body: Vertebra, turn: Turn) -> Vertebra:
    """The same body elsewhere; its three angles follow from its turned axes."""
    u, v, w = (turn.matrix @ np.asarray(axis) for axis in body.axes)
    x, y, z = turn.points([body.centre_xyz_mm])[0].tolist()
    return body.changed(
        centre_xyz_mm=(x, y, z),
        phi_rad=math.asin(max(-1.0, min(1.0, -float(u[2])))),
        theta_rad=math.atan2(-float(v[2]), float(w[2])),
        psi_rad=math.atan2(float(u[1]), float(u[0])),
    )


def _metal(part: MetalPart, turn: Turn) -> MetalPart:
    start, end = turn.points([part.start_xyz_mm, part.end_xyz_mm]).tolist()
    return replace(part, start_xyz_mm=tuple(start), end_xyz_mm=tuple(end))


def _blobs(blobs: tuple[Blob, ...], turn: Turn) -> tuple[Blob, ...]:
    if not blobs:
        return blobs
    moved = turn.points([b.centre_xyz_mm for b in blobs]).tolist()
    return tuple(_at(b, (x, y, z)) for b, (x, y, z) in zip(blobs, moved, strict=True))


def _at(b: Blob, centre: tuple[float, float, float]) -> Blob:
    """The same ellipsoid elsewhere; `replace` is slow for hundreds of them."""
    return Blob(centre, b.radii_xyz_mm, b.hu, b.core_hu, b.shell_mm, b.over, b.is_boxy, b.has_iodine)


def _tube(tube: Tube, turn: Turn) -> Tube:
    moved = turn.points(np.stack([tube.x_mm, tube.y_mm, tube.z_mm], axis=1))
    return replace(tube, x_mm=to_tuple(moved[:, 0]), y_mm=to_tuple(moved[:, 1]), z_mm=to_tuple(moved[:, 2]))


def _shape(shape: BodyShape, scan: Acquisition, turn: Turn) -> BodyShape:
    """The outline: nodding moves it in y with z, leaning in x; turning is left to the painter of layers."""
    z = np.asarray(shape.z_mm)
    up = z - turn.centre[2]
    back = -np.tan(math.radians(scan.nod_deg)) * up

    def nodded(y_mm: tuple[float, ...]) -> tuple[float, ...]:
        return to_tuple(np.asarray(y_mm) + back)

    return replace(
        shape,
        front_y_mm=nodded(shape.front_y_mm),
        back_y_mm=nodded(shape.back_y_mm),
        spine_front_y_mm=nodded(shape.spine_front_y_mm),
        spine_back_y_mm=nodded(shape.spine_back_y_mm),
        middle_x_mm=to_tuple(np.asarray(shape.middle_x_mm) + np.tan(math.radians(scan.lean_deg)) * up),
        spine_x_mm=to_tuple(np.asarray(shape.spine_x_mm) + np.tan(math.radians(scan.lean_deg)) * up),
        yaw_rad=turn.yaw_rad,
        yaw_about_xy_mm=(float(turn.centre[0]), float(turn.centre[1])),
    )
