"""The table under the patient: a flat or a curved board over a frame, with or without a mattress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.anatomy import Anatomy
from phantom.picture.painting import AIR_HU, Float

BOARD_MM = 2.2
FOAM_HU = (-985.0, -880.0)  # inside of boards
MATTRESS_HU = (-960.0, -780.0)


@dataclass(frozen=True)
class Table:
    """Place and form (mm, HU). `top_y_mm` is the board's middle; a curved board rises to its sides."""

    top_y_mm: float
    half_width_mm: float
    curve_per_mm: float
    depth_mm: float
    base_half_width_mm: float
    mattress_mm: float
    board_hu: float
    foam_hu: float
    mattress_hu: float
    is_in_front: bool = False  # of a patient lying on the belly


def draw_table(patient: Anatomy, touch_y_mm: float, lying: str) -> Table | None:
    """The table of a patient whose skin reaches `touch_y_mm`; by the patient's seed. None beside a lateral one."""
    if lying not in ("supine", "prone"):
        return None
    rng = np.random.default_rng([patient.seed, 0x7AB])
    is_prone = lying == "prone"
    mattress = float(rng.choice([0.0, rng.uniform(8, 35)], p=[0.45, 0.55]))
    away = -1 if is_prone else 1
    return Table(
        top_y_mm=touch_y_mm + away * (patient.table_gap_mm * 0.5 + mattress),
        half_width_mm=float(rng.uniform(195, 262)),
        curve_per_mm=patient.table_curve,
        depth_mm=patient.table_depth_mm,
        base_half_width_mm=float(rng.uniform(90, 190)),
        mattress_mm=mattress,
        board_hu=patient.table_hu,
        foam_hu=float(rng.uniform(*FOAM_HU)),
        mattress_hu=float(rng.uniform(*MATTRESS_HU)),
        is_in_front=is_prone,
    )


def table_edges(table: Table, x_mm: Float) -> tuple[list[Float], list[float]]:
    """Edges along y (nx each) and the HU before each of them."""
    rise = np.float32(table.curve_per_mm) * x_mm * x_mm
    is_on = np.abs(x_mm) < table.half_width_mm
    beyond = np.maximum(np.abs(x_mm) - table.base_half_width_mm, 0)
    slope = table.depth_mm / max(table.half_width_mm - table.base_half_width_mm, 1.0)
    depth = np.maximum(table.depth_mm - slope * beyond, BOARD_MM)
    thick = np.where(is_on, BOARD_MM, 0)
    top = -rise
    steps = [top - np.where(is_on, table.mattress_mm, 0), top, top + thick]
    steps += [np.maximum(top + thick, depth - rise * 0), np.maximum(top + thick, depth) + thick]
    values = [AIR_HU, table.mattress_hu, table.board_hu, table.foam_hu, table.board_hu]
    if not table.is_in_front:
        return [np.asarray(table.top_y_mm + s, np.float32) for s in steps], values
    mirrored = [np.asarray(table.top_y_mm - s, np.float32) for s in reversed(steps)]
    return mirrored, [AIR_HU, *reversed(values[1:])]
