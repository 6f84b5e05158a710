"""What the tube voltage does to bone and to contrast: factors on HU, 1 at 120 kV.

Computed from mass attenuation coefficients (NIST XCOM: water, Ca, P, O, H, I) at the effective energies of CT
beams, as (material - displaced water) / water: hydroxyapatite of 3.16 g/cm3 for bone, iodine for contrast.
Trabecular bone measured on patients changes alike (Garner 2017, AJR 208, L1 at 80-140 kV), vessels too.
"""

from __future__ import annotations

import numpy as np

REFERENCE_KVP = 120
# Tube voltage, effective energy of the filtered beam behind a body (keV), factor of bone, factor of iodine.
_TABLE = (
    (70, 48.0, 1.54, 1.74),
    (80, 52.0, 1.38, 1.52),
    (100, 58.0, 1.14, 1.20),
    (120, 63.0, 1.00, 1.00),
    (140, 68.5, 0.89, 0.86),
)


def bone_factor(kvp: float) -> float:
    """How many times its HU at 120 kV bone has at a tube voltage (kV)."""
    return _between(kvp, 2)


def iodine_factor(kvp: float) -> float:
    """How many times its enhancement at 120 kV contrast has at a tube voltage (kV)."""
    return _between(kvp, 3)


def _between(kvp: float, column: int) -> float:
    if not _TABLE[0][0] <= kvp <= _TABLE[-1][0]:
        raise ValueError(f"tube voltage of {kvp:g} kV; CT has {_TABLE[0][0]}-{_TABLE[-1][0]} kV")
    return float(np.interp(kvp, [row[0] for row in _TABLE], [row[column] for row in _TABLE]))
