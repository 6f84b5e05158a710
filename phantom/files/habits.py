"""How the files of one study are made and kept: scanner, syntax, stored numbers, series, packaging, flaws.

Tables are dealt out in turn, so that a small hospital already holds each kind; their lengths have no common factor,
so that over many studies every kind meets every other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from phantom.files import series_words as words
from phantom.files.dicom_bytes import LOSSY
from phantom.files.flaws import flaws_of
from phantom.files.names import Person, TextHabit, text_habit
from phantom.files.vendors import Device, Storage, device, storage_of

# 19 of them: compressing JPEG 2000 is slow, lossy archives are rare.
_SYNTAXES = (
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    RLELossless,
    JPEGLSNearLossless,
    JPEGLosslessSV1,
    ImplicitVRLittleEndian,
    JPEG2000,
)
# 17 of them; most patients lie on their back and go in head first.
_POSITIONS = (
    "HFS",
    "HFS",
    "FFS",
    "HFS",
    "HFS",
    "HFS-tilt",
    "HFS",
    "HFP",
    "HFS",
    "FFS-flipped",
    "HFS",
    "HFDR",
    "HFS",
    "FFS",
    "HFS-tilt",
    "FFP",
    "HFDL",
)
# 23 of them. "thick" slices are too thick for any reading, "gap" has lost slices in the middle.
_KINDS = (
    *("axial",) * 6,
    "enhanced",
    *("axial",) * 5,
    "sagittal",
    *("axial",) * 4,
    "thick",
    "axial",
    "axial",
    "gap",
    "axial",
    "axial",
)
# 10 of them.
_PACKAGING = (
    "folders",
    "hashed",
    "uids",
    "zip-stored",
    "flat",
    "patients",
    "mixed",
    "zip-deflated",
    "media",
    "folders",
)
# Stored values of lossy files: no padding, for a lossy codec would blur it.
_LOSSY_STORAGE = Storage(bits_stored=12)
# Series that stand beside the scan: share of the studies, and the first study that has one whatever the draw.
_OPTIONAL = (
    (words.THICK, 0.33, 1),
    (words.BONE, 0.15, 3),
    (words.SAGITTAL, 0.3, 2),
    (words.CORONAL, 0.12, 4),
    (words.MIP, 0.1, 5),
    (words.IODINE, 0.08, 8),
    (words.VNC, 0.08, 8),
)


@dataclass(frozen=True)
class FileHabits:
    """Everything about the files of one study that its pixels do not know."""

    kind: str
    device: Device
    storage: Storage
    padding_shift: tuple[float, float]
    transfer_syntax: str
    position: str
    packaging: str
    series: tuple[str, ...]
    flaws: tuple[str, ...]
    text: TextHabit
    name_form: int
    private_seed: int | None

    @property
    def is_lossy(self) -> bool:
        """Whether the main series was compressed with loss."""
        return self.transfer_syntax in LOSSY


def deal_habits(rng: np.random.Generator, number: int, seed: int, person: Person) -> FileHabits:
    """The files of study `number`."""
    kind = _KINDS[number % len(_KINDS)]
    scanner = device(number, seed)
    syntax = _syntax(number, kind)
    flaws = flaws_of(number)
    if scanner.line.style == "plain":  # its descriptions name no part of the body that could outweigh the tag
        flaws = tuple(flaw for flaw in flaws if flaw != "head_as_body_part")
    return FileHabits(
        kind=kind,
        device=scanner,
        storage=_LOSSY_STORAGE if syntax in LOSSY else storage_of(scanner.line, number),
        padding_shift=_shift(rng),
        transfer_syntax=syntax,
        position=_POSITIONS[number % len(_POSITIONS)] if kind in ("axial", "gap") else "HFS",
        packaging=_PACKAGING[number % len(_PACKAGING)],
        series=_series(rng, number, kind, has_kernel="no_kernel" not in flaws and scanner.line.kernel_says),
        flaws=flaws,
        text=text_habit(person, number),
        name_form=number,
        private_seed=number if rng.random() < 0.75 else None,
    )


def _syntax(number: int, kind: str) -> str:
    syntax = str(_SYNTAXES[number % len(_SYNTAXES)])
    if kind == "enhanced":
        return str(ExplicitVRLittleEndian)
    if kind == "sagittal" and syntax in LOSSY:
        return str(JPEG2000Lossless)
    return syntax


def _shift(rng: np.random.Generator) -> tuple[float, float]:
    """Where the scanner's circle lies in the picture; in a third of the studies off its middle."""
    if rng.random() < 0.67:
        return (0.0, 0.0)
    y, x = rng.uniform(-0.025, 0.025, 2)
    return (float(y), float(x))


def _series(rng: np.random.Generator, number: int, kind: str, *, has_kernel: bool) -> tuple[str, ...]:
    drawn = [name for name, share, first in _OPTIONAL if rng.random() < share or number == first]
    beside = [words.DOSE] * bool(rng.random() < 0.6) + [words.CAPTURE] * bool(rng.random() < 0.3)
    if kind == "sagittal":
        return (words.SAGITTAL, *beside)
    if kind != "axial":
        return (words.SCOUT, words.THIN, *beside)
    if not has_kernel and words.BONE in drawn:  # without a kernel that says so nothing tells the two apart
        drawn.remove(words.BONE)
    return (words.SCOUT, words.THIN, *drawn, *beside)
