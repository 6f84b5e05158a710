"""The sagittal slab of a real (or deformed) series with dense truth, as `slabs.py` has it for simulated patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, binary_opening, label

from phantom.real.ct_series import HU_MAX, HU_MIN, RealSeries
from phantom.real.twins import SUPERELLIPSE, TwinField
from phantom.real.vertebra_marks import VertebraMark, line_z
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import PhantomSlab
from phantom.truth import VertebraTruth
from phantom.vertebrae.fractures import grade_of
from phantom.vertebrae.spine import LABEL_OF
from phantom.vertebrae.vertebra import OSTEOPOROTIC, RIM

Float = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

COVERAGE = "real"
TISSUE_HU = -300.0  # skin against air, above the lung's edge
LOOKED_AT = 9  # slices in which the body is looked for
TABLE_MM = (
    40.0  # tables, mattresses and their shells are thinner than this from front to back, bodies thicker
)
EDGE_MM = 3.0  # skin nearer to the edge of the field of view counts as cut
MARGIN_MM = 12.0  # air kept in front and behind


@dataclass(frozen=True)
class Outline:
    """Where the patient lies: middle and width from skin to skin (NaN where skin is cut), front and back."""

    middle_x_mm: float
    lateral_extent_mm: float
    front_y_mm: float
    back_y_mm: float


def find_outline(series: RealSeries) -> Outline:
    """The patient's outline: the largest piece of tissue in a few slices. A sagittal image is its own middle."""
    volume, x, y = series.volume_zyx_hu, series.x_mm, series.y_mm
    if volume.shape[2] == 1:
        return Outline(float(x[0]), float("nan"), float(y[0]), float(y[-1]))
    slices = np.unique(np.linspace(0, len(volume) - 1, LOOKED_AT + 2).round().astype(int)[1:-1])
    boxes = np.array([_tissue_box(volume[k], round(TABLE_MM / series.spacing_mm[1])) for k in slices])
    top, bottom = int(boxes[:, 0].min()), int(boxes[:, 1].max())
    left, right = (float(np.median(boxes[:, side])) for side in (2, 3))
    x0, x1 = (float(x[0]) + at * series.spacing_mm[2] for at in (left, right))
    is_cut = x0 - float(x[0]) < EDGE_MM or float(x[-1]) - x1 < EDGE_MM
    return Outline(0.5 * (x0 + x1), float("nan") if is_cut else x1 - x0, float(y[top]), float(y[bottom]))


