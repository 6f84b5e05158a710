"""Metal in the spine: screws and rods, as straight pieces in patient coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from phantom.vertebra import Triple


@dataclass(frozen=True)
class MetalPart:
    """One straight piece of metal, a capsule from `start_xyz_mm` to `end_xyz_mm` (patient coordinates).

    The bone painter draws it with `hu` (at most 3071). A scanner that draws streaks takes the same ends and
    radius: streaks lie in the axial planes that the piece crosses.
    """

    kind: str  # "screw" or "rod"
    start_xyz_mm: Triple
    end_xyz_mm: Triple
    radius_mm: float
    hu: float = 3071.0
