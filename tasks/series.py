"""Groups the instances of one study into stacks: by SeriesInstanceUID, split where one UID holds several (T14, T15).

Takes `StudyInstances`, returns `Stack`s; reads no files. Order and grouping come from UIDs, orientation and
position alone: never from paths, file order or instance numbers.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.geometry import (
    MISSING_RATIO,
    SAME_PLACE_MM,
    Floats,
    StackGeometry,
    angle_deg,
    measure,
    normal_of,
    unit_orientation,
)
from tasks.instance import FileIssue, Instance, StudyInstances
from tasks.plan import Orientation, Vector

# Slices of one stack are parallel; reformats write their cosines with 6 digits. Two stacks of one series
# (lumbar discs, localizers) differ by several degrees.
SAME_ORIENTATION_DEG = 1.0
SAME_SPACING_MM = 0.001  # PixelSpacing is written with 6 digits or more
SAME_THICKNESS_MM = 0.1  # 2.999999 and 3.0 are one thickness, 1.0 and 1.25 are two
MAX_LABEL = 96  # characters of a split label


class StackSlice(NamedTuple):
    """One slice: a single-frame instance, or one frame of an enhanced object."""

    instance: Instance
    frame: int
    position_mm: Vector | None
    orientation: Orientation | None  # unit length; None when absent or impossible
    pixel_spacing_mm: tuple[float, float] | None  # row spacing, column spacing; None when absent or
    impossible slope: float | None
    intercept: float | None
    thickness_mm: float | None
    image_type: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices that belong together, ordered along their normal. Without geometry they are ordered by UID."""

    study_instance_uid: str
    series_instance_uid: str
    split_label: str | None  # None: the series is one stack
    slices: tuple[StackSlice, ...]  # empty: the series is known by broken files only
    orientation: Orientation | None  # most frequent one; None: no geometry
    geometry: StackGeometry | None
    issues: tuple[FileIssue, ...]  # broken files of the whole series
    n_conflicts: int  # instances of this stack whose UID occurs with different contents
    n_vanished: int
    n_duplicates: int  # identical copies, counted at the largest stack of a series
    n_files: int  # each file of the series is counted at one stack

    @property
    def instances(self) -> list[Instance]:
        """The instances of the slices, each once, in slice order."""
        return list({id(item.instance): item.instance for item in self.slices}.values())


def group_series(study: StudyInstances) -> list[Stack]:
    """Stacks of a study, sorted by series UID and split label. Independent of the order of its instances."""
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in study.instances:
        by_series[instance.series_instance_uid].append(instance)
    for issue in study.issues:
        if issue.series_instance_uid is not None:
            by_series.setdefault(issue.series_instance_uid, [])
    return [stack for uid in sorted(by_series) for stack in _stacks_of(study, uid, by_series[uid])]


def _stacks_of(study: StudyInstances, uid: str, instances: list[Instance]) -> list[Stack]:
    """The stacks of one SeriesInstanceUID."""
    parts = _split(_slices_of(instances))
    labels = _unique_labels([label for label, _ in parts])
    issues = tuple(sorted((i for i in study.issues if i.series_instance_uid == uid), key=_issue_order))
    n_duplicates = dict(study.duplicates_by_series).get(uid, 0)
    if not parts:
        return [_stack(study, uid, None, [], issues, n_duplicates, len(issues) + n_duplicates)]
    main = max(range(len(parts)), key=lambda i: (len(parts[i][1]), labels[i]))
    stacks, counted = [], set[int]()
    for i, (_, slices) in enumerate(parts):
        own = {id(item.instance) for item in slices}
        n_own = len(own - counted)
        counted |= own
        n_extra = n_duplicates if i == main else 0
        n_files = n_own + n_extra + (len(issues) if i == main else 0)
        label = labels[i] if len(parts) > 1 else None
        stacks.append(_stack(study, uid, label, slices, issues, n_extra, n_files))
    return sorted(stacks, key=lambda stack: stack.split_label or "")


