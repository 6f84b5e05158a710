"""Writes one planned study: its main series and what stands beside it, each series in a folder of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phantom.dicom import CORONAL, SAGITTAL, write_ct_series
from phantom.files import company, made_series
from phantom.files import series_words as words
from phantom.files.enhanced import write_enhanced
from phantom.files.private_tags import PrivateElement, draw_private
from phantom.files.schedule import StudyPlan
from phantom.files.study_tags import plain_tags, series_tags
from phantom.scanner.acquisition import Acquisition, with_kernel
from phantom.scanner.positions import StoredVolume, store
from phantom.slabs import render_slab
from phantom.truth import VertebraTruth
from phantom.volume import PhantomVolume, average_slices, render_volume

COLUMNS = 256
THICK_MM = 5.0
TOO_THICK_MM = 7.0  # no reading of vertebrae from slices of this distance
SAGITTAL_HALF_WIDTH_MM = 39.0
SPINE_REACH_MM = 95.0  # how far a body may lie in front of or behind the middle of a picture
LOST_SLICES = 6  # in the middle of a study that has a gap


@dataclass(frozen=True)
class WrittenStudy:
    """What a study came to show: the bodies, the tilt of its slices, the pixel of its axial slices (0 without)."""

    vertebrae: tuple[VertebraTruth, ...]
    tilt_deg: float = 0.0
    pixel_mm: float = 0.0


def write_study(work: Path, plan: StudyPlan, *, columns: int = COLUMNS) -> WrittenStudy:
    """All series of one study, each in a folder of its own; returns the truth of the main series."""
    if plan.files.kind == "sagittal":
        shown = _write_sagittal(work, plan)
        _write_papers(work, plan)
        return WrittenStudy(shown)
    volume = _rendered(plan, plan.scan, columns)
    tilt_deg = 0.0
    if plan.files.kind == "enhanced":
        _write_enhanced(work, volume, plan)
    elif plan.files.kind == "thick":
        factor = math.ceil(TOO_THICK_MM / volume.spacing_mm[0])
        _write_axial(work, average_slices(volume, factor), plan, words.THIN)
    else:
        paths, tilt_deg = _write_axial(work, volume, plan, words.THIN)
        _lose(paths, plan)
    _write_company(work, volume, plan)
    return WrittenStudy(_shown(volume, tilt_deg), tilt_deg, volume.spacing_mm[1])


def _rendered(plan: StudyPlan, scan: Acquisition, columns: int) -> PhantomVolume:
    return render_volume(
        plan.patient, columns=columns, coverage=plan.coverage, acquisition=scan, seed=plan.scan_seed
    )


def _lose(paths: list[Path], plan: StudyPlan) -> None:
    """A study with a gap has lost some slices in its middle."""
    if plan.files.kind == "gap":
        middle = len(paths) // 2
        for path in paths[middle : middle + LOST_SLICES]:
            path.unlink()


def _shown(volume: PhantomVolume, tilt_deg: float) -> tuple[VertebraTruth, ...]:
    """The bodies that lie wholly inside, also where a tilt cuts the ends of the stack obliquely."""
    margin = SPINE_REACH_MM * math.tan(math.radians(abs(tilt_deg))) / volume.spacing_mm[0]
    if not margin:
        return volume.vertebrae
    count = len(volume.volume_zyx_hu)
    kept = []
    for body in volume.vertebrae:
        is_inside = body.row_start > margin and body.row_stop < count - margin
        kept.append(replace(body, is_visible=body.is_visible and is_inside))
    return tuple(kept)


def _write_company(work: Path, volume: PhantomVolume, plan: StudyPlan) -> None:
    tags = series_tags(plan, words.SCOUT, spacing_mm=volume.spacing_mm[1])
    folder = _folder(work, plan, words.SCOUT)
    company.write_localizers(folder, volume, tags, tags["SeriesInstanceUID"])
    thick = average_slices(volume, max(2, round(THICK_MM / volume.spacing_mm[0])))
    made: dict[str, Callable[[], PhantomVolume]] = {
        words.THICK: lambda: thick,
        words.BONE: lambda: _rendered(plan, with_kernel(plan.scan, "bone"), volume.volume_zyx_hu.shape[2]),
        words.MIP: lambda: made_series.projected(thick),
        words.IODINE: lambda: made_series.iodine(thick),
        words.VNC: lambda: made_series.virtual_native(thick),
    }
    for kind in plan.files.series:
        if kind in made:
            _write_axial(work, made[kind](), plan, kind)
    if words.SAGITTAL in plan.files.series:
        _write_sagittal(work, plan)
    if words.CORONAL in plan.files.series:
        _write_coronal(work, volume, plan)
    _write_papers(work, plan)


def _write_papers(work: Path, plan: StudyPlan) -> None:
    """Dose report and screen capture."""
    for kind, write in (
        (words.DOSE, company.write_dose_report),
        (words.CAPTURE, company.write_screen_capture),
    ):
        if kind in plan.files.series:
            tags = plain_tags(plan) | _naming(plan, kind)
            write(_folder(work, plan, kind), tags, f"{plan.seed} {kind}")


def _naming(plan: StudyPlan, kind: str) -> dict[str, Any]:
    keep = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription")
    tags = series_tags(plan, kind, spacing_mm=plan.scan.spacing_mm)
    return {keyword: tags[keyword] for keyword in keep if keyword in tags}


def _folder(work: Path, plan: StudyPlan, kind: str) -> Path:
    return work / f"S{words.series_number(plan.files.device.line, kind):04d}"


def _private(plan: StudyPlan) -> tuple[PrivateElement, ...]:
    if plan.files.private_seed is None:
        return ()
    return draw_private(np.random.default_rng(plan.files.private_seed), plan.files.device.line.private)


def _write_axial(work: Path, volume: PhantomVolume, plan: StudyPlan, kind: str) -> tuple[list[Path], float]:
    """Returns the files in order of their instance numbers, and the tilt."""
    stored = store(volume, plan.files.position)
    tags = series_tags(
        plan,
        kind,
        spacing_mm=volume.spacing_mm[0],
        position=stored.patient_position,
        tilt_deg=stored.tilt_deg,
    )
    folder = _folder(work, plan, kind)
    return _write_stored(folder, stored, volume.spacing_mm, plan, tags, has_circle=True), stored.tilt_deg


def _write_stored(
    directory: Path,
    stored: StoredVolume,
    spacing_mm: tuple[float, float, float],
    plan: StudyPlan,
    tags: dict[str, Any],
    *,
    has_circle: bool = False,
) -> list[Path]:
    """`has_circle`: an axial reconstruction, with the scanner's padding around its round field of view."""
    storage = plan.files.storage
    padding = storage.padding if has_circle else None
    return write_ct_series(
        directory,
        stored.volume_zyx_hu,
        spacing_mm=spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        orientation=stored.orientation,
        step_xyz_mm=stored.step_xyz_mm,
        transfer_syntax=plan.files.transfer_syntax,
        slope=storage.slope,
        intercept=storage.intercept,
        is_signed=storage.is_signed,
        bits_stored=storage.bits_stored,
        padding=padding,
        padding_shift=plan.files.padding_shift,
        tags=tags | {"PixelPaddingValue": storage.padding_tag if has_circle else None},
        private=_private(plan),
        seed=tags["SeriesInstanceUID"],
    )


