"""What organs are made of: ellipsoids and tubes, and where they hang in a body. Frame as in `spine.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phantom.torso.body import BodyShape, at_level
from phantom.vertebrae.vertebra import Vertebra

Floats = npt.NDArray[np.float64]
SIDE_WALL_MM = 18.0  # muscle between the fat of the side and the belly
WALL_MM = 12.0  # muscle and fat inside of the front skin's fat


@dataclass(frozen=True)
class Blob:
    """An ellipsoid; `core_hu` makes it a shell of `hu`, `over` limits it to tissues of that HU."""

    centre_xyz_mm: tuple[float, float, float]
    radii_xyz_mm: tuple[float, float, float]
    hu: float
    core_hu: float | None = None
    shell_mm: float = 1.2
    over: tuple[float, float] | None = None
    is_boxy: bool = False
    has_iodine: bool = False


@dataclass(frozen=True)
class Tube:
    """A tube along z: centre (x, y), radius in mm at rising z; `aspect` is its x radius over its y radius."""

    z_mm: tuple[float, ...]
    x_mm: tuple[float, ...]
    y_mm: tuple[float, ...]
    radius_mm: tuple[float, ...]
    hu: float
    core_hu: float | None = None
    shell_mm: float = 1.2
    aspect: float = 1.0
    has_iodine: bool = False


class Places:
    """Where organs hang: the spine's front, the skin's front, and heights by level (mm; arrays or numbers)."""

    def __init__(self, shape: BodyShape, bodies: list[Vertebra]) -> None:
        self.shape, self.bodies = shape, bodies

    def z(self, level: str) -> float:
        """Height of a level's middle."""
        return at_level(self.bodies, level).centre_xyz_mm[2]

    def spine_front(self, z: float) -> float:
        """y of the front of the bodies."""
        return float(np.interp(z, self.shape.z_mm, self.shape.spine_front_y_mm))

    def spine_x(self, z: float) -> float:
        """x of the middle of the bodies."""
        return float(np.interp(z, self.shape.z_mm, self.shape.spine_x_mm))

    def wall(self, z: float) -> float:
        """Inner side of the front wall."""
        skin = float(np.interp(z, self.shape.z_mm, self.shape.front_y_mm))
        return skin + self.shape.front_fat_mm + WALL_MM

    def lines(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Inner side of the front wall, front of the bodies, their middle x and their back, at many heights."""
        shape = self.shape
        wall, front, x, back = (
            np.interp(z, shape.z_mm, v)
            for v in (shape.front_y_mm, shape.spine_front_y_mm, shape.spine_x_mm, shape.spine_back_y_mm)
        )
        return wall + shape.front_fat_mm + WALL_MM, front, x, back

    def inside_x(self, z: Floats) -> Floats:
        """How far to the side the inside of the wall reaches, at many heights."""
        shape = self.shape
        width = np.interp(z, shape.z_mm, shape.half_width_mm)
        return np.asarray(width - 0.5 * (shape.front_fat_mm + shape.back_fat_mm) - SIDE_WALL_MM)

    def wall_beside(self, x: Floats, z: Floats) -> Floats:
        """Inner side of the front wall at places beside the middle: it recedes as the outline does."""
        shape = self.shape
        wall, _, _, _ = self.lines(z)
        middle = 0.5 * (
            np.interp(z, shape.z_mm, shape.front_y_mm) + np.interp(z, shape.z_mm, shape.back_y_mm)
        )
        q = np.minimum(np.abs(x) / np.maximum(self.inside_x(z), 1), 0.95)
        return np.asarray(middle + (wall - middle) * (1 - q**2.3) ** (1 / 2.1))


def blobs_at(centres: Floats, radii: Floats, hu: float, **more: Any) -> list[Blob]:
    """Ellipsoids of one tissue at places (n, 3) with radii (n, 3)."""
    return [
        Blob((x, y, z), (a, b, c), hu, **more)
        for (x, y, z), (a, b, c) in zip(centres.tolist(), radii.tolist(), strict=True)
    ]