def _tissue_box(image: npt.NDArray[np.int16], thin: int) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the largest piece of tissue thicker than `thin` pixels."""
    thick = np.ones((max(1, thin), 1), bool)
    pieces, count = label(binary_opening(binary_fill_holes(image > TISSUE_HU), thick))
    if not count:
        return 0, image.shape[0] - 1, 0, image.shape[1] - 1
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    rows, columns = np.nonzero(pieces == sizes.argmax())
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def near_middle(series: RealSeries, middle_x_mm: float, half_width_mm: float) -> RealSeries:
    """The columns within a distance of the middle only, so that a slab need not deform all."""
    x = series.x_mm
    keep = np.flatnonzero(np.abs(x - middle_x_mm) <= half_width_mm)
    if not keep.size:
        return series
    first, last = int(keep[0]), int(keep[-1]) + 1
    ox, oy, oz = float(x[first]), series.origin_xyz_mm[1], series.origin_xyz_mm[2]
    part = np.ascontiguousarray(series.volume_zyx_hu[:, :, first:last])
    return RealSeries(
        part, series.spacing_mm, (ox, oy, oz), series.thickness_mm, series.is_flipped_yx, series.technical
    )


def marks_after(marks: tuple[VertebraMark, ...], field: TwinField) -> tuple[VertebraMark, ...]:
    """The marks as they lie in the deformed series."""
    own = field.site.mark
    sinking = float(field.sinking_at_mm(own.x_mm, own.y_mm))
    moved = []
    for mark in marks:
        if mark == own:
            y = np.linspace(mark.y_anterior_mm, mark.y_posterior_mm, 9)
            lower, upper = field.endplates_after_mm(np.full(9, mark.x_mm), y)
            moved.append(_with_lines(mark, (y, upper), (y, lower)))
        elif mark.z_mm > own.z_mm:
            upper_line, lower_line = (np.asarray(line).T for line in (mark.upper_yz_mm, mark.lower_yz_mm))
            moved.append(_with_lines(mark, upper_line - [[0], [sinking]], lower_line - [[0], [sinking]]))
        else:
            moved.append(mark)
    return tuple(moved)


def _with_lines(
    mark: VertebraMark, upper: Floats | tuple[Floats, Floats], lower: Floats | tuple[Floats, Floats]
) -> VertebraMark:
    lines = [tuple((float(y), float(z)) for y, z in zip(*line, strict=True)) for line in (upper, lower)]
    return VertebraMark(
        mark.level,
        mark.x_mm,
        mark.y_anterior_mm,
        mark.y_posterior_mm,
        lines[0],
        lines[1],
        mark.half_width_mm,
        mark.is_level_sure,
    )


def heights_of(mark: VertebraMark) -> tuple[float, float, float]:
    """Anterior, middle and posterior height of a mark, at the places `RIM` names."""
    y = mark.y_mm + mark.half_depth_mm * np.array([-RIM, 0.0, RIM])
    a, m, p = (line_z(mark.upper_yz_mm, y) - line_z(mark.lower_yz_mm, y)).tolist()
    return (a, m, p)


def truth_of(
    series: RealSeries, marks: tuple[VertebraMark, ...], field: TwinField, z_mm: Floats
) -> tuple[VertebraTruth, ...]:
    """Truth of all marked bodies in a deformed series, for rows at `z_mm` (falling)."""
    found = []
    for mark in marks:
        is_own = mark.level == field.site.mark.level
        after = heights_of(mark)
        before = field.heights_mm if is_own else after
        loss = max(0.0, *(1 - a / b for a, b in zip(after, before, strict=True))) if is_own else 0.0
        grade = grade_of(loss)
        step = float(z_mm[0] - z_mm[1])
        tops, feet = ([z for _, z in line] for line in (mark.upper_yz_mm, mark.lower_yz_mm))
        start, stop = (
            round((float(z_mm[0]) - max(tops)) / step),
            round((float(z_mm[0]) - min(feet)) / step) + 1,
        )
        found.append(
            VertebraTruth(
                level=mark.level,
                label=LABEL_OF.get(mark.level, 0),
                grade=grade,
                shape="none" if not is_own or field.is_sham else field.lowering.shape,
                anterior_mm=after[0],
                middle_mm=after[1],
                posterior_mm=after[2],
                intact_mm=before,
                loss=loss,
                trabecular_hu=trabecular_hu(series, mark),
                row_start=max(0, start),
                row_stop=max(0, min(len(z_mm), stop)),
                is_visible=bool(start >= 0 and stop <= len(z_mm)),
                cause=OSTEOPOROTIC if grade else "",
            )
        )
    return tuple(found)


def trabecular_hu(series: RealSeries, mark: VertebraMark) -> float:
    """Median HU of the middle of a body."""
    _, middle, _ = heights_of(mark)
    near = (
        np.abs(series.z_mm - mark.z_mm) <= max(0.25 * middle, 0.5 * series.spacing_mm[0]),
        np.abs(series.y_mm - mark.y_mm) <= 0.5 * mark.half_depth_mm,
        np.abs(series.x_mm - mark.x_mm) <= max(0.5 * mark.half_width_mm, 0.5 * series.spacing_mm[2]),
    )
    inside = series.volume_zyx_hu[np.ix_(*near)]
    return float(np.median(inside)) if inside.size else float("nan")


def render_real_slab(
    series: RealSeries,
    marks: tuple[VertebraMark, ...],
    field: TwinField,
    outline: Outline,
    noise_hu: float,
    *,
    pixel_mm: float = 0.8,
    slice_spacing_mm: float = 3.0,
    half_width_mm: float = 30.0,
) -> PhantomSlab:
    """The slab around the middle of the body: 3 mm means, square pixels, as a sweep cuts it.

    A sagittal image gives a slab of one slice. `lateral_extent_mm` is NaN where the skin is cut.
    """
    volume = series.volume_zyx_hu
    n = 0 if volume.shape[2] == 1 else round(half_width_mm / slice_spacing_mm)
    x = (outline.middle_x_mm + np.arange(-n, n + 1) * slice_spacing_mm).astype(np.float32)
    y = _grid(
        max(outline.front_y_mm - MARGIN_MM, float(series.y_mm[0])),
        min(outline.back_y_mm + MARGIN_MM, float(series.y_mm[-1])),
        pixel_mm,
    )
    z = _grid(float(series.z_mm[-1]), float(series.z_mm[0]), pixel_mm)[::-1]
    to_x = _box_weights(series.x_mm, series.spacing_mm[2], x, slice_spacing_mm)
    to_y, to_z = _line_weights(series.y_mm, y, pixel_mm), _line_weights(series.z_mm, z, pixel_mm)
    averaged = np.tensordot(to_x, volume.astype(np.float32), axes=(1, 2))  # (x, z, y)
    hu = np.einsum("xzy,Yy->xzY", averaged, to_y, optimize=True)
    hu = np.einsum("xzy,Zz->xZy", hu, to_z, optimize=True)
    return PhantomSlab(
        slab_xzy_hu=np.clip(np.rint(hu), HU_MIN, HU_MAX).astype(np.int16),
        vertebra_label_xzy=_labels(marks, field, x, z, y),
        pixel_mm=pixel_mm,
        slice_spacing_mm=slice_spacing_mm,
        lateral_extent_mm=outline.lateral_extent_mm,
        x_mm=x,
        z_mm=z,
        y_mm=y,
        coverage=COVERAGE,
        acquisition=Acquisition(
            thickness_mm=series.thickness_mm,
            spacing_mm=series.spacing_mm[0],
            in_plane_mm=series.spacing_mm[1],
            noise_hu=noise_hu,
        ),
        vertebrae=truth_of(series, marks, field, z),
    )


def _grid(low: float, high: float, step: float) -> Float:
    """Multiples of the step, so that a twin and its sham share their grid."""
    first, last = np.ceil(low / step - 1e-3), np.floor(high / step + 1e-3)
    return (np.arange(first, last + 1) * step).astype(np.float32)


def _box_weights(source: Float, width: float, target: Float, target_width: float) -> Float:
    """Share of each target slice that each source column fills; sums to 1."""
    if len(source) == 1:
        return np.ones((len(target), 1), np.float32)
    reach = 0.5 * (width + target_width)
    overlap = np.clip(reach - np.abs(target[:, None] - source[None, :]), 0, min(width, target_width))
    return np.asarray(overlap / np.maximum(overlap.sum(axis=1, keepdims=True), 1e-6), np.float32)


def _line_weights(source: Float, target: Float, step: float) -> Float:
    """Linear interpolation, or a triangle of one target step where the source is finer (nothing aliases)."""
    spacing = abs(float(source[1] - source[0]))
    half = spacing if spacing >= 0.75 * step else step
    weights = np.clip(1 - np.abs(target[:, None] - source[None, :]) / half, 0, None)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6), np.float32)


def _labels(
    marks: tuple[VertebraMark, ...], field: TwinField, x: Float, z: Float, y: Float
) -> npt.NDArray[np.uint8]:
    """The label of the body in every voxel (x, z, y); 0 outside."""
    labels = np.zeros((len(x), len(z), len(y)), np.uint8)
    across, along = np.meshgrid(x.astype(float), y.astype(float), indexing="ij")
    for mark in marks:
        u = np.abs(across - mark.x_mm) / mark.half_width_mm
        v = np.abs(along - mark.y_mm) / mark.half_depth_mm
        inside = u**SUPERELLIPSE + v**SUPERELLIPSE <= 1
        if mark.level == field.site.mark.level:
            lower, upper = field.endplates_after_mm(across, along)
        else:
            lower, upper = line_z(mark.lower_yz_mm, along), line_z(mark.upper_yz_mm, along)
        rows = z[None, :, None]
        body = (rows <= upper[:, None]) & (rows >= lower[:, None]) & inside[:, None]
        labels[body] = LABEL_OF.get(mark.level, 0)
    return labels