def _stack(
    study: StudyInstances,
    uid: str,
    label: str | None,
    slices: list[StackSlice],
    issues: tuple[FileIssue, ...],
    n_duplicates: int,
    n_files: int,
) -> Stack:
    orientation = _common_orientation(slices)
    uids = {item.instance.sop_instance_uid for item in slices}
    return Stack(
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=uid,
        split_label=label,
        slices=tuple(slices),
        orientation=orientation,
        geometry=measure_slices(slices, orientation) if orientation is not None else None,
        issues=issues,
        n_conflicts=len(uids & study.conflicts),
        n_vanished=len(uids & study.vanished),
        n_duplicates=n_duplicates,
        n_files=n_files,
    )


def measure_slices(slices: Sequence[StackSlice], orientation: Orientation) -> StackGeometry:
    """Geometry of slices that all have a position, in order along the normal."""
    spacing = slices[0].pixel_spacing_mm
    rows, columns = slices[0].instance.rows, slices[0].instance.columns
    size_mm = None
    if spacing is not None and rows and columns:
        size_mm = (columns * spacing[1], rows * spacing[0])
    return measure(_positions(slices), orientation, size_mm)


# --- slices -----------------------------------------------------------------------------------------------


def _slices_of(instances: Iterable[Instance]) -> list[StackSlice]:
    slices: list[StackSlice] = []
    for instance in instances:
        if instance.frames:
            slices += _frames_of(instance)
        else:
            slices.append(
                StackSlice(
                    instance,
                    0,
                    _finite(instance.position_mm),
                    _unit(instance.orientation),
                    _spacing(instance.pixel_spacing_mm),
                    instance.slope,
                    instance.intercept,
                    instance.slice_thickness_mm,
                    instance.image_type,
                )
            )
    return slices


def _frames_of(instance: Instance) -> list[StackSlice]:
    return [
        StackSlice(
            instance,
            index,
            _finite(frame.position_mm),
            _unit(frame.orientation),
            _spacing(frame.pixel_spacing_mm),
            frame.slope,
            frame.intercept,
            frame.slice_thickness_mm,
            frame.image_type or instance.image_type,
        )
        for index, frame in enumerate(instance.frames or ())
    ]


def _finite(position_mm: Vector | None) -> Vector | None:
    return position_mm if position_mm is not None and all(map(math.isfinite, position_mm)) else None


@functools.lru_cache(maxsize=4096)
def _unit(orientation: Orientation | None) -> Orientation | None:
    return unit_orientation(orientation)


def _spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
    """PixelSpacing as it stands; zero, negative and not finite ones are none (T21)."""
    if spacing_mm is None or not all(math.isfinite(value) and value > 0 for value in spacing_mm):
        return None
    return spacing_mm


def _positions(slices: Sequence[StackSlice]) -> Floats:
    return np.array([item.position_mm for item in slices], dtype=np.float64)


def _along_mm(slices: Sequence[StackSlice], orientation: Orientation) -> Floats:
    along_mm: Floats = _positions(slices) @ np.asarray(normal_of(orientation))
    return along_mm


def _common_orientation(slices: Sequence[StackSlice]) -> Orientation | None:
    """The most frequent orientation, the smaller one of equals; None unless every slice has its place."""
    if not slices or any(item.position_mm is None or item.orientation is None for item in slices):
        return None
    counts = Counter(item.orientation for item in slices)
    return min(counts, key=lambda value: (-counts[value], value or ()))


# --- splitting --------------------------------------------------------------------------------------------

Part = tuple[str, list[StackSlice]]


def _split(slices: list[StackSlice]) -> list[Part]:
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
        for soft, part in _split_repeats(_in_order(members)):
            parts.append((",".join(filter(None, (label, soft))), part))
    return sorted(parts, key=lambda part: (part[0], min(s.instance.sop_instance_uid for s in part[1])))


_HARD_NAMES = ("class", "type", "matrix", "spacing", "thickness", "kernel", "orientation")


def _hard_keys(slices: Sequence[StackSlice]) -> list[tuple[Hashable, ...]]:
    """What always tells stacks apart, one tuple per slice in the order of `_HARD_NAMES`."""
    orientation = _orientation_groups(slices)
    row_mm = _groups((s.pixel_spacing_mm[0] for s in slices if s.pixel_spacing_mm), SAME_SPACING_MM)
    column_mm = _groups((s.pixel_spacing_mm[1] for s in slices if s.pixel_spacing_mm), SAME_SPACING_MM)
    thickness = _groups((s.thickness_mm for s in slices if s.thickness_mm), SAME_THICKNESS_MM)
    return [
        (
            s.instance.sop_class_uid,
            (s.image_type or "").upper(),
            (s.instance.rows, s.instance.columns),
            s.pixel_spacing_mm and (row_mm[s.pixel_spacing_mm[0]], column_mm[s.pixel_spacing_mm[1]]),
            thickness.get(s.thickness_mm) if s.thickness_mm else None,
            s.instance.convolution_kernel,
            orientation.get(s.orientation) if s.position_mm is not None else None,
        )
        for s in slices
    ]


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
    """Each orientation → the representative of its group, the first one in sorted order within the tolerance."""
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


