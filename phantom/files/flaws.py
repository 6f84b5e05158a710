"""What headers lack, state wrongly or write oddly. Pixels and geometry stay right; only tags change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Dealt out in turn; most studies have no flaw, some have two.
FLAWS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("no_age",),
    (),
    ("wrong_body_part",),
    (),
    ("no_kernel",),
    ("wrong_thickness",),
    (),
    ("no_body_part", "no_sex"),
    (),
    ("no_accession",),
    ("wrong_tilt",),
    (),
    ("no_age", "no_birth_date"),
    ("wrong_position",),
    (),
    ("no_description",),
    ("odd_age",),
    (),
    ("no_birth_date", "odd_numbers"),
    (),
    ("head_as_body_part",),
    (),
    ("no_image_type", "no_kvp"),
    ("odd_birth_date",),
    (),
)
_MISSING: dict[str, dict[str, Any]] = {
    "no_age": {"PatientAge": None},
    "no_birth_date": {"PatientBirthDate": ""},
    "no_sex": {"PatientSex": ""},
    "no_kernel": {"ConvolutionKernel": None},
    "no_body_part": {"BodyPartExamined": None},
    "no_accession": {"AccessionNumber": ""},
    "no_description": {"SeriesDescription": None, "StudyDescription": ""},
    "no_image_type": {"ImageType": None},
    "no_kvp": {"KVP": ""},
    "odd_age": {"PatientAge": "000Y"},
    "odd_birth_date": {"PatientBirthDate": "18000101"},
    "odd_numbers": {"SeriesNumber": "", "AcquisitionNumber": "", "StudyID": ""},
    "head_as_body_part": {"BodyPartExamined": "HEAD"},
}
_OTHER_PART = {"CHEST": "ABDOMEN", "ABDOMEN": "CHEST", "SPINE": "PELVIS"}
_OTHER_POSITION = {"HFS": "FFS", "FFS": "HFS", "HFP": "HFS"}
# These would take from a derived image the only word that says what it is.
_ORIGINALS_ONLY = {"no_image_type", "no_description", "head_as_body_part"}
_STUDY_WIDE = {"no_age", "no_birth_date", "no_sex", "no_accession", "odd_age", "odd_birth_date"}


def flaws_of(number: int) -> tuple[str, ...]:
    """The flaws of study `number`."""
    return FLAWS[number % len(FLAWS)]


def flawed(tags: Mapping[str, Any], flaws: tuple[str, ...], *, is_main: bool) -> dict[str, Any]:
    """The tags of one series as they come to be written. Flaws of the study reach every series of it."""
    made = dict(tags)
    for flaw in flaws:
        if is_main or flaw in _STUDY_WIDE or flaw not in _ORIGINALS_ONLY:
            made |= _changes(made, flaw)
    return made


def _changes(tags: Mapping[str, Any], flaw: str) -> dict[str, Any]:
    if flaw == "wrong_body_part" and tags.get("BodyPartExamined") in _OTHER_PART:
        return {"BodyPartExamined": _OTHER_PART[tags["BodyPartExamined"]]}
    if flaw == "wrong_position" and tags.get("PatientPosition") in _OTHER_POSITION:
        return {"PatientPosition": _OTHER_POSITION[tags["PatientPosition"]]}
    if flaw == "wrong_tilt" and "GantryDetectorTilt" in tags:
        return {"GantryDetectorTilt": "0" if float(tags["GantryDetectorTilt"]) else "-12.5"}
    if flaw == "wrong_thickness" and tags.get("SliceThickness"):
        return {"SliceThickness": f"{float(tags['SliceThickness']) / 2:g}"}
    return {keyword: value for keyword, value in _MISSING.get(flaw, {}).items() if keyword in tags}
