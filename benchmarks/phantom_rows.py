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
from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import render_slab
from phantom.volume import PhantomVolume, render_volume

N_VOLUMES, N_SLABS = 12, 80
COLUMNS, SPACING_MM, PIXEL_MM = 256, 2.5, 1.25
LEAST_VOLUMES_PER_S, LEAST_SLABS_PER_S = 1.0, 20.0
_SCAN = Acquisition(thickness_mm=SPACING_MM, spacing_mm=SPACING_MM, in_plane_mm=0.8, noise_hu=15.0)


def phantom_rows(folder: Path) -> list[Row]:
    """Both lines of row 9. Patients are drawn as a hospital's are, with every coverage among them."""
    volumes = _each(draw_volume, N_VOLUMES)
    slabs = _each(draw_slab, N_SLABS)
    written = _seconds_to_write(folder)
    whole = f"whole scan drawn, {COLUMNS}² every {SPACING_MM} mm"
    slab = f"slab drawn, ±{HALF_WIDTH_MM:g} mm, {PIXEL_MM} mm pixels"
    note = f"writing a scan as uncompressed DICOM takes another {written:.2f} s"
    return [
        _row("9a", whole, volumes, LEAST_VOLUMES_PER_S, note),
        _row("9b", slab, slabs, LEAST_SLABS_PER_S),
    ]


def draw_volume(seed: int) -> PhantomVolume:
    """One patient, drawn and scanned."""
    return render_volume(draw_patient(seed), columns=COLUMNS, acquisition=_SCAN, seed=seed)


def draw_slab(seed: int) -> object:
    """One patient and a slab, as `flows.phantom_scans` draws them."""
    return render_slab(draw_patient(seed), seed=seed, half_width_mm=HALF_WIDTH_MM, pixel_mm=PIXEL_MM)


def _each(draw: Callable[[int], object], n: int) -> list[float]:
    """Seconds of each of `n` draws, after one that fills the caches."""
    draw(n)
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
