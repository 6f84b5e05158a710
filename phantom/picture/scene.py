"""What stands in the scanner: the patient as he lies, limbs, ribs, table; and its picture before any scanner effect."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture import bone, painting
from phantom.picture.layers import paint_layers, section
from phantom.picture.painting import Float, Grid
from phantom.picture.rods import Bundle, bundle, paint_bundle
from phantom.scanner.acquisition import CLEAN, Acquisition
from phantom.torso.limbs import arm_reach, limb_rods
from phantom.torso.posing import posed, turn_of, turned_bundle
from phantom.torso.table import Table, draw_table
from phantom.torso.thorax import chest_rods

Floats = npt.NDArray[np.float64]
TURNED_REACH_MM = (130.0, 330.0)  # along y and z from the middle of the trunk to its furthest bones
TRUNK_Z_MM = (-80.0, 420.0)  # what rests on the table


@dataclass(frozen=True)
class Scene:
    """Everything that is painted, in the scanner's frame. `beside_mm` of arm lie beside the body at `beside_z_mm`."""

    patient: Anatomy
    limbs: Bundle
    chest: Bundle
    table: Table | None
    beside_z_mm: Floats
    beside_mm: Floats


def scene_of(patient: Anatomy, scan: Acquisition = CLEAN, reach_mm: float = math.inf) -> Scene:
    """The scene of one scan of a patient; what lies further beside the middle than `reach_mm` may be left out."""
    turn = turn_of(patient, scan)
    aside = TURNED_REACH_MM[0] * abs(math.sin(turn.yaw_rad)) + TURNED_REACH_MM[1] * abs(
        math.sin(math.radians(scan.lean_deg))
    )
    laid = posed(patient, scan, reach_mm + aside)
    z, beside = arm_reach(patient, scan.arms)
    return Scene(
        patient=laid,
        limbs=turned_bundle(bundle(limb_rods(patient, scan.arms, reach_mm + aside)), turn),
        chest=turned_bundle(bundle(chest_rods(patient)), turn),
        table=draw_table(patient, _touch_y_mm(laid, scan.lying), scan.lying),
        beside_z_mm=z,
        beside_mm=beside,
    )


def _touch_y_mm(laid: Anatomy, lying: str) -> float:
    """Where the turned body touches the table: its rearmost skin, or its foremost for one lying on the belly."""
    shape = laid.body
    z = np.asarray(shape.z_mm)
    trunk = (z > TRUNK_Z_MM[0]) & (z < TRUNK_Z_MM[1])
    width, front, back = (
        np.asarray(v)[trunk][None] for v in (shape.half_width_mm, shape.front_y_mm, shape.back_y_mm)
    )
    x = np.linspace(-0.95, 0.95, 39)[:, None] * width
    before, behind = section(x, width, front, back)
    sin, cos = math.sin(shape.yaw_rad), math.cos(shape.yaw_rad)
    cx, cy = shape.yaw_about_xy_mm
    if lying == "prone":
        return float(np.min(cy + (x - cx) * sin + (before - cy) * cos)) - 0.4 * shape.breast_mm
    return float(np.max(cy + (x - cx) * sin + (behind - cy) * cos))


def paint_scene(grid: Grid, scene: Scene) -> Float:
    """The whole scene on a grid, axes (x, z, y), HU; before any scanner effect."""
    patient = scene.patient
    canvas = paint_layers(grid, patient, scene.table)
    painting.paint_blobs(canvas, grid, patient.blobs)
    for tube in patient.tubes:
        painting.paint_tube(canvas, grid, tube)
    paint_bundle(canvas, grid, scene.chest)
    paint_bundle(canvas, grid, scene.limbs)
    bone.paint_spine(canvas, grid, patient)
    return canvas


def paint(grid: Grid, patient: Anatomy) -> Float:
    """A patient who lies straight, arms up, on a grid; before any scanner effect."""
    return paint_scene(grid, scene_of(patient))
