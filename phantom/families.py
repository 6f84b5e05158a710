"""Named families of settings: every range that a simulated patient or scanner is drawn from.

A family is a frozen record of ranges (low, high) or weights. A later family changes some of them with
`dataclasses.replace`; nothing else in the package holds a range of its own for these quantities.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phantom.scan_ranges import BodySettings, ScannerSettings
from phantom.spine_ranges import BoneSettings, FractureSettings, SpineSettings


@dataclass(frozen=True)
class Family:
    """One named family: all settings that a patient and a scan are drawn from."""

    name: str = "base"
    spine: SpineSettings = field(default_factory=SpineSettings)
    bone: BoneSettings = field(default_factory=BoneSettings)
    fracture: FractureSettings = field(default_factory=FractureSettings)
    body: BodySettings = field(default_factory=BodySettings)
    scanner: ScannerSettings = field(default_factory=ScannerSettings)


BASE = Family()
