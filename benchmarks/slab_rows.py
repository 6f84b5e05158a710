"""Rows 2 and 3: one scan from its files to the slab, against SimpleITK and pydicom, one thread each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray

from benchmarks.measure import Pair, Row, in_turns
from benchmarks.scans import Series, write_trunk
from tasks.header import read_headers
from tasks.identity import Pseudonymizer
from tasks.instance import Instance, StudyInstances
from tasks.plan import SeriesPlan
from tasks.profile import DEFAULT_PROFILE, Cohort
from tasks.select import select_study
from tasks.series import group_series
from tasks.slab import Slab, build_slab
from tasks.sources import open_source
from tasks.sources.base import Source
from warehouse.records import SlabRecord

UNCOMPRESSED_TURNS, COMPRESSED_TURNS = 7, 3
MOST_RMS_HU = 15.0  # between the two ways of cutting the same slices: they interpolate at other points
sitk: Any = SimpleITK  # it carries no types
_KEYS = Pseudonymizer(b"benchmark" * 4, "benchmark")


def uncompressed_rows(folder: Path) -> list[Row]:
    """Row 2."""
    series = write_trunk(folder / "uncompressed", "uncompressed")
    source = open_source(str(folder / "uncompressed"))
    plan = plan_of(source)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    slab = build_slab(plan, source)
    check_same_slices(slab, simpleitk_slices(series, slab.record))

    def peer() -> object:
        return simpleitk_slices(series, slab.record)

    pair = in_turns(lambda: build_slab(plan, source), peer, turns=UNCOMPRESSED_TURNS)
    whole = in_turns(lambda: build_slab(plan_of(source), source), peer, turns=COMPRESSED_TURNS)
    note = f"{whole.times_faster:.1f} × when ours also walks, reads the headers and selects"
    return [_row("2", "uncompressed", "SimpleITK series read + the same slices", pair, target=3.0, note=note)]


def compressed_rows(folder: Path) -> list[Row]:
    """Row 3, once for each compression."""
    return [
        _compressed_row(folder, number, syntax)
        for number, syntax in (("3a", "JPEG 2000 lossless"), ("3b", "JPEG lossless"))
    ]


def _compressed_row(folder: Path, number: str, syntax: str) -> Row:
    place = folder / syntax.replace(" ", "-")
    series = write_trunk(place, syntax)
    source = open_source(str(place))
    plan = plan_of(source)
    pair = in_turns(lambda: build_slab(plan, source), lambda: pydicom_pixels(series), turns=COMPRESSED_TURNS)
    return _row(number, syntax, "pydicom pixel_array of all slices", pair, target=1.3)


def _row(number: str, syntax: str, against: str, pair: Pair, *, target: float, note: str = "") -> Row:
    return Row(
        number=number,
        what=f"slab from a 300-slice series, {syntax}",
        against=against,
        ours=f"{pair.ours_median_s:.2f} s",
        peer=f"{pair.peer_median_s:.2f} s",
        ratio=pair.times_faster,
        target=target,
        note=note,
        numbers={"ours_s": pair.ours_s, "peer_s": pair.peer_s, "spread": pair.spread},
    )


def plan_of(source: Source) -> SeriesPlan:
    """Walk, headers, grouping and selection of the one series of a folder."""
    refs = [listing.ref(entry) for listing in source.walk() for entry in listing.entries]
    found = tuple(each for each in read_headers(source, refs) if isinstance(each, Instance))
    study = StudyInstances(found[0].study_instance_uid, found, len(found), 0, frozenset(), ())
    selection = select_study(
        group_series(study),
        study=study,
        keys=_KEYS,
        profile=DEFAULT_PROFILE,
        cohort=Cohort(),
        archive_key="benchmark",
        site="benchmark",
        run_id="benchmark",
    )
    return selection.plans[0]


def simpleitk_slices(series: Series, slab: SlabRecord) -> NDArray[np.float32]:
    """The slices of a slab the usual way: read the volume, average across, resample in the plane.

    It is told where the middle lies, which our own has to find. Returns (slices, rows, columns) in HU.
    """
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in reversed(series.paths)])  # from feet to head
    image = reader.Execute()
    spacing_mm, origin_mm = image.GetSpacing(), image.GetOrigin()
    volume_zyx = sitk.GetArrayViewFromImage(image)
    half = slab.slice_spacing_mm / 2
    centres_mm = slab.middle_x_mm + slab.slice_spacing_mm * (
        np.arange(slab.n_slices) - (slab.n_slices - 1) / 2
    )
    means = []
    for centre_mm in centres_mm:
        first, last = (
            round((x - origin_mm[0]) / spacing_mm[0]) for x in (centre_mm - half, centre_mm + half)
        )
        means.append(volume_zyx[:, :, first : last + 1].mean(axis=2, dtype=np.float32))
    stack = sitk.GetImageFromArray(np.stack(means))
    stack.SetSpacing((spacing_mm[1], spacing_mm[2], slab.slice_spacing_mm))
    stack.SetOrigin((origin_mm[1], origin_mm[2], centres_mm[0]))
    wanted = sitk.Resample(
        stack,
        (slab.columns, slab.rows, slab.n_slices),
        sitk.Transform(),
        sitk.sitkLinear,
        (slab.anterior_y_mm, slab.top_z_mm, centres_mm[0]),
        (slab.pixel_mm, slab.pixel_mm, slab.slice_spacing_mm),
        (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),  # rows from head to foot
        -1024.0,
        sitk.sitkFloat32,
    )
    return np.asarray(sitk.GetArrayFromImage(wanted))


def check_same_slices(slab: Slab, peer_xzy_hu: NDArray[np.float32]) -> None:
    """Both show the same place: raises RuntimeError when they differ by more than interpolation does."""
    rms = float(np.sqrt(np.mean((slab.slab_xzy_hu - peer_xzy_hu) ** 2)))
    if rms > MOST_RMS_HU:
        raise RuntimeError(f"the two ways give other slices: {rms:.0f} HU apart")


def pydicom_pixels(series: Series) -> list[NDArray[np.int16]]:
    """All slices by pydicom."""
    return [pydicom.dcmread(path).pixel_array for path in series.paths]
