"""The fault table, numbers: cases of values that no scanner writes, forged into the bytes of a header."""

from __future__ import annotations

from collections.abc import Iterator

from fault_archive import Case, Corrupt, only, scan, with_value
from fault_cases import ALL, MISSING, SCORED, excluded, plain, quarantined


def odd_numbers() -> Iterator[Case]:
    """T20, T21, T25, T16: numbers that no scanner writes, in the place of geometry and format."""

    def forged(tag: int, vr: bytes, value: bytes, *slices: int) -> Corrupt:
        change: Corrupt = lambda data, _: with_value(data, tag, vr, value)  # noqa: E731
        return only(*slices)(change) if slices else change

    place, direction, spacing, thickness = 0x00200032, 0x00200037, 0x00280030, 0x00180050
    for name, value in {
        "nan_place": b"nan\\nan\\nan",
        "endless_place": b"1\\2\\inf",
        "two_numbers": b"1\\2",
        "words": b"here\\there\\up",
    }.items():
        split = (MISSING, ("excluded", "no_geometry"))
        yield plain("T20", name, MISSING, series=split, corrupt=forged(place, b"DS", value, 7))
    far = forged(place, b"DS", b"0\\0\\1e30", 7)
    yield plain("T20", "far_away", MISSING, series=(MISSING, ("excluded", "no_geometry")), corrupt=far)
    yield excluded(
        "T20", "zero_directions", "no_geometry", corrupt=forged(direction, b"DS", b"0\\0\\0\\0\\0\\0")
    )
    yield excluded("T20", "parallel", "no_geometry", corrupt=forged(direction, b"DS", b"1\\0\\0\\1\\0\\0"))
    for name, value in {
        "negative": b"-1\\-1",
        "nan": b"nan\\nan",
        "one_number": b"4.2",
        "tiny": b"1e-9\\1e-9",
    }.items():
        yield excluded("T21", name, "no_spacing", corrupt=forged(spacing, b"DS", value))
    for name, value in {"negative_thickness": b"-5", "nan_thickness": b"nan"}.items():
        yield plain("T16", name, SCORED, corrupt=forged(thickness, b"DS", value), is_twin=True)
    for name, tag, number in (
        ("no_bits_stored", 0x00280101, 0),
        ("more_bits_than_allocated", 0x00280101, 40),
        ("high_bit_outside", 0x00280102, 99),
        ("sign_of_seven", 0x00280103, 7),
    ):
        yield quarantined("T25", name, "bits", corrupt=forged(tag, b"US", number.to_bytes(2, "little")))
    yield plain("T45", "endless_number", SCORED, corrupt=forged(0x00200013, b"IS", b"9" * 60), is_twin=True)
    long = forged(0x0008103E, b"LO", b"A" * 60_000)
    yield Case("T45", "endless_text", lambda f, s: scan(f, s, corrupt=long), files={"bad_header": ALL})
    yield plain("T34", "no_date", SCORED, corrupt=forged(0x00080020, b"DA", b"20249999"), is_twin=True)
    yield quarantined("T12", "two_patients", "patients_mixed", PatientID=lambda k: f"P{k % 2}")
