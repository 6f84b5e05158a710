"""Private blocks as makers write them: creator, group, element, value representation, a value by seed.

Creators and groups are those that the makers' conformance papers list; the values mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset


@dataclass(frozen=True)
class PrivateElement:
    """One element of a private block; `offset` is its low byte."""

    group: int
    creator: str
    offset: int
    vr: str
    value: Any


_GE = (
    (0x0009, "GEMS_IDEN_01", ((0x01, "LO"), (0x02, "SH"), (0x27, "SL"))),
    (0x0019, "GEMS_ACQU_01", ((0x02, "SL"), (0x0F, "DS"), (0x23, "DS"), (0x27, "DS"), (0x2C, "SL"))),
    (0x0023, "GEMS_STDY_01", ((0x70, "FD"),)),
    (0x0043, "GEMS_PARM_01", ((0x10, "US"), (0x17, "DS"), (0x26, "US"), (0x40, "FL"))),
)
_SIEMENS = (
    (0x0019, "SIEMENS CT VA0  COAD", ((0xB0, "DS"), (0x92, "DS"), (0x94, "IS"))),
    (0x0021, "SIEMENS MED", ((0x11, "DS"), (0x20, "US"))),
    (0x0029, "SIEMENS CSA HEADER", ((0x08, "CS"), (0x09, "LO"), (0x10, "OB"))),
)
_PHILIPS = (
    (0x00E1, "ELSCINT1", ((0x01, "US"), (0x37, "DS"), (0x40, "SH"), (0x50, "DS"))),
    (0x01F1, "ELSCINT1", ((0x01, "CS"), (0x26, "DS"), (0x27, "DS"), (0x32, "CS"))),
)
_TOSHIBA = ((0x7005, "TOSHIBA_MEC_CT3", ((0x08, "DS"), (0x0B, "SH"), (0x13, "US"), (0x1D, "UL"))),)
_NEUSOFT = ((0x0019, "NMS_CT_01", ((0x10, "LO"), (0x11, "DS"), (0x30, "UL"))),)
_UIH = ((0x0065, "Image Private Header", ((0x01, "DS"), (0x0B, "LO"), (0x20, "OB"))),)
_HITACHI = ((0x0009, "HMC - CT - ID", ((0x00, "UN"), (0x01, "UN"))),)
_BLOCKS = {
    "ge": _GE,
    "siemens": _SIEMENS,
    "philips": _PHILIPS,
    "toshiba": _TOSHIBA,
    "neusoft": _NEUSOFT,
    "uih": _UIH,
    "hitachi": _HITACHI,
}


def draw_private(rng: np.random.Generator, maker: str) -> tuple[PrivateElement, ...]:
    """The private elements of a study by that maker; none for a maker without blocks."""
    return tuple(
        PrivateElement(group, creator, offset, vr, _value(rng, vr))
        for group, creator, elements in _BLOCKS.get(maker, ())
        for offset, vr in elements
    )


def _value(rng: np.random.Generator, vr: str) -> Any:
    number = int(rng.integers(1, 4000))
    if vr in ("US", "UL", "SL"):
        return number
    if vr in ("FL", "FD"):
        return number / 16
    if vr in ("OB", "UN"):
        return rng.bytes(2 * int(rng.integers(4, 120)))
    if vr == "DS":
        return f"{number / 8:.3f}"
    if vr == "IS":
        return str(number)
    return f"{'SHORT' if vr in ('SH', 'CS') else 'REV'}_{number}"


def add_private(ds: Dataset, elements: tuple[PrivateElement, ...]) -> None:
    """Put the blocks into a header, each behind its creator."""
    for one in elements:
        block = ds.private_block(one.group, one.creator, create=True)
        block.add_new(one.offset, one.vr, one.value)


__all__ = ["PrivateElement", "add_private", "draw_private"]
