"""Takes one `SeriesPlan` and a source, returns one `Slab`: the middle of the patient as sagittal slices.

Axial stacks are resampled: 21 slices of 3 mm mean over ±30 mm, 0.8 mm pixels, rows from head to foot, columns from
front to back, slices from the patient's right to left. Native sagittal series keep their own slices.
`slab_task` is the same for a worker: it writes the file, makes the view, and turns every bad scan into a rejection.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks import spine
from tasks.axial_slab import resample_axial
from tasks.decode import FrameReader, PixelSource
from tasks.native_slab import resample_native
from tasks.openjpeg import NoOpenJpegError
from tasks.plan import SeriesPlan
from tasks.recipe import DEFAULT_RECIPE, STORAGE_RECIPE, SlabRecipe
from tasks.rejected import SlabRejected
from warehouse.reasons import message_for, reason_of
from warehouse.records import SlabRecord

if TYPE_CHECKING:
    from models.config import ViewRecipe
    from tasks.view import View

__all__ = [
    "DEFAULT_RECIPE",
    "STORAGE_RECIPE",
    "Slab",
    "SlabRecipe",
    "SlabRejected",
    "SlabRejection",
    "SlabResult",
    "build_slab",
    "slab_task",
]

LEAST_SPINE_MM = 60.0  # two lumbar vertebrae with their discs; less cannot be compared with a neighbour
# Between neighbouring pixels in soft tissue. Measured: soft and standard kernels 9-20 HU, a lung kernel 41-59 HU.
NOISY_HU = 80.0


@dataclass(frozen=True, slots=True)
class Slab:
    """The slab of one series and where it lies."""

    slab_xzy_hu: NDArray[np.int16]  # (n_slices, rows, columns): right → left, head → foot, front → back
    record: SlabRecord


@dataclass(frozen=True, slots=True)
class SlabRejection:
    """Why a series gave no slab."""

    stage: str  # slab
    outcome: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SlabResult:
    """What a worker gets: a record and the images the model reads, or a rejection."""

    record: SlabRecord | None
    view: View | None
    rejection: SlabRejection | None


def build_slab(plan: SeriesPlan, source: PixelSource, *, recipe: SlabRecipe = DEFAULT_RECIPE) -> Slab:
    """Read a series and return its slab. Raises SlabRejected with a reason code, or OSError."""
    reader = FrameReader(plan, source)
    slab = _native(plan, reader, recipe) if plan.plane == "sagittal" else _axial(plan, reader, recipe)
    if (slab.record.spine_mm or 0.0) < LEAST_SPINE_MM:
        raise SlabRejected("not_evaluable:no_spine")
    return slab


def _axial(plan: SeriesPlan, reader: FrameReader, recipe: SlabRecipe) -> Slab:
    voxels_hu, grid, body = resample_axial(plan, reader, recipe)
    slab = _stored(voxels_hu)
    is_spine = spine.spine_rows(slab[::2], recipe.pixel_mm)
    flags = _flags(plan, slab, recipe.pixel_mm**2 * recipe.slice_mm)
    flags += ["fov_cut"] if body.lateral_extent_mm is None else []
    flags += ["qc_noise"] if body.noise_hu > NOISY_HU else []
    flags += [f"qc_torn:{body.n_torn_slices}"] if body.n_torn_slices else []
    record = _record(plan, recipe, slab, (body.middle_x_mm, grid.y_mm[0], grid.z_mm[0]), flags)
    spine_mm = spine.spine_mm(is_spine, grid.z_mm, body.trunk_z_mm, body.other_z_mm)
    return Slab(
        slab,
        replace(
            record,
            lateral_extent_mm=body.lateral_extent_mm,
            midline_method=body.midline_method,
            spine_mm=spine_mm,
        ),
    )


def _native(plan: SeriesPlan, reader: FrameReader, recipe: SlabRecipe) -> Slab:
    stack = resample_native(plan, reader, recipe)
    slab = _stored(stack.slab_xzy_hu)
    is_spine = spine.spine_rows(slab, recipe.pixel_mm)
    flags = _flags(plan, slab, recipe.pixel_mm**2 * stack.slice_spacing_mm)
    place = (float(np.mean(stack.x_mm)), stack.y_mm[0], stack.z_mm[0])
    record = _record(plan, recipe, slab, place, flags)
    return Slab(
        slab,
        replace(
            record,
            slice_spacing_mm=stack.slice_spacing_mm,
            spine_mm=spine.spine_mm(is_spine, stack.z_mm, (), ()),
        ),
    )


def _stored(voxels_hu: NDArray[np.float32]) -> NDArray[np.int16]:
    """Rounded, contiguous int16."""
    return np.ascontiguousarray(np.rint(voxels_hu, out=voxels_hu).astype(np.int16))


def _flags(plan: SeriesPlan, slab: NDArray[np.int16], voxel_mm3: float) -> list[str]:
    padded = any(item.pixels.padding_value is not None for item in plan.slices)
    found = ["padding"] if padded else []
    found += ["tilt_resampled"] if plan.tilt_deg >= 1.0 else []
    return found + (["qc_metal"] if spine.has_metal(slab, voxel_mm3) else [])


def _record(
    plan: SeriesPlan, recipe: SlabRecipe, slab: NDArray[np.int16], place: Sequence[float], flags: list[str]
) -> SlabRecord:
    """The record of a native slab; an axial one replaces what it knows better."""
    return SlabRecord(
        series_key=plan.series_key,
        series_revision=plan.series_revision,
        storage_recipe=recipe.name,
        n_slices=slab.shape[0],
        rows=slab.shape[1],
        columns=slab.shape[2],
        pixel_mm=recipe.pixel_mm,
        slice_spacing_mm=recipe.slice_mm,
        middle_x_mm=float(place[0]),
        top_z_mm=float(place[2]),
        anterior_y_mm=float(place[1]),
        lateral_extent_mm=None,
        midline_method="native",
        spine_mm=None,
        n_bytes=None,
        is_kept=False,
        flags=flags,
    )


def slab_task(
    plan: SeriesPlan,
    source: PixelSource,
    slab_path: Path | None,
    recipe: SlabRecipe = DEFAULT_RECIPE,
    view_recipe: ViewRecipe | None = None,
) -> SlabResult:
    """Build, keep (when there is a path) and view one series. A bad scan comes back as a rejection.

    Raises NoOpenJpegError only: a slab is to be kept and libopenjp2 is missing.
    """
    try:
        slab = build_slab(plan, source, recipe=recipe)
        record = _kept(slab, slab_path)
        view = view_of(slab, view_recipe) if view_recipe is not None else None
    except SlabRejected as rejected:
        return rejection_of(rejected.reason, rejected.message)
    except MemoryError:
        return rejection_of("decoder_memory")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return rejection_of("disk_full")
        return rejection_of("io", message_for("io", error=type(error).__name__))
    except NoOpenJpegError:  # of the machine, not of the scan
        raise
    except Exception:  # whatever else a hostile file may lead to: one series, never the shard
        return rejection_of("decode")
    return SlabResult(record, view, None)


def rejection_of(reason: str, message: str | None = None) -> SlabResult:
    """A result that holds nothing but why."""
    outcome = reason_of(reason).outcome.value
    return SlabResult(None, None, SlabRejection("slab", outcome, reason, message or message_for(reason)))


def _kept(slab: Slab, slab_path: Path | None) -> SlabRecord:
    if slab_path is None:
        return slab.record
    from tasks.jpeg2000 import write_slab

    return replace(slab.record, n_bytes=write_slab(slab_path, slab), is_kept=True)


def view_of(slab: Slab, recipe: ViewRecipe) -> View:
    """The images that a model reads of a slab. ValueError on an empty one."""
    from tasks.view import make_view

    return make_view(
        slab.slab_xzy_hu,
        pixel_mm=slab.record.pixel_mm,
        slice_spacing_mm=slab.record.slice_spacing_mm,
        lateral_extent_mm=slab.record.lateral_extent_mm,
        recipe=recipe,
    )
