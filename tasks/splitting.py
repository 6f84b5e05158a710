"""Tells apart the stacks that one SeriesInstanceUID holds (T15). Takes slices, returns labelled parts; pure.

Type, matrix, spacing, thickness, kernel and orientation always split. Phase, acquisition and the like split
only slices that share places, so that a series with one acquisition number per slice stays whole.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from tasks.geometry import MISSING_RATIO, SAME_PLACE_MM, angle_deg
from tasks.instance import Instance
from tasks.plan import Orientation
from tasks.slices import StackSlice, along_mm_of, common_orientation

# Slices of one stack are parallel; reformats write their cosines with 6 digits. Two stacks of one series
# (lumbar discs, localizers) differ by several degrees.
SAME_ORIENTATION_DEG = 1.0
SAME_SPACING_MM = 0.001  # PixelSpacing is written with 6 digits or more
SAME_THICKNESS_MM = 0.1  # 2.999999 and 3.0 are one thickness, 1.0 and 1.25 are two
MAX_LABEL = 160  # characters of a split label


Part = tuple[str, list[StackSlice]]


def split(slices: list[StackSlice]) -> list[Part]:
    """Parts of one series with the label that tells each from the others; one part has an empty label."""
    if not slices:
        return []
    keys = _hard_keys(slices)
    groups: dict[tuple[Hashable, ...], list[StackSlice]] = defaultdict(list)
    for key, item in zip(keys, slices, strict=True):
        groups[key].append(item)
    differing = [i for i in range(len(_HARD_NAMES)) if len({key[i] for key in groups}) > 1]
    parts: list[Part] = []
    for key, members in groups.items():
        label = ",".join(f"{_HARD_NAMES[i]}={_shown(key[i])}" for i in differing)
        for soft, part in _split_repeats(in_order(members)):
            parts.append((",".join(filter(None, (label, soft))), part))
    return sorted(parts, key=lambda part: (part[0], min(s.instance.sop_instance_uid for s in part[1])))


def n_unplaced(parts: Iterable[Part]) -> list[int]:
    """Of each part, the slices in others that may belong to it: but for what places them, all is the same."""
    firsts = [part[0] for _, part in parts]
    lost = Counter(_kind(item) for _, part in parts for item in part if not _is_placed(item))
    return [lost[_kind(first)] if _is_placed(first) else 0 for first in firsts]


def _is_placed(item: StackSlice) -> bool:
    return None not in (item.position_mm, item.orientation, item.pixel_spacing_mm)


def _kind(item: StackSlice) -> tuple[Hashable, ...]:
    instance = item.instance
    size = (instance.rows, instance.columns)
    return (instance.sop_class_uid, (item.image_type or "").upper(), size, instance.convolution_kernel)


_HARD_NAMES = ("class", "type", "matrix", "spacing", "thickness", "kernel", "orientation")


def _hard_keys(slices: Sequence[StackSlice]) -> list[tuple[Hashable, ...]]:
    """What always tells stacks apart, one tuple per slice in the order of `_HARD_NAMES`."""
    orientation = _orientation_groups(slices)
    row_mm = _groups((s.pixel_spacing_mm[0] for s in slices if s.pixel_spacing_mm), SAME_SPACING_MM)
    column_mm = _groups((s.pixel_spacing_mm[1] for s in slices if s.pixel_spacing_mm), SAME_SPACING_MM)
    thickness = _groups((s.thickness_mm for s in slices if s.thickness_mm), SAME_THICKNESS_MM)
    keys: list[tuple[Hashable, ...]] = []
    for s in slices:
        *kind, kernel = _kind(s)
        spacing = s.pixel_spacing_mm and (row_mm[s.pixel_spacing_mm[0]], column_mm[s.pixel_spacing_mm[1]])
        thick = thickness.get(s.thickness_mm) if s.thickness_mm else None
        lying = orientation.get(s.orientation) if s.position_mm is not None else None
        keys.append((*kind, spacing, thick, kernel, lying))
    return keys


def _groups(values: Iterable[float], tolerance: float) -> dict[float, float]:
    """Each value → the smallest value of its group; a group spans at most the tolerance."""
    groups: dict[float, float] = {}
    start = -math.inf
    for value in sorted(set(values)):
        if not value - start <= tolerance:
            start = value
        groups[value] = start
    return groups


def _orientation_groups(slices: Sequence[StackSlice]) -> dict[Orientation | None, Orientation]:
    """Each orientation → the representative of its group, the first within the tolerance in sorted order."""
    representatives: list[Orientation] = []
    groups: dict[Orientation | None, Orientation] = {}
    for value in sorted({s.orientation for s in slices if s.orientation is not None}):
        for known in representatives:
            if _is_parallel(value, known):
                groups[value] = known
                break
        else:
            representatives.append(value)
            groups[value] = value
    return groups


def _is_parallel(a: Orientation, b: Orientation) -> bool:
    limit = SAME_ORIENTATION_DEG
    return angle_deg(a[:3], b[:3]) <= limit and angle_deg(a[3:], b[3:]) <= limit


def in_order(slices: list[StackSlice]) -> list[StackSlice]:
    """Along the normal; slices in one place, and slices without a place, by UID and frame."""
    orientation = common_orientation(slices)
    along_mm = [0.0] * len(slices) if orientation is None else along_mm_of(slices, orientation).tolist()
    order = sorted(
        range(len(slices)),
        key=lambda i: (along_mm[i], *_identity(slices[i])),
    )
    return [slices[i] for i in order]


def _identity(item: StackSlice) -> tuple[str, str, int]:
    """Tells any two slices of a study apart, conflicting copies of one instance included."""
    return (item.instance.sop_instance_uid, item.instance.content_digest, item.frame)


# What may tell two scans in one series apart, when slices share a place. Values that could be free text are
# numbered.
_SOFT: tuple[tuple[str, bool, Callable[[Instance], Hashable]], ...] = (
    ("phase", False, operator.attrgetter("temporal_position")),
    ("acquisition", False, operator.attrgetter("acquisition_number")),
    ("kvp", False, operator.attrgetter("kvp")),
    ("contrast", True, operator.attrgetter("contrast_bolus_agent")),
    ("frame_of_reference", True, operator.attrgetter("frame_of_reference_uid")),
    ("date", True, operator.attrgetter("acquisition_date")),
    ("lying", False, operator.attrgetter("patient_position")),
)


def _split_repeats(slices: list[StackSlice]) -> list[Part]:
    """Split slices that share places by the attribute that leaves the fewest shared, as often as it helps."""
    orientation = common_orientation(slices)
    if orientation is None or len(slices) < 2:
        return [("", slices)]
    n_repeated = _n_repeated(slices, orientation)
    best: list[Part] | None = None
    for attribute in _SOFT:
        parts = _by(slices, attribute)
        if not 1 < len(parts) <= max(1, len(slices) // 2):
            continue
        n_left = sum(_n_repeated(part, orientation) for _, part in parts)
        if n_left < n_repeated or (n_repeated == 0 and _is_interleaved(slices, parts, orientation)):
            best, n_repeated = parts, n_left
            if n_left == 0:
                break
    if best is None:
        return [("", slices)]
    return [
        (",".join(filter(None, (label, inner))), part)
        for label, members in best
        for inner, part in _split_repeats(members)
    ]


def _by(slices: list[StackSlice], attribute: tuple[str, bool, Callable[[Instance], Hashable]]) -> list[Part]:
    name, is_numbered, value_of = attribute
    values = [value_of(item.instance) for item in slices]
    if values.count(values[0]) == len(values):
        return [("", slices)]
    groups: dict[Hashable, list[StackSlice]] = defaultdict(list)
    for value, item in zip(values, slices, strict=True):
        groups[value].append(item)
    ordered = sorted(groups, key=lambda value: (value is not None, str(value)))
    return [
        (f"{name}={number if is_numbered else _shown(value)}", groups[value])
        for number, value in enumerate(ordered, 1)
    ]


def _n_repeated(slices: Sequence[StackSlice], orientation: Orientation) -> int:
    return int((np.diff(along_mm_of(slices, orientation)) <= SAME_PLACE_MM).sum())


def _is_interleaved(slices: list[StackSlice], parts: list[Part], orientation: Orientation) -> bool:
    """Whether the parts alternate along the normal, each a regular stack: two phases, slightly shifted.

    One stack per slice, or stacks one after another (step and shoot, chest then abdomen), do not alternate.
    """
    part_of = {id(item): number for number, (_, part) in enumerate(parts) for item in part}
    order = [part_of[id(item)] for item in slices]
    n_runs = 1 + sum(a != b for a, b in pairwise(order))
    if n_runs == len(parts):
        return False
    return all(_is_regular(part, orientation) for _, part in parts)


def _is_regular(slices: list[StackSlice], orientation: Orientation) -> bool:
    if len(slices) < 3:
        return False
    steps_mm = np.diff(along_mm_of(slices, orientation))
    return bool(steps_mm.max() <= MISSING_RATIO * np.median(steps_mm))


def _shown(value: Hashable) -> str:
    """A value as it stands in a label: letters, digits and a few signs only."""
    if value is None or value == "":
        return "none"
    if isinstance(value, tuple):
        return "x".join(_shown(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", str(value))


def unique_labels(labels: list[str]) -> list[str]:
    """Labels cut to length; equal ones are numbered, so that no two stacks of a series share a key."""
    cut = [label[:MAX_LABEL] for label in labels]
    counts = Counter(cut)
    seen: Counter[str] = Counter()
    unique = []
    for label in cut:
        seen[label] += 1
        unique.append(f"{label}#{seen[label]}" if counts[label] > 1 else label)
    return unique