def _in_order(slices: list[StackSlice]) -> list[StackSlice]:
    """Along the normal; slices in one place, and slices without a place, by UID and frame."""
    orientation = _common_orientation(slices)
    along_mm = [0.0] * len(slices) if orientation is None else _along_mm(slices, orientation).tolist()
    order = sorted(
        range(len(slices)),
        key=lambda i: (along_mm[i], slices[i].instance.sop_instance_uid, slices[i].frame),
    )
    return [slices[i] for i in order]


# What may tell two scans in one series apart, when slices share a place. Values that could be free text are
# numbered.
_SOFT: tuple[tuple[str, bool, Callable[[Instance], Hashable]], ...] = (
    ("phase", False, lambda instance: instance.temporal_position),
    ("acquisition", False, lambda instance: instance.acquisition_number),
    ("kvp", False, lambda instance: instance.kvp),
    ("contrast", True, lambda instance: instance.contrast_bolus_agent),
    ("frame_of_reference", True, lambda instance: instance.frame_of_reference_uid),
    ("date", True, lambda instance: instance.acquisition_date),
    ("lying", False, lambda instance: instance.patient_position),
)


def _split_repeats(slices: list[StackSlice]) -> list[Part]:
    """Split slices that share places by the attribute that leaves the fewest shared ones, as often as it helps."""
    orientation = _common_orientation(slices)
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
    groups: dict[Hashable, list[StackSlice]] = defaultdict(list)
    for item in slices:
        groups[value_of(item.instance)].append(item)
    ordered = sorted(groups, key=lambda value: (value is not None, str(value)))
    return [
        (f"{name}={number if is_numbered else _shown(value)}", groups[value])
        for number, value in enumerate(ordered, 1)
    ]


def _n_repeated(slices: Sequence[StackSlice], orientation: Orientation) -> int:
    return int((np.diff(_along_mm(slices, orientation)) <= SAME_PLACE_MM).sum())


def _is_interleaved(slices: list[StackSlice], parts: list[Part], orientation: Orientation) -> bool:
    """Whether the parts alternate along the normal, each a regular stack: two phases, slightly shifted.

    One stack per slice, or stacks one after another (step and shoot, chest then abdomen), do not alternate.
    """
    part_of = {id(item): number for number, (_, part) in enumerate(parts) for item in part}
    order = [part_of[id(item)] for item in slices]
    n_runs = 1 + sum(a != b for a, b in zip(order, order[1:], strict=False))
    if n_runs == len(parts):
        return False
    return all(_is_regular(part, orientation) for _, part in parts)


def _is_regular(slices: list[StackSlice], orientation: Orientation) -> bool:
    if len(slices) < 3:
        return False
    steps_mm = np.diff(_along_mm(slices, orientation))
    return bool(steps_mm.max() <= MISSING_RATIO * np.median(steps_mm))


# --- labels -----------------------------------------------------------------------------------------------


def _shown(value: Hashable) -> str:
    """A value as it stands in a label: letters, digits and a few signs only."""
    if value is None or value == "":
        return "none"
    if isinstance(value, tuple):
        return "x".join(_shown(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", str(value))


def _unique_labels(labels: list[str]) -> list[str]:
    """Labels cut to length; equal ones are numbered, so that no two stacks of a series share a key."""
    cut = [label[:MAX_LABEL] for label in labels]
    counts = Counter(cut)
    seen: Counter[str] = Counter()
    unique = []
    for label in cut:
        seen[label] += 1
        unique.append(f"{label}#{seen[label]}" if counts[label] > 1 else label)
    return unique


def _issue_order(issue: FileIssue) -> tuple[str, str, int]:
    return (issue.reason, issue.sop_instance_uid or "", issue.file.size_bytes)
