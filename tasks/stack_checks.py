"""The named checks on a stack: is it whole, where does it lie, does it hold enough spine. Reads headers only.

Distances are measured, never guessed: every check says how many millimetres, degrees or slices it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tasks.facts import Check, Facts, judge
from tasks.geometry import MISSING_RATIO, Gap, StackGeometry
from tasks.plan import Orientation
from tasks.profile import Profile
from tasks.series import Stack, measure_slices
from tasks.slices import StackSlice, along_mm_of

# Positions are written with two or three decimals, tables settle within a tenth: no variation at all.
SPACING_NOISE_MM = 0.1
# Thickness is written as 5.000000 or 4.999999.
ROUNDING_MM = 0.01
# More wide steps than this are another spacing, not missing slices (T17: 1 mm and 5 mm in one series).
MAX_WIDE_SHARE = 0.25
# A smaller tilt moves the ends of a 500 mm scan by less than 9 mm, the thickness of the slab's rim.
TILT_FLAG_DEG = 1.0
# The thickness from which a grade 1 loss cannot be resolved (method).
GRADE1_THICKNESS_MM = 3.0
# Bolus timing repeats one slice, or two neighbours.
MAX_BOLUS_MM = 10.0
MAX_PLACES = 8  # of gaps spelled out in a check
# The published model read at least this many sagittal images.
FEW_SLICES = 5


@dataclass(frozen=True, slots=True)
class KeptRun:
    """The slices of a stack that are used: all of them, or the main run when some lie apart at an end."""

    slices: tuple[StackSlice, ...]
    geometry: StackGeometry
    n_cut: int


def keep_main_run(stack: Stack, profile: Profile) -> KeptRun | None:
    """The longest run without a gap, if it holds the profile's share of slices; None without geometry."""
    if stack.geometry is None or stack.orientation is None:
        return None
    whole = KeptRun(stack.slices, stack.geometry, 0)
    if not stack.geometry.gaps:
        return whole
    main = max(_runs(stack.slices, stack.orientation, stack.geometry.spacing_mm or 0.0), key=len)
    if len(main) < profile.min_main_run_share * len(stack.slices):
        return whole
    return KeptRun(main, measure_slices(main, stack.orientation), len(stack.slices) - len(main))


def _runs(
    slices: Sequence[StackSlice], orientation: Orientation, spacing_mm: float
) -> list[tuple[StackSlice, ...]]:
    """Slices between gaps, in order."""
    steps_mm = np.diff(along_mm_of(slices, orientation))
    limit_mm = MISSING_RATIO * spacing_mm
    bounds = [0, *(int(i) + 1 for i in np.flatnonzero(steps_mm > limit_mm)), len(slices)]
    return [tuple(slices[a:b]) for a, b in pairwise(bounds)]


# --- integrity --------------------------------------------------------------------------------------------


def check_readable(stack: Stack) -> Check | None:
    """Files that could not be read, or are still being written: nothing is decided without them."""
    open_issues = [issue for issue in stack.issues if issue.outcome in ("failed", "pending")]
    reason = open_issues[0].reason if open_issues else ""
    return judge("files_readable", not open_issues, reason, len(open_issues), limit=0, unit="files")


def n_lost(stack: Stack, run: KeptRun | None) -> int:
    """Broken files of the series (truncated, impossible sizes, ...), and slices that no header places.

    Where the latter leave a gap among the others, the gap tells.
    """
    n_broken = sum(issue.outcome == "quarantined" for issue in stack.issues)
    return n_broken if run is None or run.geometry.gaps else n_broken + stack.n_unplaced


def check_broken(stack: Stack, run: KeptRun | None, profile: Profile) -> Check:
    """Broken files quarantine the series, unless the profile allows them and they leave no gap."""
    n_broken = n_lost(stack, run)
    is_whole = run is not None and not run.geometry.gaps and profile.accepts_broken_at_end
    return judge(
        "broken_files", not n_broken or is_whole, "broken_instances", n_broken, limit=0, unit="files"
    )


def check_conflicts(stack: Stack) -> Check:
    """One SOP Instance UID with different contents: which one is true cannot be known (T12)."""
    n_conflicts = stack.n_conflicts
    return judge("conflicts", not n_conflicts, "dup_conflict", n_conflicts, limit=0, unit="instances")


# --- place ------------------------------------------------------------------------------------------------


def check_geometry(facts: Facts) -> Check:
    """Position and orientation of every slice (T20); SliceLocation and instance numbers are no substitute."""
    stack = facts.stack
    n_without = sum(item.position_mm is None or item.orientation is None for item in stack.slices)
    is_good = n_without == 0 and stack.geometry is not None
    return judge("geometry", is_good, "no_geometry", n_without, limit=0, unit="slices without")


def check_pixel_spacing(facts: Facts) -> Check:
    """PixelSpacing of every slice (T21); ImagerPixelSpacing is that of the detector and never used."""
    values = [item.pixel_spacing_mm for item in facts.stack.slices]
    widest = max((max(value) for value in values if value is not None), default=None)
    shown = None if widest is None else round(widest, 4)
    return judge("pixel_spacing", all(value is not None for value in values), "no_spacing", shown, unit="mm")


