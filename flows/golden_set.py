"""The golden set of the canary: four simulated chests, each stored in another syntax, made once and then kept.

Its files lie beside the warehouse. They are made from fixed seeds, but what counts is their bytes: a digest over
them is stored with what the model said of them.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.volume import average_slices, render_volume

MOST_MM = 4.9  # distance of slices: what the lenient profile takes, so that the set stays small
COLUMNS = 128
_FIRST_SEED = 7_001
# Each decoder that a clinical archive needs, and with and without a fracture.
CASES = {
    "golden-native": (ExplicitVRLittleEndian, False),
    "golden-jpeg2000": (JPEG2000Lossless, True),
    "golden-jpegls": (JPEGLSLossless, False),
    "golden-jpeg": (JPEGLosslessSV1, True),
}


def golden_set(folder: Path) -> str:
    """Make the set in `folder` unless it is there; returns the SHA-256 over its files, their names included."""
    if not folder.exists():
        work = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, mode=0o700)
        for number, name in enumerate(CASES):
            _write_case(work / name, name, _FIRST_SEED + number)
        work.replace(folder)
    return _digest(folder)


def _write_case(folder: Path, name: str, seed: int) -> None:
    syntax, has_fracture = CASES[name]
    patient = draw_patient(seed, has_fracture=has_fracture, coverage="chest")
    thin = render_volume(patient, columns=COLUMNS, coverage="chest", seed=seed)
    volume = average_slices(thin, max(1, int(MOST_MM / thin.spacing_mm[0])))
    write_ct_series(
        folder,
        volume.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=volume.origin_xyz_mm,
        transfer_syntax=syntax,
        tags={
            "PatientID": name,
            "SliceThickness": f"{volume.spacing_mm[0]:.3f}",
        },
        seed=name,
    )


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
