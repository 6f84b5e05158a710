"""Row 9: how fast phantoms are drawn on one core, whole scans and slabs as training draws them.

There is no peer: the project asks for so many a second.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, seconds
from flows.phantom_scans import HALF_WIDTH_MM
from flows.phantom_scans import PIXEL_MM as TRAINING_PIXEL_MM
from flows.training_scans import EXTRACTOR_HALF_WIDTH_MM
from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import render_slab
from phantom.volume import PhantomVolume, render_volume

N_VOLUMES, N_SLABS = 12, 80
WARM_UP = 12  # draws: every kind of noise and texture has been computed once, as in any longer run
COLUMNS, SPACING_MM, PIXEL_MM = 256, 2.5, 1.25
LEAST_VOLUMES_PER_S, LEAST_SLABS_PER_S = 1.0, 10.0  # "tens per second"
_SCAN = Acquisition(thickness_mm=SPACING_MM, spacing_mm=SPACING_MM, in_plane_mm=0.8, noise_hu=15.0)


def phantom_rows(folder: Path) -> list[Row]:
    """The lines of row 9. Patients are drawn as a hospital's are, with every coverage among them."""
    volumes = _each(draw_volume, N_VOLUMES)
    slabs = _each(partial(draw_slab, half_width_mm=HALF_WIDTH_MM, pixel_mm=PIXEL_MM), N_SLABS)
    narrow = partial(draw_slab, half_width_mm=EXTRACTOR_HALF_WIDTH_MM, pixel_mm=TRAINING_PIXEL_MM)
    taught = _each(narrow, N_SLABS)
    written = _seconds_to_write(folder)
    whole = f"whole scan drawn, {COLUMNS}² every {SPACING_MM} mm"
    slab = f"slab drawn, ±{HALF_WIDTH_MM:g} mm, {PIXEL_MM} mm pixels"
    training = f"the same for the extractor: ±{EXTRACTOR_HALF_WIDTH_MM:g} mm, {TRAINING_PIXEL_MM:g} mm pixels"
    note = f"writing a scan as uncompressed DICOM takes another {written:.2f} s"
    return [
        _row("9a", whole, volumes, LEAST_VOLUMES_PER_S, note),
        _row("9b", slab, slabs, LEAST_SLABS_PER_S),
        _row("9c", training, taught, LEAST_SLABS_PER_S),
    ]


def draw_volume(seed: int) -> PhantomVolume:
    """One patient, drawn and scanned."""
    return render_volume(draw_patient(seed), columns=COLUMNS, acquisition=_SCAN, seed=seed)


def draw_slab(seed: int, *, half_width_mm: float, pixel_mm: float) -> object:
    """One patient and a slab."""
    return render_slab(draw_patient(seed), seed=seed, half_width_mm=half_width_mm, pixel_mm=pixel_mm)


def _each(draw: Callable[[int], object], n: int) -> list[float]:
    """Seconds of each of `n` draws, after some others that fill the caches."""
    for seed in range(n, n + WARM_UP):
        draw(seed)
    return [seconds(partial(draw, seed)) for seed in range(n)]


def _seconds_to_write(folder: Path) -> float:
    scan = draw_volume(0)
    origin = scan.origin_xyz_mm
    return seconds(
        lambda: write_ct_series(
            folder / "scan", scan.volume_zyx_hu, spacing_mm=scan.spacing_mm, origin_xyz_mm=origin
        )
    )


def _row(number: str, what: str, taken: list[float], least_per_s: float, note: str = "") -> Row:
    per_s = 1 / statistics.mean(taken)  # of a mixture of small and large ones
    return Row(
        number=number,
        what=what,
        against="what the project asks for",
        ours=f"{1000 * statistics.mean(taken):.0f} ms",
        peer="",
        ratio=per_s,
        target=least_per_s,
        unit="/s",
        note=note,
        numbers={"seconds": taken},
    )