def check_tilt(geometry: StackGeometry, profile: Profile) -> Check:
    """Angle between the slices' normal and the line through their positions (T18)."""
    limit = profile.max_tilt_deg
    tilt_deg = round(geometry.tilt_deg, 2)
    return judge("gantry_tilt", geometry.tilt_deg <= limit, "gantry_tilt", tilt_deg, limit=limit, unit="deg")


def check_plane(geometry: StackGeometry) -> Check:
    """Axial or sagittal, within the limit of `geometry.PLANE_LIMIT_DEG`."""
    is_good = geometry.plane in ("axial", "sagittal")
    return judge("plane", is_good, "plane", geometry.plane, limit="axial, sagittal")


def check_obliquity(geometry: StackGeometry) -> Check:
    """How far the slices lean from the patient's axis; recorded, the plane check holds the limit."""
    return Check("obliquity", None, round(geometry.obliquity_deg, 2), None, "deg")


# --- order and spacing ------------------------------------------------------------------------------------


def check_count(geometry: StackGeometry, profile: Profile) -> Check:
    """Enough slices for the plane."""
    limit = profile.min_sagittal_slices if geometry.plane == "sagittal" else profile.min_axial_slices
    n_slices = geometry.n_slices
    return judge("slice_count", n_slices >= limit, "too_few", n_slices, limit=limit, unit="slices")


def check_repeats(geometry: StackGeometry) -> Check:
    """Slices in one place that nothing in the headers tells apart (T15, T16); overlap is no repeat."""
    n_repeated = geometry.n_repeated
    reason = "mixed" if geometry.coverage_mm >= MAX_BOLUS_MM else "bolus_timing"
    return judge("one_scan", n_repeated == 0, reason, n_repeated, limit=0, unit="slices")


def check_gaps(geometry: StackGeometry) -> Check | None:
    """No step over 1.5 × the median (T13)."""
    if geometry.spacing_mm is None or geometry.max_step_mm is None:
        return None
    limit_mm = MISSING_RATIO * geometry.spacing_mm
    is_good = not geometry.gaps or has_two_spacings(geometry)
    return judge(
        "gap", is_good, "missing_slices", round(geometry.max_step_mm, 3), limit=round(limit_mm, 3), unit="mm"
    )


def missing_count(gaps: Sequence[Gap]) -> Check | None:
    """How many slices are missing, and where along the normal; recorded beside the gap."""
    if not gaps:
        return None
    places = ", ".join(f"{gap.from_mm:.1f}..{gap.to_mm:.1f}" for gap in gaps[:MAX_PLACES])
    return Check("missing", None, sum(gap.n_missing for gap in gaps), places, "slices")


def has_two_spacings(geometry: StackGeometry) -> bool:
    """Whether wide steps are so common that the stack has two spacings, not missing slices."""
    return len(geometry.gaps) > MAX_WIDE_SHARE * max(1, geometry.n_slices - 1)


def check_spacing(geometry: StackGeometry, profile: Profile) -> Check | None:
    """Steps vary little around their median, and one spacing rules the stack (T17)."""
    if geometry.spacing_mm is None or geometry.max_step_mm is None:
        return None
    limit_mm = max(SPACING_NOISE_MM, profile.max_spacing_deviation * geometry.spacing_mm)
    deviation_mm = geometry.max_deviation_mm
    if has_two_spacings(geometry):
        deviation_mm = max(deviation_mm, geometry.max_step_mm - geometry.spacing_mm)
    return judge(
        "spacing",
        deviation_mm <= limit_mm,
        "spacing_inconsistent",
        round(deviation_mm, 3),
        limit=round(limit_mm, 3),
        unit="mm",
    )


def check_line(geometry: StackGeometry, profile: Profile) -> Check:
    """Positions lie on one line: the field of view did not move within the stack."""
    off_mm, limit_mm = round(geometry.off_line_mm, 3), profile.max_off_line_mm
    return judge("line", off_mm <= limit_mm, "spacing_inconsistent", off_mm, limit=limit_mm, unit="mm")


# --- enough -----------------------------------------------------------------------------------------------


def resolution_mm(facts: Facts, geometry: StackGeometry) -> float | None:
    """Larger one of thickness and distance of axial slices; thickness of sagittal ones, else distance."""
    thickness_mm = max((s.thickness_mm for s in facts.stack.slices if s.thickness_mm), default=None)
    if geometry.plane == "sagittal" and thickness_mm is not None:
        return thickness_mm
    return max((value for value in (thickness_mm, geometry.spacing_mm) if value is not None), default=None)


def check_thickness(facts: Facts, geometry: StackGeometry, profile: Profile) -> Check | None:
    """Slices are thin enough; None when neither thickness nor distance is known."""
    measured_mm, limit_mm = resolution_mm(facts, geometry), profile.max_thickness_mm
    if measured_mm is None:
        return None
    is_good = measured_mm <= limit_mm + ROUNDING_MM
    return judge("thickness", is_good, "too_thick", round(measured_mm, 3), limit=limit_mm, unit="mm")


def check_coverage(geometry: StackGeometry, profile: Profile) -> Check:
    """Craniocaudal millimetres: from first to last axial slice, or the height of a sagittal image."""
    measured_mm, limit_mm = round(geometry.craniocaudal_mm, 1), profile.min_craniocaudal_mm
    return judge("coverage", measured_mm >= limit_mm, "too_short", measured_mm, limit=limit_mm, unit="mm")
