"""Groups the instances of one study into stacks: by SeriesInstanceUID, split where one holds several (T14).

Takes `StudyInstances`, returns `Stack`s; reads no files. Order and grouping come from UIDs, orientation and
position alone: never from paths, file order or instance numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.geometry import StackGeometry, measure
from tasks.instance import FileIssue, Instance, StudyInstances
from tasks.plan import Orientation
from tasks.slices import StackSlice, common_orientation, positions_of, slices_of
from tasks.splitting import n_unplaced, split, unique_labels


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices that belong together, ordered along their normal. Without geometry they are ordered by UID."""

    study_instance_uid: str
    series_instance_uid: str
    split_label: str | None  # None: the series is one stack
    slices: tuple[StackSlice, ...]  # empty: the series is known by broken files only
    instances: tuple[Instance, ...]  # of the slices, each once, in slice order
    orientation: Orientation | None  # most frequent one; None: no geometry
    geometry: StackGeometry | None
    issues: tuple[FileIssue, ...]  # broken files of the whole series
    n_conflicts: int  # instances of this stack whose UID occurs with different contents
    n_vanished: int
    n_unplaced: (
        int  # slices of the series without position, orientation or spacing that may belong to this stack
    )
    n_duplicates: int  # identical copies, counted at the largest stack of a series
    n_files: int  # each file of the series is counted at one stack


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
    """The stacks of one SeriesInstanceUID, sorted by split label."""
    parts = split(slices_of(instances))
    labels = unique_labels([label for label, _ in parts])
    if len(parts) > 1:
        stacks = [
            _stack(study, uid, label, part, n_lost)
            for label, (_, part), n_lost in zip(labels, parts, n_unplaced(parts), strict=True)
        ]
    else:
        stacks = [_stack(study, uid, None, parts[0][1] if parts else [])]
    n_duplicates = dict(study.duplicates_by_series).get(uid, 0)
    return sorted(_count_files(stacks, n_duplicates), key=lambda stack: stack.split_label or "")


def _stack(
    study: StudyInstances, uid: str, label: str | None, slices: list[StackSlice], n_unplaced: int = 0
) -> Stack:
    orientation = common_orientation(slices)
    instances = tuple({id(item.instance): item.instance for item in slices}.values())
    uids = {instance.sop_instance_uid for instance in instances}
    return Stack(
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=uid,
        split_label=label,
        slices=tuple(slices),
        instances=instances,
        orientation=orientation,
        geometry=measure_slices(slices, orientation) if orientation is not None else None,
        issues=tuple(sorted((i for i in study.issues if i.series_instance_uid == uid), key=_issue_order)),
        n_conflicts=len(uids & study.conflicts),
        n_vanished=len(uids & study.vanished),
        n_unplaced=n_unplaced,
        n_duplicates=0,
        n_files=0,
    )


def _count_files(stacks: list[Stack], n_duplicates: int) -> list[Stack]:
    """Count each file once: copies and broken files at the largest stack, a shared object at the first."""
    main = max(stacks, key=lambda stack: (len(stack.slices), stack.split_label or ""))
    counted, seen = [], set[int]()
    for stack in stacks:
        own = {id(instance) for instance in stack.instances} - seen
        seen |= own
        n_copies = n_duplicates if stack is main else 0
        n_broken = len(stack.issues) if stack is main else 0
        counted.append(replace(stack, n_duplicates=n_copies, n_files=len(own) + n_copies + n_broken))
    return counted


def measure_slices(slices: Sequence[StackSlice], orientation: Orientation) -> StackGeometry:
    """Geometry of slices that all have a position, in order along the normal."""
    spacing = slices[0].pixel_spacing_mm
    rows, columns = slices[0].instance.rows, slices[0].instance.columns
    size_mm = None
    if spacing is not None and rows and columns:
        size_mm = (columns * spacing[1], rows * spacing[0])
    return measure(positions_of(slices), orientation, size_mm)


def _issue_order(issue: FileIssue) -> tuple[str, str, int]:
    return (issue.reason, issue.sop_instance_uid or "", issue.file.size_bytes)
