"""The column: sizes of the levels, and how vertebrae are stacked into a spine. Frames as in `vertebra.py`."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from phantom.vertebrae.spine_ranges import SpineSettings
from phantom.vertebrae.vertebra import RIM, SchmorlNode, Vertebra

Floats = npt.NDArray[np.float64]
LEVELS = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))
CERVICAL = ("C4", "C5", "C6", "C7")
ALL_LEVELS = CERVICAL + LEVELS
LABEL_OF = {name: i + 1 for i, name in enumerate(LEVELS)}  # 1..17, 0 is "no thoracolumbar body"

# Posterior height, half depth, half width, disc above it: rounded means of adults (Panjabi 1991/1992, White &
# Panjabi 1990); axis tilt (degrees, top to the back) read from the two real mid-sagittal slices in the data.
_KNOTS = {
    "C4": (13.0, 7.5, 9.0, 4.5, -14.0),
    "C7": (14.0, 8.0, 10.5, 4.5, -26.0),
    "T1": (15.5, 8.5, 13.5, 3.8, -27.0),
    "T4": (17.5, 11.5, 13.5, 3.6, -20.0),
    "T8": (19.5, 14.0, 14.5, 4.6, -3.0),
    "T12": (23.3, 15.0, 19.0, 5.4, 9.0),
    "L1": (25.2, 15.5, 20.5, 6.6, 10.0),
    "L3": (26.6, 16.8, 22.5, 8.4, 0.0),
    "L4": (26.0, 17.3, 24.0, 9.3, -8.0),
    "L5": (24.3, 17.5, 25.5, 9.8, -21.0),
}
MIN_DISC_MM = 1.9  # of a disc that is not degenerated, read from the real slices
MIN_GAP_MM = 1.7  # between facing endplates wherever they are nearest, whatever bends the column
COLUMN_FOLLOWS_WEDGE = 0.6  # share of a wedge's angle that the column above takes; the discs take the rest


@lru_cache(maxsize=len(ALL_LEVELS))
def level_table(name: str) -> tuple[float, float, float, float, float]:
    """Posterior height, half depth, half width, disc thickness (mm) and tilt (degrees) of a level."""
    knots = [ALL_LEVELS.index(k) for k in _KNOTS]
    values = np.asarray(list(_KNOTS.values()))
    row = [float(np.interp(ALL_LEVELS.index(name), knots, values[:, k])) for k in range(5)]
    return (row[0], row[1], row[2], row[3], row[4])


def draw_intact(
    rng: np.random.Generator, settings: SpineSettings, is_female: bool, age_years: float
) -> list[Vertebra]:
    """Twenty-one intact vertebrae C4-L5 without a place yet; top to bottom. Wear follows age in all alike."""
    size = rng.uniform(*settings.size_scale) * settings.size_of_sex[0 if is_female else 1]
    tall = float(np.clip(rng.normal(1.0, settings.tall_sd), 0.88, 1.12))
    deep = float(np.clip(rng.normal(1.0, settings.depth_sd), 0.88, 1.14))
    wear = float(np.clip((age_years - 35) / 50, 0, 1) * rng.uniform(0.1, 1.0))
    disc = rng.uniform(*settings.disc_scale) * (1 - settings.disc_of_wear * wear * rng.random())
    waist = rng.uniform(*settings.waist)
    concavity = rng.uniform(*settings.concavity)
    lordotic_l5 = rng.uniform(0.0, 0.12)
    physiological = rng.uniform(0.0, 0.055)
    notch, relief = rng.uniform(*settings.notch), rng.uniform(*settings.relief_mm)
    bodies = []
    for name in ALL_LEVELS:
        height, depth, width, gap, _ = level_table(name)
        posterior = height * size * tall * (1 + rng.normal(0, settings.height_jitter))
        wedge = physiological * (1.0 if name in LEVELS[4:13] else 0.0) - (
            lordotic_l5 if name == "L5" else 0.0
        )
        anterior = posterior * (1 - wedge + rng.normal(0, settings.height_jitter))
        middle = 0.5 * (anterior + posterior) * (1 - concavity * rng.uniform(0.4, 1.5))
        # The upper endplate is the flatter one in most bodies.
        upper = float(rng.uniform(0.25, 0.65))
        dent = 0.5 * (anterior + posterior) - middle
        body = Vertebra(
            level=name,
            label=LABEL_OF.get(name, 0),
            centre_xyz_mm=(0.0, 0.0, 0.0),
            theta_rad=0.0,
            phi_rad=0.0,
            half_width_mm=width * size * float(rng.normal(1, 0.02)),
            half_depth_mm=depth * size * deep * float(rng.normal(1, 0.02)),
            intact_mm=(anterior, middle, posterior),
            upper_mm=(0.5 * anterior, 0.5 * middle, 0.5 * posterior),
            lower_mm=(-0.5 * anterior, -0.5 * middle, -0.5 * posterior),
            disc_mm=max(MIN_DISC_MM, gap * size * disc * float(rng.uniform(0.75, 1.15))),
            waist=waist * float(rng.uniform(0.6, 1.4)),
            notch=notch,
        )
        shifted = _shifted_middle(body, dent * (0.5 - upper))
        bodies.append(_with_surface(rng, shifted, settings, relief=relief, wear=wear))
    return bodies


def _shifted_middle(body: Vertebra, by_mm: float) -> Vertebra:
    """Both endplates' middle moved upwards: one dish deeper, the other flatter, the height as it was."""
    (ua, um, up), (la, lm, lp) = body.upper_mm, body.lower_mm
    return body.changed(upper_mm=(ua, um + by_mm, up), lower_mm=(la, lm + by_mm, lp))


