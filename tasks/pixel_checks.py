"""The named checks on pixels: can they be decoded, are they Hounsfield units. Reads headers only."""

from __future__ import annotations

import math
import re

from tasks.decoders import is_decodable
from tasks.facts import Check, Facts, coded, finite, judge, units_of
from tasks.instance import Instance

# CT pixels are 12 to 16 bits in 16 (PS3.3 C.8.2.1.1.4); under 10 bits the Hounsfield scale was windowed away.
BITS_ALLOCATED = 16
MIN_BITS_STORED = 10
# Slopes of CT are 1, seldom 0.1 to 10; an intercept outside 16 bits cannot come from a scanner.
MAX_SLOPE = 100.0
MAX_INTERCEPT_HU = 70_000.0
# Rescale Type (PS3.3 C.11.1.1.2): HU is implied when it is absent; GE writes "Houndsfield Unit".
_HOUNSFIELD = re.compile(r"HU|HOUN[DS]*FIELD( UNITS?)?")


def check_photometric(facts: Facts) -> Check:
    """MONOCHROME2 with one sample, as CT objects require (PS3.3 C.8.2.1.1.2, T27)."""
    found = sorted(coded(value) or "absent" for value in {i.photometric for i in facts.instances})
    n_samples = max(i.samples_per_pixel or 1 for i in facts.instances)
    is_good = found == ["MONOCHROME2"] and n_samples == 1
    return judge("photometric", is_good, "photometric", "+".join(found), limit="MONOCHROME2")


def check_bits(facts: Facts) -> Check:
    """16 bits allocated, at least 10 stored, within the allocated ones."""
    is_good = all(map(_has_ct_bits, facts.instances))
    stored = min(instance.bits_stored or 0 for instance in facts.instances)
    return judge("bits", is_good, "bits", stored, limit=MIN_BITS_STORED, unit="bits")


def _has_ct_bits(instance: Instance) -> bool:
    stored, high = instance.bits_stored, instance.high_bit
    if stored is None or high is None or instance.pixel_representation not in (0, 1):
        return False
    is_within = MIN_BITS_STORED <= stored <= BITS_ALLOCATED and stored - 1 <= high < BITS_ALLOCATED
    return instance.bits_allocated == BITS_ALLOCATED and is_within


def check_image_size(facts: Facts) -> Check:
    """Rows and Columns are there."""
    size = min(facts.first.rows or 0, facts.first.columns or 0)
    return judge("image_size", size > 0, "dims", size, limit=1, unit="pixels")


def check_rescale(facts: Facts) -> Check:
    """Slope and intercept of every slice: present (no default is ever assumed) and possible (T24)."""
    values = {(item.slope, item.intercept) for item in facts.stack.slices}
    if any(slope is None or intercept is None for slope, intercept in values):
        return Check("rescale", "no_rescale", None, MAX_SLOPE, "slope")
    slopes = [slope for slope, _ in values if slope is not None]
    is_good = all(_is_possible(slope, intercept) for slope, intercept in values)
    measured = next((s for s in slopes if not (math.isfinite(s) and 0 < s <= MAX_SLOPE)), slopes[0])
    return judge("rescale", is_good, "bad_rescale", finite(measured), limit=MAX_SLOPE, unit="slope")


def _is_possible(slope: float | None, intercept: float | None) -> bool:
    if slope is None or intercept is None or not (math.isfinite(slope) and math.isfinite(intercept)):
        return False
    return 0 < slope <= MAX_SLOPE and abs(intercept) <= MAX_INTERCEPT_HU


def check_rescale_type(facts: Facts) -> Check:
    """Values are Hounsfield units: Rescale Type says so, or is absent."""
    units = {(unit or "HU").strip().upper() for unit in units_of(facts)}
    wrong = sorted(unit for unit in units if not _HOUNSFIELD.fullmatch(unit))
    return judge("rescale_type", not wrong, "rescale_type", coded(wrong[0]) if wrong else "HU", limit="HU")


def check_decoder(facts: Facts) -> Check:
    """A decoder for every transfer syntax of the stack is installed (T28). "" is one that is not known yet (PACS)."""
    syntaxes = {i.transfer_syntax_uid for i in facts.instances} - {""}
    missing = sorted(uid for uid in syntaxes if not is_decodable(uid))
    uid = coded(missing[0] if missing else facts.first.transfer_syntax_uid)
    return judge("decoder", not missing, f"no_decoder:{uid}", uid)
