"""The truth of one vertebra as a slab or a volume shows it, and what a scan's label counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phantom.picture.painting import Grid
from phantom.vertebrae.vertebra import OSTEOPOROTIC, RIM, Vertebra


@dataclass(frozen=True)
class VertebraTruth:
    """Truth of one thoracolumbar body. Heights are (anterior, middle, posterior) in mm at its mid-sagittal
    plane; `loss` is the largest share lost of an intact height; rows are of the slab, half open.

    `grade` follows from the loss whatever the cause. `cause` is "" (sound, or only low), "osteoporotic",
    "traumatic" or "pathological". `imitators` and `disturbances` are names, see `imitators.py`,
    `lesions.py` and `hardware.py`.
    """

    level: str
    label: int
    grade: int
    shape: str
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    intact_mm: tuple[float, float, float]
    loss: float
    trabecular_hu: float
    row_start: int
    row_stop: int
    is_visible: bool
    cause: str = ""
    is_recent: bool = False
    is_treated: bool = False
    imitators: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()


def vertebra_truth(grid: Grid, body: Vertebra) -> VertebraTruth:
    """Truth of one body as seen on a grid."""
    reach = RIM * body.half_depth_mm
    v_of = (-reach, 0.0, reach)
    tops = [body.to_patient(0, v, w)[2] for v, w in zip(v_of, body.upper_mm, strict=True)]
    feet = [body.to_patient(0, v, w)[2] for v, w in zip(v_of, body.lower_mm, strict=True)]
    step = float(grid.z_mm[0] - grid.z_mm[1])
    start = round((float(grid.z_mm[0]) - max(tops)) / step)
    stop = round((float(grid.z_mm[0]) - min(feet)) / step) + 1
    rows = len(grid.z_mm)
    in_x = float(grid.x_mm[0]) < body.centre_xyz_mm[0] < float(grid.x_mm[-1])
    anterior, middle, posterior = body.heights_mm
    return VertebraTruth(
        level=body.level,
        label=body.label,
        grade=body.grade,
        shape=body.shape,
        anterior_mm=anterior,
        middle_mm=middle,
        posterior_mm=posterior,
        intact_mm=body.intact_mm,
        loss=body.loss,
        trabecular_hu=body.trabecular_hu,
        row_start=max(0, start),
        row_stop=max(0, min(rows, stop)),
        is_visible=bool(start >= 0 and stop <= rows and in_x),
        cause=body.cause,
        is_recent=body.is_recent,
        is_treated=body.is_treated,
        imitators=body.imitators,
        disturbances=body.disturbances,
    )


def worst_osteoporotic_grade(bodies: Iterable[VertebraTruth]) -> int:
    """Worst grade of the osteoporotic fractures among bodies shown whole; 0 when there is none.

    Fractures by trauma and by metastasis do not count: they are classes of their own (`other_causes`).
    """
    return max((b.grade for b in bodies if b.is_visible and b.cause == OSTEOPOROTIC), default=0)


def other_causes(bodies: Iterable[VertebraTruth]) -> tuple[str, ...]:
    """Causes other than osteoporosis among the low bodies shown whole, each once, in alphabetical order."""
    return tuple(sorted({b.cause for b in bodies if b.is_visible and b.cause not in ("", OSTEOPOROTIC)}))


def has_hardware(body: VertebraTruth | Vertebra) -> bool:
    """Whether there is cement or a screw in a body."""
    return body.is_treated or "screws" in body.disturbances
