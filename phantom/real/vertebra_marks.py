"""Where the vertebral bodies of a real scan lie: one record a body, from a table read by eye or from masks.

A table (CSV) has the columns of `COLUMNS`: pixels and slices as stored, slice 0 the most cranial. For a single
sagittal image the columns are the same: `x_centre_px` is left empty, a "slice" is a row of the image and a
"y pixel" a column. Masks (`read_mask_marks` in `mask_marks.py`) give the same record.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from phantom.real.ct_series import RealDataError, RealSeries
from phantom.vertebrae.spine import ALL_LEVELS, level_table

CORNERS = ("top_anterior", "top_posterior", "bottom_anterior", "bottom_posterior")
COLUMNS = (
    "series", "level", "x_centre_px", "y_anterior_px", "y_posterior_px", *(f"{corner}_slice" for corner in CORNERS)
)  # fmt: skip
LEAST_HEIGHT_MM, MOST_HEIGHT_MM = (
    5.0,
    60.0,
)  # a crushed upper thoracic body; the tallest lumbar ones stay under 45
LEAST_DEPTH_MM, MOST_DEPTH_MM = 10.0, 60.0
_LEVEL = re.compile(r"([CTL])\s*(\d{1,2})(\s*\?)?")

Line = tuple[tuple[float, float], ...]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class VertebraMark:
    """One vertebral body in its mid-sagittal plane, patient millimetres (LPS).

    Both endplate lines are points (y, z) from front to back; two are enough, more show the endplate's curve.
    """

    level: str
    x_mm: float
    y_anterior_mm: float
    y_posterior_mm: float
    upper_yz_mm: Line
    lower_yz_mm: Line
    half_width_mm: float
    is_level_sure: bool = True

    @property
    def half_depth_mm(self) -> float:
        """Half the distance from the front to the back wall."""
        return 0.5 * (self.y_posterior_mm - self.y_anterior_mm)

    @property
    def y_mm(self) -> float:
        """Middle of the body's depth."""
        return 0.5 * (self.y_posterior_mm + self.y_anterior_mm)

    @property
    def z_mm(self) -> float:
        """Middle of the body's height."""
        return float(0.5 * (line_z(self.upper_yz_mm, self.y_mm) + line_z(self.lower_yz_mm, self.y_mm)))


def line_z(line: Line, y_mm: float | Floats) -> npt.NDArray[np.float64]:
    """Height of an endplate line at y; beyond its ends it goes on straight, as its chord runs."""
    y, z = np.asarray(line, float).T
    slope = (z[-1] - z[0]) / (y[-1] - y[0])
    at = np.asarray(y_mm, float)
    beyond = at - np.clip(at, y[0], y[-1])
    return np.asarray(np.interp(at, y, z) + slope * beyond)


def half_width_of(level: str, half_depth_mm: float) -> float:
    """Half the width of a body of that depth: their ratio at this level in adults (`spine.level_table`)."""
    _, depth, width, _, _ = level_table(level if level in ALL_LEVELS else "T9")
    return half_depth_mm * width / depth


def disc_of(level: str, height_mm: float) -> float:
    """Height of the disc above a body of that height, where no neighbour is marked (`spine.level_table`)."""
    height, _, _, disc, _ = level_table(level if level in ALL_LEVELS else "T9")
    return height_mm * disc / height


def read_level(text: str) -> tuple[str, bool] | None:
    """`T7?` gives ("T7", False); None where no level is named."""
    found = _LEVEL.search(text.upper())
    return (f"{found[1]}{int(found[2])}", found[3] is None) if found else None


def read_box_marks(path: Path, series: RealSeries) -> tuple[VertebraMark, ...]:
    """The rows of a table that belong to a series, head to foot. RealDataError says what is wrong with the table.

    A row belongs when the series' folder (or file) ends with what stands in `series`; a table that names one
    series only belongs as a whole.
    """
    rows = _rows(path)
    own = _own_rows(rows, series.address)
    marks = tuple(_mark_of_row(number, row, series) for number, row in own)
    return checked_marks(marks, series)