def _with_surface(
    rng: np.random.Generator, body: Vertebra, settings: SpineSettings, *, relief: float, wear: float
) -> Vertebra:
    """Uneven, lopsided endplates, the vein behind, and the lips that come with the years."""
    rough = relief * (0.6 + 0.8 * wear)
    low, high = settings.dish_skew
    at = rng.integers(0, 512, 2)
    lip = settings.lip_of_wear_mm * wear
    return body.changed(
        relief_mm=(rough * float(rng.uniform(0.5, 1.5)), rough * float(rng.uniform(0.5, 1.5))),
        relief_at=(int(at[0]), int(at[1])),
        dish_power=float(rng.uniform(*settings.dish_power)),
        dish_skew=(float(rng.uniform(low, high)), float(rng.uniform(low, high))),
        vein_mm=float(rng.uniform(*settings.vein_mm)) if rng.random() < 0.8 else 0.0,
        lip_mm=lip * float(rng.uniform(0, 1)),
        back_lip_mm=0.4 * lip * float(rng.uniform(0, 1)),
    )


def sagittal_tilts(rng: np.random.Generator, settings: SpineSettings) -> Floats:
    """Tilt of every axis in radians, top to bottom, before any fracture."""
    kyphosis, lordosis = rng.uniform(*settings.kyphosis_scale), rng.uniform(*settings.lordosis_scale)
    pivot = level_table("T12")[4]
    tilts = []
    for name in ALL_LEVELS:
        base = level_table(name)[4]
        if ALL_LEVELS.index(name) <= ALL_LEVELS.index("T12"):
            tilts.append(pivot * lordosis + (base - pivot) * kyphosis + rng.normal(0, 1.0))
        else:
            tilts.append(base * lordosis + rng.normal(0, 1.2))
    # Lying on the table flattens what a strong curve would do to the neck.
    tilted = np.clip(np.asarray(tilts) + rng.uniform(*settings.tilt_deg), -48.0, 40.0)
    return np.radians(tilted)


def coronal_curve(rng: np.random.Generator, settings: SpineSettings) -> Floats:
    """Sideways position of every vertebra in mm, top to bottom: an offset and one or two arcs."""
    n = len(ALL_LEVELS)
    where = np.linspace(0, 1, n)
    offset = rng.uniform(*settings.lateral_offset_mm)
    if rng.random() < settings.strong_scoliosis_share:
        return offset + _strong_curve(rng, settings, where)
    amplitude = rng.uniform(*settings.scoliosis_mm) * rng.choice([-1, 1]) * rng.uniform(0.2, 1) ** 1.5
    phase, waves = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 1.4)
    return np.asarray(amplitude * np.sin(2 * math.pi * waves * where + phase) + offset)


def _strong_curve(rng: np.random.Generator, settings: SpineSettings, where: Floats) -> Floats:
    """A thoracic or lumbar arc, or one against the other; both ends stay near the midline."""
    size = rng.uniform(*settings.strong_scoliosis_mm) * rng.choice([-1, 1])
    if rng.random() < settings.double_curve_share:
        chest, loins = (np.exp(-(((where - c) / 0.15) ** 2)) for c in (0.5, 0.84))
        return np.asarray(size * (rng.uniform(0.6, 1.0) * chest - rng.uniform(0.6, 1.0) * loins))
    top = float(rng.choice([rng.uniform(0.5, 0.62), rng.uniform(0.78, 0.86)]))
    return np.asarray(size * np.exp(-(((where - top) / rng.uniform(0.14, 0.22)) ** 2)))


