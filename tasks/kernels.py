"""What a convolution kernel is for: soft tissue, bone or lung. Takes the header's name of it.

Patterns from the vendors' own naming: GE (SOFT, STANDARD, DETAIL, BONE, LUNG, EDGE), Siemens (B30f, Br38d, Hr60:
letters for the organ, a number that grows with sharpness), Philips (A, B, C, L, YA, YB, UB), Canon (FC08, FC51).
"""

from __future__ import annotations

import re
from enum import IntEnum

# Siemens numbers: up to about 49 smooth to medium, from 50 sharp (bone, lung).
SIEMENS_SHARP = 50
_SIEMENS = re.compile(r"\b([A-Z]{1,2})(\d{2})[A-Z]?\b")
_CANON = re.compile(r"\bFC(\d{2})\b")
_WORDS = (
    ("lung", re.compile(r"LUNG|\bL\b|\bYC\b|\bCHST\b")),
    ("bone", re.compile(r"BONE|EDGE|ULTRA|DETAIL|SHARP|\bYD\b|\bYE\b|\bD\b|\bE\b")),
    ("soft", re.compile(r"SOFT|STAND|STND|STD|BODY|SMOOTH|\b[ABC]\b|\bY[AB]\b|\bUB\b")),
)


class Kernel(IntEnum):
    """Classes of kernels, in the order in which they are preferred."""

    SOFT = 0
    UNKNOWN = 1
    BONE = 2
    LUNG = 3


def classify_kernel(name: str | None) -> Kernel:
    """Class of a ConvolutionKernel value, its parts joined by backslashes; UNKNOWN when no pattern fits."""
    text = (name or "").upper().replace("\\", " ").replace("_", " ")
    siemens = _SIEMENS.search(text)
    canon = _CANON.search(text)
    if canon is not None:
        return _canon(int(canon[1]))
    if siemens is not None:
        return _siemens(siemens[1], int(siemens[2]))
    for word, pattern in _WORDS:
        if pattern.search(text):
            return Kernel[word.upper()]
    return Kernel.UNKNOWN


def _siemens(organ: str, number: int) -> Kernel:
    if organ == "BL" and number >= SIEMENS_SHARP:
        return Kernel.LUNG
    return Kernel.SOFT if number < SIEMENS_SHARP else Kernel.BONE


def _canon(number: int) -> Kernel:
    """FC01-29 soft tissue and brain, FC30-49 bone and inner ear, FC50-59 lung, FC80+ high resolution."""
    if number < 30:
        return Kernel.SOFT
    return Kernel.LUNG if 50 <= number < 60 else Kernel.BONE
