"""The named checks on what an object is: whose, of what kind, of what body part.

Each check takes the facts of one stack and returns what it measured against which limit; none reads a file.
Checks of pixels and geometry stand in `pixel_checks` and `stack_checks`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from tasks import header_words as words
from tasks.facts import Check, Facts, StudyFacts, coded, judge, units_of
from tasks.header_words import clear_other_part, find_type, find_word
from tasks.profile import Cohort, Profile

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
SOP_CLASSES = frozenset({CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT})  # PS3.4 B.5
MAX_LOCALIZER_IMAGES = 4  # frontal and lateral, repeated once
MAX_TIMING_MM = 100.0  # of images for contrast timing: one slice, or what a wide detector covers
# Units of material maps (Rescale Type, PS3.3 C.11.1.1.2).
_MATERIAL_UNITS = {"MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}
# Combined PET/CT scanners by their model names (vendors' conformance statements).
_PET_CT_MODEL = re.compile(
    r"BIOGRAPH|GEMINI|VEREOS|INGENUITY TF|CELESTEION|CARTESION|UMI ?\d|OMNI LEGEND"
    r"|DISCOVERY (LS|STE?|RX|VCT|IQ|MI|690|710)"
)
# Cone beam and megavolt CT of treatment machines, by their model names.
_LINAC_MODEL = re.compile(
    r"ON[- ]?BOARD IMAG|\bOBI\b|\bXVI\b|TOMOTHERAPY|HI-?ART|HALCYON|TRUEBEAM|RADIXACT|CYBERKNIFE"
)

# --- whose ------------------------------------------------------------------------------------------------


def study_checks(study: StudyFacts, cohort: Cohort) -> list[Check]:
    """Checks that hold for every stack of a study."""
    is_in = cohort.cohort_ids is None or bool(study.patient_ids & cohort.cohort_ids)
    is_out = bool(study.patient_ids & cohort.opt_out_ids)
    checks = [
        judge("opt_out", not is_out, "opted_out"),
        judge(
            "one_patient", study.n_patients <= 1, "patients_mixed", study.n_patients, limit=1, unit="patients"
        ),
        judge("cohort", is_in, "not_in_cohort"),
        _check_dates(study.study_date, cohort),
    ]
    if study.age_years is not None:
        is_old_enough = study.age_years >= cohort.min_age_years
        checks.append(
            judge(
                "age", is_old_enough, "under_age", study.age_years, limit=cohort.min_age_years, unit="years"
            )
        )
    return checks


def _check_dates(day: dt.date | None, cohort: Cohort) -> Check:
    """A study without a date lies in no range."""
    shown = day.isoformat() if day else None
    if cohort.since is None and cohort.until is None:
        return Check("study_date", None, shown)
    is_in = day is not None and (cohort.since or day) <= day <= (cohort.until or day)
    limit = f"{cohort.since or ''}..{cohort.until or ''}"
    return judge("study_date", is_in, "date_range", shown, limit=limit)


def check_asked_for(facts: Facts, cohort: Cohort) -> Check | None:
    """Body part, description and station match the patterns of the sweep; None where it has none."""
    wanted = (
        (cohort.body_parts, [facts.first.body_part_examined]),
        (cohort.descriptions, [facts.first.series_description, facts.first.study_description]),
        (cohort.stations, [facts.first.station_name]),
    )
    if not any(patterns for patterns, _ in wanted):
        return None
    is_wanted = all(not patterns or _matches(patterns, texts) for patterns, texts in wanted)
    return judge("asked_for", is_wanted, "not_asked")


def _matches(patterns: Sequence[str], texts: Sequence[str | None]) -> bool:
    return any(fnmatchcase((text or "").upper(), pattern) for text in texts for pattern in patterns)


# --- of what kind -----------------------------------------------------------------------------------------


def check_modality(facts: Facts) -> Check:
    """Modality (0008,0060) is CT."""
    return judge("modality", facts.first.modality == "CT", "not_ct", coded(facts.first.modality), limit="CT")


def check_sop_class(facts: Facts) -> Check:
    """One of the three CT image classes; secondary captures and objects without a class are none."""
    uid = facts.first.sop_class_uid
    reason = "sop_class" if uid else "sop_class:absent"
    return judge("sop_class", uid in SOP_CLASSES, reason, coded(uid), limit="CT image, enhanced CT")


def check_frames(facts: Facts) -> Check:
    """A multi-frame object whose frames could not be read one by one is not scored as one slice (T23)."""
    is_known = all(i.frames or (i.n_frames == 1 and i.sop_class_uid == CT_IMAGE) for i in facts.instances)
    n_frames = max(instance.n_frames for instance in facts.instances)
    return judge("frames", is_known or _is_foreign(facts), "unsupported_sop", n_frames, unit="frames")


def _is_foreign(facts: Facts) -> bool:
    return facts.first.sop_class_uid not in SOP_CLASSES


def check_localizer(facts: Facts) -> Check:
    """Image Type says localizer; or the description does, and it is at most a handful of images."""
    word = find_type(words.LOCALIZER_TYPES, facts.image_type)
    if word is None and len(facts.stack.slices) <= MAX_LOCALIZER_IMAGES:
        word = find_word(words.LOCALIZER_WORDS, [facts.texts.series])
    return judge("localizer", word is None, "localizer", word)


def check_capture(facts: Facts) -> Check:
    """Screen saves, dose reports, protocol pages, fused or painted images (T22)."""
    word = find_type(words.CAPTURE_TYPES, facts.image_type)
    if word == "other" and find_type(words.REFORMAT_TYPES, facts.image_type):
        word = None  # Siemens: DERIVED\SECONDARY\OTHER\CSA MPR
    word = word or find_word(words.CAPTURE_WORDS, [facts.texts.series])
    return judge("capture", word is None, "image_type", word)


def check_projection(facts: Facts) -> Check:
    """Intensity projections and volume renderings."""
    word = find_type(words.PROJECTION_TYPES, facts.image_type)
    word = word or find_word(words.PROJECTION_WORDS, [facts.texts.series])
    return judge("projection", word is None, "mip", word)


def check_material(facts: Facts) -> Check:
    """Material and spectral maps by Image Type, by unit and by description."""
    units = sorted({(unit or "").strip().upper() for unit in units_of(facts)} & _MATERIAL_UNITS)
    word = find_type(words.MATERIAL_TYPES, facts.image_type)
    word = word or (units[0] if units else None)
    word = word or find_word(words.MATERIAL_WORDS, [facts.texts.series])
    return judge("material", word is None, "material_map", word)


def check_calculated(facts: Facts) -> Check:
    """Perfusion, subtraction and other calculated images."""
    word = find_type(words.FUNCTION_TYPES, facts.image_type) or find_type(
        words.CURVED_TYPES, facts.image_type
    )
    return judge("calculated", word is None, "image_type", word)


def check_bone_removed(facts: Facts) -> Check:
    """Bone removed from the images (CT angiography)."""
    word = find_word(words.BONE_REMOVED_WORDS, [facts.texts.series])
    return judge("bone_removed", word is None, "bone_removed", word)


def check_bolus(facts: Facts) -> Check:
    """Images of one place over time, for contrast timing, by description (`check_repeats` sees the others).

    A scan of the trunk may be named for how it was started.
    """
    geometry = facts.stack.geometry
    is_scan = geometry is not None and geometry.coverage_mm > MAX_TIMING_MM
    word = None if is_scan else find_word(words.BOLUS_WORDS, [facts.texts.series])
    return judge("bolus_timing", word is None, "bolus_timing", word)


def check_derivation(facts: Facts, profile: Profile) -> Check:
    """Originals and reformats; an image derived nobody knows how only in the lenient profile."""
    kind = derivation_of(facts.image_type)
    is_good = kind in ("original", "reformat")
    is_good = is_good or (kind == "absent" and profile.accepts_missing_image_type)
    is_good = is_good or (kind == "unknown" and profile.accepts_unknown_derivation)
    return judge("derivation", is_good, "image_type", kind)


def derivation_of(image_type: str | None) -> str:
    """original | reformat | unknown | absent, from Image Type (PS3.3 C.7.6.1.1.2)."""
    if not image_type:
        return "absent"
    values = image_type.upper().split("\\")
    if values[:2] == ["ORIGINAL", "PRIMARY"]:
        return "original"
    if find_type(words.REFORMAT_TYPES, image_type) or (len(values) > 2 and values[2] == "AXIAL"):
        return "reformat"
    return "unknown"


def check_monoenergetic(facts: Facts, profile: Profile) -> Check:
    """Virtual monoenergetic images."""
    is_good = not is_monoenergetic(facts) or profile.accepts_monoenergetic
    return judge("monoenergetic", is_good, "material_map", "keV" if is_monoenergetic(facts) else None)


def is_monoenergetic(facts: Facts) -> bool:
    """Whether Image Type or description says so."""
    word = find_type(words.MONOENERGETIC_TYPES, facts.image_type)
    return bool(word or find_word(words.MONOENERGETIC_WORDS, [facts.texts.series]))


def check_attenuation(facts: Facts) -> Check:
    """CT named as made for attenuation correction. That the scanner is a PET/CT is only a flag."""
    word = find_type(words.ATTENUATION_TYPES, facts.image_type)
    word = word or find_word(words.ATTENUATION_WORDS, [facts.texts.series])
    return judge("attenuation_correction", word is None, "attenuation_correction", word)


def is_pet_ct(facts: Facts) -> bool:
    """Whether a description or the scanner's model says PET/CT."""
    texts = (facts.texts.series, facts.texts.protocol, facts.texts.study)
    return bool(find_word(words.PET_CT_WORDS, texts) or _PET_CT_MODEL.search(facts.texts.model))


def check_radiotherapy(facts: Facts) -> Check:
    """Planning CT (another table, another field of view, often immobilised), and CT made by a linac."""
    texts = (facts.texts.series, facts.texts.protocol, facts.texts.study)
    word = find_word(words.RADIOTHERAPY_WORDS, texts)
    word = word or ("linac" if _LINAC_MODEL.search(facts.texts.model) else None)
    return judge("radiotherapy", word is None, "radiotherapy", word)


def check_interventional(facts: Facts) -> Check:
    """CT that guides a needle."""
    texts = (facts.texts.series, facts.texts.protocol, facts.texts.study)
    word = find_type(words.FLUOROSCOPY_TYPES, facts.image_type) or find_word(
        words.INTERVENTIONAL_WORDS, texts
    )
    return judge("interventional", word is None, "interventional", word)


def check_body_part(facts: Facts) -> Check:
    """Excludes a head, neck, arm or leg that says so clearly; what the pixels show is checked later (T33)."""
    texts = (facts.texts.series, facts.texts.body_part, facts.texts.protocol, facts.texts.study)
    part = clear_other_part(texts)
    return judge("body_part", part is None, "body_part", part)
