"""Marks of vertebral bodies from masks: NIfTI label maps and DICOM SEG, as TotalSegmentator and others write them.

Each mask may hold the whole vertebra or its body only: in the mid-sagittal plane the canal parts the body from the
spinous process, and the front one of the large pieces is the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects, label

from phantom.real.ct_series import RealDataError
from phantom.real.nifti import PlacedArray
from phantom.real.vertebra_marks import Line, VertebraMark, half_width_of
from phantom.vertebrae.spine import ALL_LEVELS

# TotalSegmentator, task "total" since version 2 (class_map: 26 is S1, 27 L5 … 31 L1, 32 T12 … 43 T1, 44 C7 …).
TOTALSEGMENTATOR = {27 + k: f"L{5 - k}" for k in range(5)} | {32 + k: f"T{12 - k}" for k in range(12)}
# VerSe 2019/2020 and what follows it: 1-7 cervical, 8-19 thoracic, 20-24 lumbar (25 L6, 26 sacrum, 28 T13).
VERSE = {7 + k: f"T{k}" for k in range(1, 13)} | {19 + k: f"L{k}" for k in range(1, 6)}
SCHEMES = {"totalsegmentator": TOTALSEGMENTATOR, "verse": VERSE}
LAST_OF_VERSE = 28

LEAST_VOXELS = 30
LEAST_HEIGHT_SHARE = 0.5  # of the middle height; lower columns at the walls are lips or corners
LEAST_PIECE_SHARE = (
    0.3  # of the largest piece in the middle; smaller ones are osteophytes and errors of the mask
)
MID_WIDTH_MM = 6.0  # the slices around the middle that are looked at together
AT = np.linspace(-0.9, 0.9, 7)  # of the half depth, where an endplate line gets its points
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Turned:
    """A mask with axes (z down, y back, x left) and the way from its indices to millimetres."""

    mask_zyx: npt.NDArray[np.bool_]
    to_lps_mm: Floats  # of indices (z, y, x, 1)
    spacing_mm: tuple[float, float, float]

    def place(self, z: float, y: float, x: float) -> Floats:
        """Patient millimetres (x, y, z) of an index."""
        return np.asarray((self.to_lps_mm @ np.array([z, y, x, 1.0]))[:3])


def scheme_of(labels: npt.NDArray[np.generic]) -> dict[int, str]:
    """Which numbering a label map follows: VerSe's stops at 28, TotalSegmentator's vertebrae begin at 26."""
    found = {int(v) for v in np.unique(labels) if v}
    if max(found, default=0) > LAST_OF_VERSE or not found & set(VERSE):
        return TOTALSEGMENTATOR
    return VERSE


def marks_of_labels(placed: PlacedArray, scheme: str | None = None) -> tuple[VertebraMark, ...]:
    """Marks of all vertebrae in a label map. RealDataError when it holds none that is whole."""
    labels = np.asarray(placed.values_ijk)
    if labels.dtype.kind == "f":
        labels = np.rint(labels).astype(np.int32)
    if int(labels.max(initial=0)) > 100_000 or int(labels.min(initial=0)) < 0:
        raise RealDataError("the masks hold numbers that are no labels")
    if scheme is not None and scheme not in SCHEMES:
        raise RealDataError(f"no numbering of labels is called {scheme}: {', '.join(SCHEMES)}")
    names = SCHEMES[scheme] if scheme is not None else scheme_of(labels)
    boxes = find_objects(labels.astype(np.int32))
    along_z = int(np.abs(placed.to_lps_mm[2, :3]).argmax())
    parts = (
        (names[number], PlacedArray(labels[part] == number, _moved(placed.to_lps_mm, part)))
        for number, box in enumerate(boxes, start=1)
        if box is not None and number in names
        for part in [tuple(slice(0, n) if k == along_z else box[k] for k, n in enumerate(labels.shape))]
    )
    return marks_of_masks(parts)


def marks_of_masks(masks: Iterator[tuple[str, PlacedArray]]) -> tuple[VertebraMark, ...]:
    """Marks of masks with their levels; what is too small or cut at an edge is left out."""
    marks = [mark for level, placed in masks if (mark := mark_of_mask(level, placed)) is not None]
    if not marks:
        raise RealDataError("the masks hold no vertebra T1-L5")
    return tuple(sorted(marks, key=lambda mark: -mark.z_mm))


def _moved(to_lps_mm: Floats, box: tuple[slice, ...]) -> Floats:
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    return np.asarray(to_lps_mm @ shift)


def mark_of_mask(level: str, placed: PlacedArray) -> VertebraMark | None:
    """The mark of one mask; None where there is no body to speak of."""
    if level not in ALL_LEVELS or np.count_nonzero(placed.values_ijk) < LEAST_VOXELS:
        return None
    turned = _turn(placed)
    columns = np.flatnonzero(turned.mask_zyx.any(axis=(0, 1)))
    middle = 0.5 * float(columns[0] + columns[-1])
    body = _body(turned, middle)
    if body is None:
        return None
    return _mark_of_body(level, turned, body, middle)


def _turn(placed: PlacedArray) -> _Turned:
    """Axes permuted and flipped to (z down, y back, x left); leaning grids stay leaning."""
    directions = placed.to_lps_mm[:3, :3]
    order = [int(np.abs(directions[axis]).argmax()) for axis in (2, 1, 0)]
    if sorted(order) != [0, 1, 2]:
        raise RealDataError("the masks lie askew in the patient")
    mask = np.asarray(placed.values_ijk).astype(bool).transpose(order)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = directions[:, order], placed.to_lps_mm[:3, 3]
    for axis, (of_patient, sign) in enumerate(((2, -1), (1, 1), (0, 1))):
        if matrix[of_patient, axis] * sign < 0:
            matrix[:3, 3] += matrix[:3, axis] * (mask.shape[axis] - 1)
            matrix[:3, axis] *= -1
            mask = np.flip(mask, axis)
    dz, dy, dx = (float(np.linalg.norm(matrix[:3, axis])) for axis in range(3))
    return _Turned(mask, matrix, (dz, dy, dx))


def _body(turned: _Turned, middle: float) -> npt.NDArray[np.bool_] | None:
    """The body in the mid-sagittal plane (z, y)."""
    half = max(0, round(0.5 * MID_WIDTH_MM / turned.spacing_mm[2]))
    low, high = max(0, round(middle) - half), round(middle) + half + 1
    plane = turned.mask_zyx[:, :, low:high].mean(axis=2) >= 0.5
    pieces, count = label(plane)
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    large = 1 + np.flatnonzero(sizes >= LEAST_PIECE_SHARE * sizes.max())
    fronts = [int(np.flatnonzero((pieces == piece).any(axis=0))[0]) for piece in large]
    return np.asarray(pieces == large[int(np.argmin(fronts))])


def _mark_of_body(
    level: str, turned: _Turned, body: npt.NDArray[np.bool_], middle: float
) -> VertebraMark | None:
    heights = body.sum(axis=0)
    rows = np.flatnonzero(heights >= LEAST_HEIGHT_SHARE * np.quantile(heights[heights > 0], 0.75))
    is_cut = bool(body[[0, -1]].any())  # by the upper or lower edge of the field
    if len(rows) < 4 or is_cut:
        return None
    top = body.argmax(axis=0)[rows] - 0.5
    foot = len(body) - body[::-1].argmax(axis=0)[rows] - 0.5
    front, back = float(rows[0]) - 0.5, float(rows[-1]) + 0.5
    centre, half = 0.5 * (front + back), 0.5 * (back - front)
    lines = [_fitted((rows - centre) / half, edge) for edge in (top, foot)]
    at = [
        [turned.place(z, centre + half * v, middle) for v, z in zip(AT, line, strict=True)] for line in lines
    ]
    mid_z = 0.5 * float(np.mean(top) + np.mean(foot))
    walls = [float(turned.place(mid_z, y, middle)[1]) for y in (front, back)]
    return VertebraMark(
        level=level,
        x_mm=float(turned.place(mid_z, centre, middle)[0]),
        y_anterior_mm=walls[0],
        y_posterior_mm=walls[1],
        upper_yz_mm=_line(at[0]),
        lower_yz_mm=_line(at[1]),
        half_width_mm=half_width_of(level, 0.5 * (walls[1] - walls[0])),
    )


def _fitted(v: npt.NDArray[np.floating], edge: npt.NDArray[np.floating]) -> Floats:
    """An edge known to whole voxels as a parabola: endplates are shallow dishes."""
    return np.asarray(np.polyval(np.polyfit(v, edge, 2), AT))


def _line(points: list[Floats]) -> Line:
    return tuple((float(p[1]), float(p[2])) for p in points)
