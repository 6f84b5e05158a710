"""Shoulders, arms and hips' bones: clavicles, scapulae, humeri, forearms, iliac wings, thighs.

Where the arms lie belongs to the scan, not to the patient. Places follow the body's outline; sizes are round adult
means compared by eye with the real images in the data.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.rods import Rod, mirrored

Floats = npt.NDArray[np.float64]
AIR_ONLY = (-1100.0, -955.0)  # lung is less empty
ARM_RADIUS_MM, FOREARM_RADIUS_MM, SHOULDER_RADIUS_MM = 43.0, 35.0, 47.0
ARM_LENGTH_MM, FOREARM_LENGTH_MM = 300.0, 250.0
BONE_HU, MARROW_HU = 620.0, 20.0
# Height over T1, and the water that one arm is worth there beside the body: arm down, arm up. Bone counts double.
BESIDE_MM = (
    (-551.0, 0.0, 0.0),
    (-550.0, 60.0, 0.0),
    (-300.0, 80.0, 0.0),
    (-75.0, 80.0, 0.0),
    (-40.0, 120.0, 15.0),
    (-15.0, 140.0, 60.0),
    (25.0, 70.0, 115.0),
    (60.0, 0.0, 80.0),
)
FLAT_BONE_HU, FLAT_CORE_HU = 480.0, 160.0


def is_down(arms: str, side: float) -> bool:
    """Whether the arm of that side (1 left, -1 right) lies beside the body."""
    return arms == "down" or (arms == "one down" and side > 0)


# Nothing of these lies nearer to the patient's middle plane (mm).
ARM_INNER_MM, SCAPULA_INNER_MM, WING_INNER_MM = 82.0, 58.0, 42.0


def limb_rods(patient: Anatomy, arms: str, reach_mm: float = math.inf) -> list[Rod]:
    """Flesh first, then bones: both shoulders and arms, both halves of the pelvis.

    What certainly lies further than `reach_mm` beside the middle plane may be left out.
    """
    sides = [_Side(patient, is_down(arms, side), reach_mm) for side in (1.0, -1.0)]
    flesh, bones = ([list(part(s)) for s in sides] for part in (_Side.flesh, _Side.bones))
    rods = [r if k == 0 else mirrored(r) for k, rods in enumerate(flesh) for r in rods]
    rods += [r if k == 0 else mirrored(r) for k, rods in enumerate(bones) for r in rods]
    return rods + _pelvis(patient, reach_mm)


def arm_reach(patient: Anatomy, arms: str) -> tuple[Floats, Floats]:
    """Heights (rising) and the millimetres of arm that lie beside the body there."""
    top = patient.vertebra("T1").centre_xyz_mm[2]
    down = sum(is_down(arms, side) for side in (1.0, -1.0))
    z = [above + top for above, _, _ in BESIDE_MM]
    return np.array(z), np.array([one * down + other * (2 - down) for _, one, other in BESIDE_MM])


class _Side:
    """The left shoulder and arm of a patient; the right one is its mirror image."""

    def __init__(self, patient: Anatomy, is_arm_down: bool, reach_mm: float) -> None:
        self.patient, self.shape, self.is_down = patient, patient.body, is_arm_down
        self.reach_mm = reach_mm
        self.top = patient.vertebra("T1").centre_xyz_mm[2]
        self.size = self.width(patient.vertebra("T4").centre_xyz_mm[2]) / 152.0
        self.head = self._head()

    def width(self, z: float) -> float:
        return float(np.interp(z, self.shape.z_mm, self.shape.half_width_mm))

    def spine_y(self, z: float) -> float:
        return float(np.interp(z, self.shape.z_mm, self.shape.spine_back_y_mm)) - 12

    def _head(self) -> Floats:
        """Middle of the head of the humerus."""
        z = self.top - 18 if self.is_down else self.top + 24
        y = self.spine_y(self.patient.vertebra("T3").centre_xyz_mm[2]) + 2
        return np.array([(168.0 if self.is_down else 142.0) * self.size, y, z])

    def arm(self) -> tuple[Floats, Floats]:
        """Middle lines of the upper arm and of the forearm."""
        if not self.is_down:
            up = self.head + np.array([[0, 0, 0], [16, -10, 130], [22, -14, 330]])
            return up, up[-1] + np.array([[0, 0, 0], [-120, 0, 160]])
        z = self.head[2] - np.linspace(0, ARM_LENGTH_MM, 5)
        aside = np.maximum(self.head[0], [self.width(v) + ARM_RADIUS_MM - 2 for v in z])
        y = self.head[1] + np.linspace(0, 14, 5)
        upper = np.stack([aside, y, z], axis=1)
        z = z[-1] - np.linspace(0, FOREARM_LENGTH_MM, 4)
        aside = np.array([self.width(v) + FOREARM_RADIUS_MM + 2 for v in z])
        aside[0] = upper[-1, 0]
        lower = np.stack([aside, np.linspace(y[-1], y[-1] - 45, 4), z], axis=1)
        return upper, lower

    def flesh(self) -> list[Rod]:
        """Muscle under fat: shoulder, upper arm, forearm."""
        fat, muscle = self.patient.tissues.fat, self.patient.tissues.muscle
        thick = 3 + 0.25 * self.shape.front_fat_mm
        neck = np.array([60.0 * self.size, self.head[1] + 6, self.top - 5])
        lines = [(np.stack([neck, self.head]), SHOULDER_RADIUS_MM)]
        if self.reach_mm > ARM_INNER_MM:
            upper, lower = self.arm()
            lines += [(upper, ARM_RADIUS_MM), (lower, FOREARM_RADIUS_MM)]
        return [Rod(line, r * self.size, fat, muscle, shell_mm=thick, over=AIR_ONLY) for line, r in lines]

    def bones(self) -> list[Rod]:
        """Humerus, radius and ulna, clavicle, scapula."""
        bones = [self._clavicle()]
        if self.reach_mm > ARM_INNER_MM:
            upper, lower = self.arm()
            beside = np.array([11.0, 0.0, 0.0])
            head = self.head + np.array([[-4.0, 0, 2], [1, 0, -6]])
            bones += [
                Rod(upper, 11.0, BONE_HU, MARROW_HU, shell_mm=3.4),
                Rod(head, 23.0, 330.0, 130.0, shell_mm=1.5),
                Rod(lower + beside, 6.5, BONE_HU, 60.0, shell_mm=2.4),
                Rod(lower - beside, 6.5, BONE_HU, 60.0, shell_mm=2.4),
            ]
        return bones + (self._scapula() if self.reach_mm > SCAPULA_INNER_MM else [])

    def _clavicle(self) -> Rod:
        z = self.patient.vertebra("T3").centre_xyz_mm[2] + 10
        wall = float(np.interp(z, self.shape.z_mm, self.shape.front_y_mm)) + self.shape.front_fat_mm + 12
        end = self.head + np.array([-10.0, -16, 26])
        start = np.array([20.0, wall, z])
        bend = 0.6 * start + 0.4 * end + np.array([0, -10, 2])
        far = 0.25 * start + 0.75 * end + np.array([0, 8, 2])
        line = np.stack([start, bend, far, end])
        return Rod(line, 6.2, FLAT_BONE_HU, FLAT_CORE_HU, shell_mm=1.8)

    def _scapula(self) -> list[Rod]:
        """A blade of thin plates over the ribs, thicker at its outer border; its spine and its socket."""
        top, foot = self.head[2] + 8, self.patient.vertebra("T7").centre_xyz_mm[2]
        z = np.arange(foot, top, 5.0)
        share = (z - foot) / (top - foot)
        inner = (72 + (12 if not self.is_down else 0)) * self.size
        outer = inner + 14 + (self.head[0] - 30 - inner - 14) * share**0.8
        x = inner + (outer - inner)[:, None] * np.linspace(0, 1, 4)
        y = self._over_ribs(x, z[:, None])
        y[:, -1] = (1 - share) * y[:, -1] + share * (self.head[1] + 14)
        blades = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1)
        rods = [Rod(b, 2.6, FLAT_BONE_HU, 250.0, shell_mm=1.6, tall=1.3) for b in blades]
        rods += [Rod(b[-2:], 4.6, FLAT_BONE_HU, FLAT_CORE_HU, shell_mm=1.5) for b in blades]
        near = np.array([76.0 * self.size])
        inner_end = np.array([near[0], float(self._over_ribs(near, np.array([top - 25]))[0]) + 8, top - 25])
        tip = self.head + np.array([6.0, 12, 27])
        ridge = 0.5 * (inner_end + tip)
        ridge[1] = max(inner_end[1], tip[1]) + 8
        socket = self.head + np.array([[-30.0, 6, -8], [-29, 5, 10]])
        rods.append(Rod(np.stack([inner_end, ridge, tip]), 5.0, FLAT_BONE_HU, FLAT_CORE_HU, tall=1.4))
        rods.append(Rod(socket, 9.0, FLAT_BONE_HU, FLAT_CORE_HU))
        return rods

    def _over_ribs(self, x: Floats, z: Floats) -> Floats:
        """y a little behind the ribs at places beside the spine."""
        shape = self.shape
        width, front, back = (
            np.interp(z, shape.z_mm, v) for v in (shape.half_width_mm, shape.front_y_mm, shape.back_y_mm)
        )
        a = np.maximum(width - 0.5 * (shape.front_fat_mm + shape.back_fat_mm) - 8, 1.0)
        q = np.minimum(np.abs(x) / a, 0.98)
        middle = 0.5 * (front + back)
        rear = back - shape.back_fat_mm - 16
        return np.asarray(middle + (rear - middle) * (1 - q**3.0) ** 0.5 + 3)


def _pelvis(patient: Anatomy, reach_mm: float) -> list[Rod]:
    """Iliac wings as plates one over the other, the seat bones, and the upper ends of the thigh bones."""
    shape = patient.body
    y0 = float(np.interp(0.0, shape.z_mm, shape.spine_front_y_mm))
    size = float(np.interp(-60.0, shape.z_mm, shape.half_width_mm)) / 172.0
    front = float(np.interp(-146.0, shape.z_mm, shape.front_y_mm)) + shape.front_fat_mm + 26
    branch = np.array([[70.0, 0.5 * (y0 - 30 + front), -132], [36.0, front + 3, -140], [5.0, front, -146]])
    left = [Rod(branch, 8.0, FLAT_BONE_HU, FLAT_CORE_HU, tall=1.6)]
    if reach_mm > WING_INNER_MM:
        hip = np.array([92.0 * min(size, 1.1), y0 - 12, -128.0])
        socket = hip + np.array([[-16.0, 14, 14], [-22.0, -2, 0], [-14.0, -16, 10]])
        seat = np.array([[76.0, y0 + 16, -128], [66.0, y0 + 24, -165], [58.0, y0 + 14, -195]])
        thigh = hip + np.array([[0.0, 0, 0], [28, 6, -20], [50, 10, -34], [52, 8, -150]])
        left += [_wing_plate(z, y0, min(size, 1.12)) for z in np.arange(-96.0, 44.0, 6.0).tolist()]
        left += [
            Rod(socket, 11.0, FLAT_BONE_HU, FLAT_CORE_HU, tall=1.6),
            Rod(seat, 11.0, FLAT_BONE_HU, FLAT_CORE_HU),
            Rod(thigh, 14.0, 560.0, 90.0, shell_mm=2.6),
            Rod(hip + np.array([[0.0, 0, 0], [1.0, 0, 0]]), 23.0, 420.0, 210.0, shell_mm=1.2),
        ]
    return left + [mirrored(r) for r in left]


def _wing_plate(z: float, y0: float, size: float) -> Rod:
    """One height of the left wing: from behind the sacrum outwards and forwards."""
    share = (z + 96.0) / 140.0
    rear = np.array([52.0 + 14 * (1 - share), y0 + 42 - 8 * share, z])
    middle = np.array([82.0 + 26 * share, y0 + 6 - 10 * share, z])
    fore = np.array([96.0 + 30 * share, y0 - 16 - 46 * share, z])
    if share > 0.7:  # the crest: shorter from both ends
        cut = (share - 0.7) / 0.3
        rear, fore = rear + 0.55 * cut * (middle - rear), fore + 0.7 * cut * (middle - fore)
    line = np.array(
        [rear, 0.5 * (rear + middle) + [0, 3, 0], middle, 0.5 * (middle + fore) + [3, 0, 0], fore]
    )
    line[:, 0] *= size
    return Rod(line, 4.6, FLAT_BONE_HU, FLAT_CORE_HU, shell_mm=1.6, tall=1.2)
