"""Writes the plan of an eligible stack: from its verdict to what the slab stage reads. Pure; reads no files."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from tasks.decoders import NATIVE_SYNTAXES
from tasks.instance import Instance
from tasks.plan import Orientation, PixelFormat, PlannedSlice, SeriesPlan
from tasks.slices import StackSlice, along_mm_of
from tasks.verdict import Verdict, is_lossy


def plan_series(verdict: Verdict, *, study_key: str, series_key: str, series_revision: str) -> SeriesPlan:
    """Plan of a stack that passed every check. Raises ValueError for any other."""
    run, facts, stack = verdict.run, verdict.facts, verdict.stack
    if run is None or facts is None or stack.orientation is None or not verdict.is_eligible:
        raise ValueError("only an eligible stack has a plan")
    first = run.slices[0]
    if first.pixel_spacing_mm is None or first.instance.rows is None or first.instance.columns is None:
        raise ValueError("an eligible stack has a pixel spacing and a size")
    return SeriesPlan(
        study_key=study_key,
        series_key=series_key,
        series_revision=series_revision,
        plane=run.geometry.plane,
        patient_position=first.instance.patient_position,
        rows=first.instance.rows,
        columns=first.instance.columns,
        row_spacing_mm=first.pixel_spacing_mm[0],
        column_spacing_mm=first.pixel_spacing_mm[1],
        orientation=stack.orientation,
        slice_thickness_mm=thickness_of(run.slices),
        slice_spacing_mm=run.geometry.spacing_mm,
        tilt_deg=run.geometry.tilt_deg,
        obliquity_deg=run.geometry.obliquity_deg,
        is_lossy=is_lossy(facts),
        flags=verdict.flags,
        slices=_planned(run.slices, stack.orientation),
        n_bytes=bytes_of(item.instance for item in run.slices),
    )


def thickness_of(slices: tuple[StackSlice, ...]) -> float | None:
    """Slice thickness in mm, the largest where it varies by rounding; None when unknown."""
    return max((item.thickness_mm for item in slices if item.thickness_mm), default=None)


def bytes_of(instances: Iterable[Instance]) -> int:
    """Bytes of the files of some instances, each instance counted once (its frames share a file)."""
    return sum({id(instance): instance.file.size_bytes for instance in instances}.values())


_FORMAT_FIELDS = operator.attrgetter(
    "transfer_syntax_uid",
    "samples_per_pixel",
    "photometric",
    "bits_allocated",
    "bits_stored",
    "high_bit",
    "pixel_representation",
    "pixel_padding_value",
    "pixel_padding_range_limit",
)


def _planned(slices: tuple[StackSlice, ...], orientation: Orientation) -> tuple[PlannedSlice, ...]:
    formats: dict[tuple[object, ...], PixelFormat] = {}
    along_mm = along_mm_of(slices, orientation).tolist()
    planned = []
    for item, place_mm in zip(slices, along_mm, strict=True):
        key = _FORMAT_FIELDS(item.instance)
        if key not in formats:  # one object per format: pickles small
            formats[key] = _pixel_format(item.instance)
        planned.append(_planned_slice(item, place_mm, formats[key]))
    return tuple(planned)


def _planned_slice(item: StackSlice, along_mm: float, pixels: PixelFormat) -> PlannedSlice:
    instance = item.instance
    if item.position_mm is None or item.slope is None or item.intercept is None:
        raise ValueError("an eligible slice has a position and a rescale")
    offset, length = _pixel_range(item, pixels)
    return PlannedSlice(
        file=instance.file,
        frame=item.frame,
        n_frames=max(1, instance.n_frames),
        position_mm=item.position_mm,
        along_normal_mm=along_mm,
        slope=item.slope,
        intercept=item.intercept,
        pixel_offset=offset,
        pixel_length=length,
        pixels=pixels,
    )


def _pixel_range(item: StackSlice, pixels: PixelFormat) -> tuple[int | None, int | None]:
    """Where the bytes of one frame lie: its own share of native pixel data, all of encapsulated ones."""
    instance = item.instance
    is_native = pixels.transfer_syntax_uid in NATIVE_SYNTAXES
    if not is_native or instance.n_frames <= 1:
        return instance.pixel_offset, instance.pixel_length
    frame_bytes = (instance.rows or 0) * (instance.columns or 0) * pixels.bits_allocated // 8
    if instance.pixel_offset is None:
        return None, frame_bytes
    return instance.pixel_offset + item.frame * frame_bytes, frame_bytes


def _pixel_format(instance: Instance) -> PixelFormat:
    """Pixel format of an instance whose pixel checks passed."""
    bits_stored = instance.bits_stored or 0
    return PixelFormat(
        transfer_syntax_uid=instance.transfer_syntax_uid,
        samples_per_pixel=instance.samples_per_pixel or 1,
        photometric=instance.photometric or "",
        bits_allocated=instance.bits_allocated or 0,
        bits_stored=bits_stored,
        high_bit=instance.high_bit if instance.high_bit is not None else bits_stored - 1,
        pixel_representation=instance.pixel_representation or 0,
        padding_value=instance.pixel_padding_value,
        padding_limit=instance.pixel_padding_range_limit,
    )