def _write_enhanced(work: Path, volume: PhantomVolume, plan: StudyPlan) -> None:
    tags = series_tags(plan, words.THIN, spacing_mm=volume.spacing_mm[0])
    stored = store(volume, "HFS")
    write_enhanced(
        _folder(work, plan, words.THIN) / "IM0001",
        stored.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        step_xyz_mm=stored.step_xyz_mm,
        tags=tags,
        seed=tags["SeriesInstanceUID"],
    )


def _write_sagittal(work: Path, plan: StudyPlan) -> tuple[VertebraTruth, ...]:
    """A native sagittal reformat of 3 mm, right to left."""
    slab = render_slab(
        plan.patient,
        pixel_mm=1.0,
        half_width_mm=SAGITTAL_HALF_WIDTH_MM,
        coverage=plan.coverage,
        acquisition=plan.scan,
        seed=plan.scan_seed,
    )
    origin = (float(slab.x_mm[0]), float(slab.y_mm[0]), float(slab.z_mm[0]))
    stored = StoredVolume(slab.slab_xzy_hu, origin, SAGITTAL, (slab.slice_spacing_mm, 0.0, 0.0), "HFS")
    tags = series_tags(plan, words.SAGITTAL, spacing_mm=slab.slice_spacing_mm)
    spacing = (slab.slice_spacing_mm, slab.pixel_mm, slab.pixel_mm)
    _write_stored(_folder(work, plan, words.SAGITTAL), stored, spacing, plan, tags)
    return slab.vertebrae


def _write_coronal(work: Path, volume: PhantomVolume, plan: StudyPlan) -> None:
    """A native coronal reformat, front to back."""
    hu, spacing, origin = made_series.coronal(volume)
    stored = StoredVolume(hu, origin, CORONAL, (0.0, spacing[0], 0.0), "HFS")
    tags = series_tags(plan, words.CORONAL, spacing_mm=spacing[0])
    _write_stored(_folder(work, plan, words.CORONAL), stored, spacing, plan, tags)