def checked_marks(marks: Iterable[VertebraMark], series: RealSeries) -> tuple[VertebraMark, ...]:
    """Marks head to foot, each whole inside the series. RealDataError otherwise."""
    ordered = tuple(sorted(marks, key=lambda mark: -mark.z_mm))
    if not ordered:
        raise RealDataError("the marks hold no vertebra of this series")
    for mark in ordered:
        _check(mark, series)
        if sum(other.level == mark.level for other in ordered) > 1:
            raise RealDataError(f"{mark.level} is marked more than once")
    for above, below in pairwise(ordered):
        if above.z_mm - below.z_mm < LEAST_HEIGHT_MM:
            raise RealDataError(f"{above.level} and {below.level} are marked at one place")
    return ordered


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            missing, unknown = [c for c in COLUMNS if c not in names], [n for n in names if n not in COLUMNS]
            if missing or unknown:
                raise RealDataError(
                    f"the table of marks lacks the columns {', '.join(missing) or '-'} "
                    f"and has unknown ones: {', '.join(unknown) or '-'}"
                )
            return [
                (number, {k: (v or "").strip() for k, v in row.items()})
                for number, row in enumerate(reader, 2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RealDataError("the table of marks cannot be read") from error


def _own_rows(rows: list[tuple[int, dict[str, str]]], address: str) -> list[tuple[int, dict[str, str]]]:
    parts = PurePosixPath(address).parts
    own = [item for item in rows if _is_tail(PurePosixPath(item[1]["series"]).parts, parts)]
    is_only_one = len({row["series"] for _, row in rows}) == 1
    if not own and not is_only_one:
        raise RealDataError("no row of the table of marks names this series in its column `series`")
    return own or rows


def _is_tail(tail: Sequence[str], parts: Sequence[str]) -> bool:
    return bool(tail) and tuple(parts[-len(tail) :]) == tuple(tail)


def _mark_of_row(number: int, row: dict[str, str], series: RealSeries) -> VertebraMark:
    named = read_level(row["level"])
    if named is None:
        raise RealDataError(f"row {number} of the marks: no level such as L1 or T7")
    try:
        front_px, back_px = float(row["y_anterior_px"]), float(row["y_posterior_px"])
        slices = {corner: float(row[f"{corner}_slice"]) for corner in CORNERS}
        x_px = float(row["x_centre_px"]) if row["x_centre_px"] else None
    except ValueError as error:
        raise RealDataError(f"row {number} of the marks: a place is no number") from error
    front, back = (_place(px, 1, series) for px in (front_px, back_px))
    x = _place(x_px, 2, series) if x_px is not None else float(np.mean(series.x_mm))
    z = {corner: series.origin_xyz_mm[2] - at * series.spacing_mm[0] for corner, at in slices.items()}
    level, is_sure = named
    return VertebraMark(
        level=level,
        x_mm=x,
        y_anterior_mm=front,
        y_posterior_mm=back,
        upper_yz_mm=((front, z["top_anterior"]), (back, z["top_posterior"])),
        lower_yz_mm=((front, z["bottom_anterior"]), (back, z["bottom_posterior"])),
        half_width_mm=half_width_of(level, 0.5 * (back - front)),
        is_level_sure=is_sure,
    )


def _place(pixel: float, axis: int, series: RealSeries) -> float:
    """Millimetres along y (axis 1) or x (axis 2) of a pixel as stored."""
    if series.is_flipped_yx[axis - 1]:
        pixel = series.volume_zyx_hu.shape[axis] - 1 - pixel
    return series.origin_xyz_mm[2 - axis] + pixel * series.spacing_mm[axis]


def _check(mark: VertebraMark, series: RealSeries) -> None:
    name, half_voxel = mark.level, 0.5
    dz, dy, dx = series.spacing_mm
    z = [z for _, z in (*mark.upper_yz_mm, *mark.lower_yz_mm)]
    inside = (
        series.z_mm[-1] - half_voxel * dz <= min(z) and max(z) <= series.z_mm[0] + half_voxel * dz,
        series.y_mm[0] - half_voxel * dy <= mark.y_anterior_mm,
        mark.y_posterior_mm <= series.y_mm[-1] + half_voxel * dy,
        series.x_mm[0] - half_voxel * dx <= mark.x_mm <= series.x_mm[-1] + half_voxel * dx,
    )
    if not all(inside):
        raise RealDataError(f"{name} is marked outside the volume")
    if not LEAST_DEPTH_MM <= 2 * mark.half_depth_mm <= MOST_DEPTH_MM:
        raise RealDataError(f"{name} is marked {2 * mark.half_depth_mm:.0f} mm deep")
    for y in (mark.y_anterior_mm, mark.y_mm, mark.y_posterior_mm):
        height = float(line_z(mark.upper_yz_mm, y) - line_z(mark.lower_yz_mm, y))
        if not LEAST_HEIGHT_MM <= height <= MOST_HEIGHT_MM:
            raise RealDataError(f"{name} is marked {height:.0f} mm high")
