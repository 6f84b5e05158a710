"""Which words in a header tell what a series is: takes header texts, returns the name of the pattern found.

Descriptions are free text and may name people: only the name of a pattern leaves this module, never the text.
Sources: DICOM PS3.3 C.8.2.1.1.1 and C.8.15.3.1.1 (Image Type of CT and enhanced CT), the vendors' conformance
statements (GE GSI, Siemens syngo DE, Philips SBI), and series names as hospitals write them (T22, T33).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Patterns = tuple[tuple[str, re.Pattern[str]], ...]


def _patterns(**words: str) -> Patterns:
    """Name → pattern; a word ends where no letter follows, so that 3MM_MIP and 'MIP 10' both match."""
    return tuple((name, re.compile(rf"(?<![A-Z])(?:{word})(?![A-Z])")) for name, word in words.items())


# --- Image Type -------------------------------------------------------------------------------------------

LOCALIZER_TYPES = _patterns(localizer="LOCALI[ZS]ER|REF_?SURVIEW|SURVIEW|SCOUT|TOPOGRAM|SCANOGRAM")
PROJECTION_TYPES = _patterns(
    mip="MIP|MAX_?IP|MAXIMUM|MPR_?MAX",
    minip="MIN_?IP|MINIMUM",
    volume_rendering="VRT?|VOLUME_?RENDER\\w*|SSD|3D",
    projection="PROJECTION[_ ]?IMAGE|PJN",
)
MATERIAL_TYPES = _patterns(
    material_specific="MAT_SPECIFIC|MAT_FRACTIONAL|MAT_VALUE_BASED|MAT_MODIFIED|MATERIAL\\w*|MD|GSI_?MD",
    atomic_number="EFF_ATOMIC_NUM|Z_?EFF\\w*|EFFECTIVE_?Z",
    electron_density="ELECTRON_?DENSITY|RHO|EDW",
    iodine="IODINE\\w*|OVERLAY|PBV|LUNG_?VESSELS?",
    virtual_non_contrast="VNC|VUE|VIRTUAL_?NON_?(?:CONTRAST|CALCIUM)|VNCA|MAT_REMOVED",
    calcium="CALCIUM\\w*|HAP\\w*",
    uric_acid="URIC_?ACID|GOUT",
)
FUNCTION_TYPES = _patterns(
    perfusion="PERFUSION|R?CBF|R?CBV|MTT|TTP|TMAX|PERM\\w*|FLOW_EXTRACTION",
    subtraction="SUBTRACT\\w*|DSA|DIVISION|MULTIPLICATION|DENSITY_MAP",
)
CAPTURE_TYPES = _patterns(
    screen_save="SCREEN_? ?SAVE|SCREENSHOT|SCREEN_CAPTURE|CAPTURE",
    dose_report="DOSE\\w*|PROT|PATIENT_PROTOCOL",
    other="OTHER",
    fused="FUSED|FUSION|BLEND\\w*",
    posprocessed="POSDISP|GRAPH|TABLE|CURVE|HISTOGRAM|REPORT|RESULT",
)
ATTENUATION_TYPES = _patterns(attenuation="ATTENUATION|AC|CTAC")
FLUOROSCOPY_TYPES = _patterns(fluoroscopy="FLUORO\\w*|CARE_?VISION|BIOPSY")
MONOENERGETIC_TYPES = _patterns(monoenergetic="VMI|MONO\\w*|KEV|MONOE")
REFORMAT_TYPES = _patterns(reformat="MPR|REFORMAT\\w*|RESAMPLED|CSAMPR|CSA_?RESAMPLED|CPR|VOLUME")
CURVED_TYPES = _patterns(curved="CPR|CURVED\\w*")

# --- Descriptions -----------------------------------------------------------------------------------------

LOCALIZER_WORDS = _patterns(localizer="SCOUTS?|TOPOGRAM|LOCALI[ZS]ERS?|SURVIEW|SCANOGRAM|定位像")
CAPTURE_WORDS = _patterns(
    dose_report="DOSE (?:REPORT|INFO\\w*|RECORD|SUMMARY)|PATIENT PROTOCOL|EXAM SUMMARY|剂量报告",
    screen_save="SCREEN ?SAVES?|SCREEN ?SHOTS?|KEY IMAGES? CAPTURE",
)
PROJECTION_WORDS = _patterns(
    mip="MIPS?|MAXIMUM INTENSITY",
    minip="MIN-?IPS?|MINIMUM INTENSITY",
    volume_rendering="VRT?|3D ?VR|VOLUME RENDER\\w*|SSD",
)
MATERIAL_WORDS = _patterns(
    iodine="IODINE(?: MAPS?| DENSITY| NO WATER| OVERLAY| ONLY| CONC\\w*)|(?<!\\w )IODINE(?! \\w)|PBV",
    iodine_german="JOD(?:KARTE|BILD|DICHTE|MAP)\\w*",
    virtual_non_contrast="VNC|VNK|VUE|VIRTUAL NON[- ]?CONTRAST|VIRTUAL UNENHANCED|VIRTUELL\\w* NATIV\\w*",
    virtual_non_calcium="VNCA|VIRTUAL NON[- ]?CALCIUM|CALCIUM SUPP\\w*|CA ?SUPP\\w*|BONE MARROW (?:MAP"
    "|EDEMA)",
    atomic_number="Z[- ]?EFF\\w*|EFFECTIVE Z|EFFECTIVE ATOMIC\\w*",
    electron_density="ELECTRON DENSITY|RHO ?/? ?Z",
    material_basis="(?:WATER|IODINE|CALCIUM|HAP|FAT|BLOOD|URIC ACID) ?\\( ?(?:WATER|IODINE|CALCIUM|HAP|FAT"
    "|BLOOD) ?\\)"
    "|MD (?:WATER|IODINE|CALCIUM|HAP|FAT)",
    uric_acid="URIC ACID|GOUT MAP",
    perfusion="PERFUSION|CBF|CBV|MTT|TTP|TMAX",
)
BONE_REMOVED_WORDS = _patterns(
    bone_removed="BONE[- ]?(?:REMOV\\w*|LESS|FREE|SUBTRACT\\w*)|NO[- ]?BONES?|REMOVED BONES?"
    "|BONES? REMOVED|去骨"
)
ATTENUATION_WORDS = _patterns(
    attenuation="CT[-_ ]?AC|AC[-_ ]?CT|ACCT|CT AC|AC (?:WB|CT)|(?:WB|CT \\d\\.?\\d*) AC|ATTENUATION"
    "|ATTN? ?CORR\\w*|AC MAP|AC \\d\\w*|MM AC|衰减校正"
)
PET_CT_WORDS = _patterns(pet_ct="PET ?[-_/+]? ?CT|PET|FDG")
RADIOTHERAPY_WORDS = _patterns(
    radiotherapy="RADIOTHERAP\\w*|RADIATION (?:THERAPY|ONCOLOGY)|RAD ?ONC|RT[-_ ]?(?:PLAN\\w*|SIM\\w*)"
    "|CT[-_ ]SIM\\w*"
    "|TREATMENT PLAN\\w*|SIMULATION|TOMOTHERAPY|BRACHY\\w*|SBRT|4D[-_ ]?CT|CBCT|[MK]VCT|XVI|放疗|放射治疗"
)
INTERVENTIONAL_WORDS = _patterns(
    interventional="FLUORO\\w*|INTERVENTION\\w*|GUIDED|GUIDANCE|NEEDLE|PUNCTURE"
    # Not what was done before: those who were treated are scanned like everybody.
    "|(?<!POST)(?<!POST[- ])(?<!S/P )(?<!SP )(?<!AFTER )(?<!PRIOR )(?<!HX )(?<!HX OF )(?<!F/U )(?<!FOLLOW[- ]UP )"
    "(?:VERTEBRO|KYPHO)PLASTY"
    "|(?<!S/P )(?<!F/U )(?<!FOLLOW[- ]UP )(?:BIOPS\\w*|BX|ABLATION|DRAINAGE|NEPHROSTOMY)(?! (?:F/?U|FOLLOW[- ]?UP))"
    "|FNA|CARE ?VISION|SMART ?STEP|穿刺|活检|介入|引流"
)
BOLUS_WORDS = _patterns(
    bolus_timing="BOLUS ?TRACK\\w*|(?:PRE)?-?MONITORING|SMART ?PREP|TEST ?BOLUS|TIMING BOLUS|TRACKER"
    "|SURE ?START"
)
MONOENERGETIC_WORDS = _patterns(monoenergetic="MONO ?E\\w*|MONO\\+?|\\d{2,3} ?KEV|KEV|VMI")
COLONOGRAPHY_WORDS = _patterns(
    colonography="COLONOGRAPH\\w*|COLONOSCOP\\w*|VIRTUAL COLON\\w*|CTC"
    "|COLON (?:SCREEN\\w*|SUPINE|PRONE)|结肠成像"
)
PRONE_WORDS = _patterns(prone="PRONE|DECUB\\w*|俯卧")
SUPINE_WORDS = _patterns(supine="SUPINE|仰卧")

# --- Body parts -------------------------------------------------------------------------------------------

TRUNK_WORDS = _patterns(
    trunk="CHEST|THORAX|THORACIC|LUNGS?|ABD\\w*|PEL\\w*|TRUNK|BODY|CAP|TAP|KUB|RENAL|KIDNEYS?|LIVER"
    "|HEPAT\\w*|PANCREA\\w*"
    "|UROGRA\\w*|BREAST|HEART|CARDIAC|CORONAR\\w*|AORTA\\w*|PE|PULMONARY|SPINE|L[- ]?SP\\w*|T[- ]?SP\\w*"
    "|TL[- ]?SP\\w*"
    "|LUMBAR|LSPINE|TSPINE|TLSPINE|DORSAL|SACR\\w*|WHOLE ?BODY|WB|WHOLEBODY|PARTIALBODY|COLON\\w*|ADRENAL"
    "|TORSO|RIBS?|STERNUM"
    # What lies between a part above the trunk and one below: "skull base to mid-thigh".
    "|(?:SKULL|HEAD|VERTEX|EYES?|ORBITS?|NECK|SHOULDERS?)(?: BASE)? ?(?:TO|-|/|THRU|THROUGH) ?(?:MID[- ]?|UPPER )?"
    "(?:THIGHS?|KNEES?|TOES?|FEET|FOOT|HIPS?|SYMPHYSIS)"
    "|NECKCHEST\\w*|CHESTABD\\w*|ABDOMENPELVIS|UROLOGY|STOMACH|ESOPHAGUS|BLADDER|胸|腹|盆|腰|肺|肝|肾|胰|全身|躯干"
)
OTHER_PART_WORDS = _patterns(
    head="HEAD(?! FIRST)|BRAIN|SKULL|CRANI\\w*|ORBITS?|SINUS(?:ES)?|FACE|FACIAL|MAXILLOFACIAL|MANDIBLE"
    "|TEMPORAL BONES?|IAC"
    "|PITUITARY|DENTAL|TEETH|CEREBR\\w*|颅|头|脑|眼|鼻窦|颌|乳突",
    neck="NECK|C[- ]?SPINE|CSPINE|CERVICAL(?: SPINE)?|LARYNX|THYROID|CAROTIDS?|颈",
    arm="SHOULDER|HUMERUS|ELBOW|FOREARM|RADIUS|WRIST|HANDS?|FINGERS?|SCAPULA|CLAVICLE|UPPER EXTREMITY"
    "|UP_?EXM|肩|肘|腕|手指",
    leg="HIPS?|FEMUR|THIGH|KNEES?|TIBIA|LOWER LEG|ANKLES?|FOOT|CALCANE\\w*|TOES?|LOWER EXTREMITY|LOW_?EXM"
    "|EXTREMITY"
    "|EXTREMITIES|LEGS?|膝|踝|足|髋|股骨",
)
CERVICAL_SPINE = re.compile(
    r"(?<![A-Z])(?:C[- ]?SPINE|CSPINE|CERVICAL[- ]SPINE|SPINE[- ]CERVICAL)(?![A-Z])|颈椎"
)


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z]{2,}|[A-Z][a-z])")


def normal_text(text: str | None) -> str:
    """Upper case, separators to blanks, so that the patterns see words; "AxMIP" is told as "AX MIP" too."""
    plain, apart = (
        re.sub(r"[_\s^]+", " ", each.upper()).strip() for each in (text or "", _CAMEL.sub(" ", text or ""))
    )
    return plain if apart == plain else f"{plain} | {apart}"


def find_word(patterns: Patterns, texts: Iterable[str]) -> str | None:
    """Name of the first pattern found in any of the (normalised) texts."""
    joined = " | ".join(texts)
    return next((name for name, pattern in patterns if pattern.search(joined)), None)


def find_type(patterns: Patterns, image_type: str | None) -> str | None:
    """Name of the first pattern found in the third and later values of an Image Type."""
    values = (image_type or "").upper().split("\\")[2:]
    return find_word(patterns, values)


def clear_other_part(texts: Iterable[str]) -> str | None:
    """Name of a body part without thoracolumbar spine, by the first text that names any part; the trunk wins.

    `texts` go from the most to the least specific (series, body part, protocol, study).
    """
    for text in texts:
        bare = CERVICAL_SPINE.sub(" NECK ", text)
        if find_word(TRUNK_WORDS, [bare]):
            return None
        part = find_word(OTHER_PART_WORDS, [bare])
        if part is not None:
            return part
    return None