def stack(bodies: list[Vertebra], tilts: Floats, sideways_mm: Floats) -> list[Vertebra]:
    """Place every vertebra, from L5 upwards, so that the column sinks and bends with its fractures."""
    placed: list[Vertebra] = []
    end = np.array([0.0, 0.0])  # (y, z) of the upper endplate below
    extra = 0.0
    for i in range(len(bodies) - 1, -1, -1):
        body = bodies[i]
        reach = 2 * RIM * body.half_depth_mm
        lost = [i_mm - h_mm for i_mm, h_mm in zip(body.intact_mm, body.heights_mm, strict=True)]
        bend = COLUMN_FOLLOWS_WEDGE * math.atan((lost[2] - lost[0]) / reach)
        below = bodies[i + 1].disc_mm if i + 1 < len(bodies) else body.disc_mm
        theta = float(tilts[i]) + extra + 0.5 * bend
        axis = np.array([math.sin(theta), math.cos(theta)])
        lower = 0.5 * (body.lower_mm[0] + body.lower_mm[2])
        upper = 0.5 * (body.upper_mm[0] + body.upper_mm[2])
        centre = end + axis * (below - lower)
        if placed:
            centre = centre + axis * max(0.0, MIN_GAP_MM - _gap_mm(placed[-1], body, theta, centre))
        end = centre + axis * upper
        extra += bend
        placed.append(
            body.changed(
                centre_xyz_mm=(float(sideways_mm[i]), float(centre[0]), float(centre[1])),
                theta_rad=theta,
                phi_rad=0.0,
            )
        )
    return _with_coronal_tilt(placed[::-1])


def _gap_mm(below: Vertebra, body: Vertebra, theta: float, centre_yz: Floats) -> float:
    """Least distance between the facing endplates of two bodies at the three places of the truth, mm."""
    st, ct = math.sin(theta), math.cos(theta)
    y0, z0 = float(centre_yz[0]), float(centre_yz[1])
    gaps = []
    for k, share in enumerate((-RIM, 0.0, RIM)):
        _, y, z = below.to_patient(0.0, share * below.half_depth_mm, below.upper_mm[k])
        gaps.append(body.lower_mm[k] - ((y - y0) * st + (z - z0) * ct))
    return min(gaps)


def _with_coronal_tilt(bodies: list[Vertebra]) -> list[Vertebra]:
    x = np.array([b.centre_xyz_mm[0] for b in bodies])
    z = np.array([b.centre_xyz_mm[2] for b in bodies])
    slope = np.gradient(x, z)
    return [b.changed(phi_rad=math.atan(float(s))) for b, s in zip(bodies, slope, strict=True)]


# Sacrum and coccyx: height, half depth, half width, gap above, tilt (degrees); read from the real slices.
_SACRUM = (
    (29.0, 16.0, 26.0, 0.0, -38.0),
    (25.0, 11.0, 20.0, 1.6, -47.0),
    (21.0, 8.5, 16.0, 1.2, -46.0),
    (18.0, 7.0, 14.0, 1.0, -34.0),
    (15.0, 6.0, 12.0, 1.0, -16.0),
    (12.0, 4.5, 8.0, 2.5, 2.0),
    (9.0, 4.0, 6.0, 1.5, 18.0),
)


def draw_sacrum(
    rng: np.random.Generator, l5: Vertebra, x_mm: float, *, is_lumbarised: bool = False
) -> list[Vertebra]:
    """Five sacral and two coccygeal bodies, stacked downwards from the origin; label 0.

    A lumbarised first one is squarer, less tilted, and has a disc of its own below.
    """
    size, turn = l5.half_depth_mm / 17.5, math.radians(float(rng.uniform(-10, 12)))
    disc = float(rng.uniform(4.5, 8.0))
    end = np.array([0.0, 0.0])
    bodies = []
    for i, (height, depth, width, gap, tilt) in enumerate(_SACRUM):
        is_free = is_lumbarised and i == 0
        theta = math.radians(tilt + (10.0 if is_free else 0.0)) + turn
        above = disc if is_lumbarised and i == 1 else gap
        axis = np.array([math.sin(theta), math.cos(theta)])
        tall = (26.0 if is_free else height) * size * float(rng.normal(1, 0.03))
        centre = end - axis * (above + 0.5 * tall)
        end = centre - axis * 0.5 * tall
        half = 0.5 * tall
        bodies.append(
            Vertebra(
                level=f"S{i + 1}",
                label=0,
                centre_xyz_mm=(x_mm, float(centre[0]), float(centre[1])),
                theta_rad=theta,
                phi_rad=0.0,
                half_width_mm=width * size,
                half_depth_mm=depth * size,
                intact_mm=(tall, tall, tall),
                upper_mm=(half, half, half),
                lower_mm=(-half, -half, -half),
                disc_mm=disc if is_free else above,
                waist=0.08,
                cortex_gain=0.72,
                trabecular_hu=0.9 * l5.trabecular_hu,
                is_squared=is_free,
                relief_mm=(0.5 * l5.relief_mm[0], 0.3 * l5.relief_mm[1]),
                relief_at=(31 * i, 77 * i),
            )
        )
    return bodies


__all__ = ["ALL_LEVELS", "LABEL_OF", "LEVELS", "RIM", "SchmorlNode", "Vertebra"]
