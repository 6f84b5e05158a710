"""The record of one vertebra: pose, outline, heights, what it is made of, and what happened to it.

Frame of the patient: x to the left, y to the back, z to the head (DICOM's LPS), millimetres, origin in the
middle of the upper endplate of S1. Frame of one body: u to the left, v to the back, w upwards along its axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Triple = tuple[float, float, float]
RIM = 0.85  # where anterior and posterior heights are measured, as a share of the half depth

# Causes of a lowered body. A sound body, and one that only looks low, has the empty cause.
OSTEOPOROTIC, TRAUMATIC, PATHOLOGICAL = "osteoporotic", "traumatic", "pathological"


@dataclass(frozen=True)
class SchmorlNode:
    """A pit in one endplate: centre (u, v) and radius in mm, depth in mm, upper or lower endplate."""

    u_mm: float
    v_mm: float
    radius_mm: float
    depth_mm: float
    is_upper: bool


@dataclass(frozen=True)
class Spot:
    """An ellipsoid of other tissue inside one body; centre and radii (u, v, w) in mm.

    `edge` 0 is sharp, 1 fades over the whole radius. `adds` adds `hu` to what is there instead of replacing
    it. `ragged` moves the edge with the bone's texture. `streak` adds vertical struts of so many HU.
    `eats_shell` lets it destroy the shell and reach a little past it.
    """

    centre_mm: Triple
    radii_mm: Triple
    hu: float
    edge: float = 0.3
    adds: bool = False
    ragged: float = 0.0
    streak: float = 0.0
    eats_shell: bool = False


@dataclass(frozen=True)
class Cut:
    """A plane gap through one body: a cleft, a fracture line, the line behind a limbus.

    It lies where `normal` (unit, u v w) meets `centre_mm`, within an ellipsoid of `radii_mm`; `half_mm` is
    half its width.
    """

    centre_mm: Triple
    radii_mm: Triple
    normal: Triple
    half_mm: float
    hu: float


@dataclass(frozen=True)
class Vertebra:
    """One vertebra: pose, outline, three heights at its mid-sagittal plane, and what it is made of.

    `heights_mm` and `intact_mm` are (anterior, middle, posterior), measured at v = -RIM, 0, +RIM half depths.
    `upper_mm` and `lower_mm` are the w of both endplates at these places; their difference is `heights_mm`.
    `cause` says why the body is low ("" when it is sound), `grade` how low by Genant whatever the cause.
    `imitators` and `disturbances` are names: what only looks like a fracture, and what disturbs a reading.
    """

    level: str
    label: int
    centre_xyz_mm: Triple
    theta_rad: float
    phi_rad: float
    half_width_mm: float
    half_depth_mm: float
    intact_mm: Triple
    upper_mm: Triple
    lower_mm: Triple
    disc_mm: float
    waist: float
    cortex_gain: float = 1.0
    shape: str = "none"
    grade: int = 0
    lateral_tilt: float = 0.0
    trabecular_hu: float = 150.0
    band_hu: float = 0.0
    disc_hu: float = 80.0
    has_vacuum: bool = False
    lip_mm: float = 0.0
    endplate_gain: float = 1.0
    nodes: tuple[SchmorlNode, ...] = ()
    cause: str = ""
    is_recent: bool = False
    is_treated: bool = False
    imitators: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    relief_mm: tuple[float, float] = (0.0, 0.0)  # roughness of the upper and the lower endplate (SD)
    relief_at: tuple[int, int] = (0, 0)  # place in the bank of reliefs
    dish_power: float = 2.0  # 2 a parabola, more: flat floor and steep rim
    dish_skew: tuple[float, float] = (0.0, 0.0)  # how far the deepest place lies behind the middle
    notch: float = 0.0  # how much further back the sides of the rear wall lie, share of the half depth
    front_power: float = 3.0  # 2 a round front (thoracic), 3 a flat one (lumbar)
    vein_mm: float = 0.0  # depth of the cleft of the basivertebral vein
    step_mm: float = 0.0  # buckle of the front wall under a broken rim
    bulge_mm: float = 0.0  # how far the rear wall reaches into the canal
    back_lip_mm: float = 0.0
    bridge_mm: float = 0.0  # bony bridge in front of the disc below, how far it stands out
    ossified_mm: float = 0.0  # thickness of an ossified posterior ligament down to the next body
    is_squared: bool = False  # drawn with broad processes: a transitional vertebra
    spots: tuple[Spot, ...] = ()
    cuts: tuple[Cut, ...] = ()
    psi_rad: float = 0.0  # turned about the patient's axis (z), after the other two; see `posing.py`

    @property
    def heights_mm(self) -> Triple:
        """Anterior, middle and posterior height as they are."""
        a, m, p = (t - b for t, b in zip(self.upper_mm, self.lower_mm, strict=True))
        return (a, m, p)

    @property
    def losses(self) -> Triple:
        """Share of each intact height that is lost."""
        a, m, p = (1.0 - h / i for h, i in zip(self.heights_mm, self.intact_mm, strict=True))
        return (a, m, p)

    @property
    def loss(self) -> float:
        """The largest of the three losses, the one that Genant's grade stands on."""
        return max(0.0, *self.losses)

    def changed(self, **fields: Any) -> Vertebra:
        """`dataclasses.replace` without its checks of every field: bodies are changed by the hundred."""
        assert fields.keys() <= self.__dataclass_fields__.keys(), "no such field"
        other = object.__new__(Vertebra)
        other.__dict__.update(self.__dict__)
        other.__dict__.pop("axes", None)  # cached, and perhaps no longer true
        other.__dict__.update(fields)
        return other

    @cached_property
    def axes(self) -> tuple[Triple, ...]:
        """Unit vectors u, v, w of the body's frame in patient coordinates (x, y, z)."""
        st, ct = math.sin(self.theta_rad), math.cos(self.theta_rad)
        sp, cp = math.sin(self.phi_rad), math.cos(self.phi_rad)
        sz, cz = math.sin(self.psi_rad), math.cos(self.psi_rad)
        upright = ((cp, 0.0, -sp), (-sp * st, ct, -cp * st), (sp * ct, st, cp * ct))
        u, v, w = ((cz * x - sz * y, sz * x + cz * y, z) for x, y, z in upright)
        return (u, v, w)

    def to_patient(self, u: float, v: float, w: float) -> Triple:
        """Patient coordinates of a point given in the body's frame."""
        a, b, c = self.axes
        x, y, z = self.centre_xyz_mm
        return (
            x + u * a[0] + v * b[0] + w * c[0],
            y + u * a[1] + v * b[1] + w * c[1],
            z + u * a[2] + v * b[2] + w * c[2],
        )
