"""Every reason code, the outcome it belongs to, and the fixed template of its message. One truth.

A code may carry a detail behind a colon (`missing_mandatory:0020000D`, `no_decoder:1.2.840...`); the part before the
colon stands here. Messages are made from these templates only, so that no identifier of a patient can reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Where a file, series or study ends. found = the sum of all five, at each level by itself."""

    SCORED = "scored"
    EXCLUDED = "excluded"  # valid, but not eligible
    QUARANTINED = "quarantined"  # invalid or suspect
    FAILED = "failed"  # infrastructure; the next run tries again
    PENDING = "pending"  # work still open


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code: its outcome, the template of its message, and what to do next."""

    code: str
    outcome: Outcome
    template: str  # str.format with numbers and codes only
    next_step: str


_X, _Q, _F, _P = Outcome.EXCLUDED, Outcome.QUARANTINED, Outcome.FAILED, Outcome.PENDING

_ALL = (
    # files
    Reason("empty", _Q, "the file is empty", "restore it from the archive's source"),
    Reason("not_dicom", _X, "the file is not DICOM", "nothing"),
    Reason(
        "no_meta",
        _Q,
        "DICOM without preamble and file meta",
        "sweep with --accept-no-meta if you trust its source",
    ),
    Reason("truncated", _Q, "the file ends {missing_bytes} bytes before its declared end", "fetch it again"),
    Reason("missing_mandatory", _Q, "mandatory attributes are missing", "fetch it again"),
    Reason("bad_header", _Q, "the header cannot be read", "fetch it again"),
    Reason("dims", _Q, "the declared image size is impossible", "fetch it again"),
    Reason(
        "size_mismatch",
        _Q,
        "pixel data have {found_bytes} bytes, {expected_bytes} were declared",
        "fetch it again",
    ),
    Reason("duplicate", _X, "a second copy of an instance, bytes identical", "nothing"),
    Reason("dicomdir", _X, "a DICOMDIR or a file without an image series", "nothing"),
    Reason("special_file", _X, "a socket, device or dangling link", "nothing"),
    Reason("link", _X, "a symbolic link: its target is read where it lies", "nothing"),
    Reason(
        "io", _F, "the file could not be read ({error})", "check permissions and storage, then sweep again"
    ),
    Reason("unstable", _P, "the file is still being written", "sweep again later"),
    Reason("archive_format", _Q, "an archive of files, but no zip", "unpack it first"),
    Reason("zip_damaged", _Q, "the zip is damaged", "copy it again"),
    Reason("zip_method", _Q, "the zip is packed in a way that is not read", "unpack it first"),
    Reason("zip_encrypted", _Q, "the zip is encrypted", "unpack it first"),
    Reason(
        "zip_bomb",
        _Q,
        "the zip exceeds the limits on members, ratio or depth",
        "unpack it by hand if you trust it",
    ),
    # a PACS
    Reason(
        "pacs_query", _F, "the PACS did not answer a question ({error})", "check the PACS, then sweep again"
    ),
    Reason("pacs_pull", _F, "the PACS did not send the series ({error})", "check the PACS, then sweep again"),
    Reason(
        "pacs_incomplete",
        _F,
        "the PACS sent {found} of {expected} announced images",
        "sweep again; if it repeats, have the PACS repair the series",
    ),
    Reason(
        "pacs_unreachable",
        _F,
        "the PACS stopped answering, and nothing more was asked of it",
        "sweep again when it is back",
    ),
    Reason(
        "pacs_window", _P, "the window of hours closed before it was asked for", "sweep again in the window"
    ),
    # series, from headers
    Reason("not_ct", _X, "the modality is not CT", "nothing"),
    Reason("sop_class", _X, "not a CT image object", "nothing"),
    Reason("unsupported_sop", _X, "an object class that is not read", "nothing"),
    Reason("localizer", _X, "a localizer", "nothing"),
    Reason("image_type", _X, "a derived image that is no plain CT", "nothing"),
    Reason("mip", _X, "a maximum or minimum intensity projection", "nothing"),
    Reason("material_map", _X, "a material or spectral map", "nothing"),
    Reason("bone_removed", _X, "bone was removed", "nothing"),
    Reason(
        "attenuation_correction",
        _X,
        "CT for attenuation correction",
        "nothing: the CT of a PET/CT that is not named so is scored, and flagged",
    ),
    Reason("radiotherapy", _X, "radiotherapy planning CT", "nothing"),
    Reason("interventional", _X, "interventional CT", "nothing"),
    Reason("bolus_timing", _X, "bolus timing: images of one place over time", "nothing"),
    Reason("prone_second", _X, "the second (prone) series of a colonography", "nothing"),
    Reason("body_part", _X, "the body part holds no thoracolumbar spine", "nothing"),
    Reason("plane", _X, "neither axial nor sagittal", "nothing"),
    Reason("too_short", _X, "the series covers {measured:.0f} mm, {limit:.0f} mm are needed", "nothing"),
    Reason("too_few", _X, "the series has {measured:.0f} slices, {limit:.0f} are needed", "nothing"),
    Reason(
        "too_thick",
        _X,
        "slices are {measured:.2f} mm thick, {limit:.2f} mm are allowed",
        "nothing; after a strict sweep: the lenient profile takes up to 5 mm",
    ),
    Reason("spacing_inconsistent", _X, "slice distances vary by {measured:.2f} mm", "nothing"),
    Reason(
        "missing_slices",
        _X,
        "a gap of {measured:.2f} mm where {limit:.2f} mm are allowed",
        "fetch the series again",
    ),
    Reason("gantry_tilt", _X, "the gantry is tilted by {measured:.1f} degrees", "nothing"),
    Reason("no_geometry", _X, "position or orientation is missing", "nothing"),
    Reason("no_spacing", _X, "pixel spacing is missing", "nothing"),
    Reason("no_rescale", _X, "rescale slope or intercept is missing", "nothing"),
    Reason("bad_rescale", _Q, "rescale slope or intercept is impossible", "fetch the series again"),
    Reason("rescale_type", _X, "pixel values are not Hounsfield units", "nothing"),
    Reason("photometric", _Q, "the photometric interpretation is not that of CT", "nothing"),
    Reason("bits", _Q, "the bit depth is not that of CT", "nothing"),
    Reason("mixed", _Q, "the series mixes acquisitions that cannot be told apart", "look at it by hand"),
    Reason("patients_mixed", _Q, "one study names several patients", "look at it by hand"),
    Reason("dup_conflict", _Q, "one SOP Instance UID with different contents", "look at it by hand"),
    Reason("under_age", _X, "the patient is younger than {limit:.0f} years", "lower --min-age"),
    Reason("date_range", _X, "the study lies outside the date range", "change --since or --until"),
    Reason("not_in_cohort", _X, "the patient is not in the cohort file", "nothing"),
    Reason("not_asked", _X, "left out by --body-part, --description or --station", "nothing"),
    Reason("opted_out", _X, "the patient opted out", "nothing"),
    Reason(
        "no_decoder",
        _X,
        "no decoder for the transfer syntax",
        "install one, then `ovf requeue --reason no_decoder`",
    ),
    Reason("broken_instances", _Q, "{measured:.0f} of its files are broken", "fetch the series again"),
    # series, from pixels
    Reason("decode", _Q, "pixel data cannot be decoded", "fetch the series again"),
    Reason("decoder_crash", _Q, "the decoder crashed twice", "fetch the series again"),
    Reason("decoder_timeout", _Q, "the decoder ran out of its time", "fetch the series again"),
    Reason("decoder_memory", _Q, "the decoder ran out of its memory", "fetch the series again"),
    Reason("qc_hu_range", _Q, "the values are not those of a body in Hounsfield units", "look at it by hand"),
    Reason(
        "blank_slices",
        _Q,
        "{measured:.0f} slices inside the scan hold nothing",
        "fetch the series again",
    ),
    Reason("not_evaluable", _X, "the scan cannot be judged", "nothing"),
    Reason("not_chosen", _X, "another series of the study was scored", "nothing"),
    # reports
    Reason("link_no_accession", _Q, "the report has no accession number", "export it again with one"),
    Reason(
        "link_no_study",
        _P,
        "no study with the report's accession number is known",
        "sweep the archive that holds it, then import again",
    ),
    Reason("link_patient", _Q, "the report names another patient than its study", "look at it by hand"),
    Reason(
        "link_ambiguous",
        _Q,
        "{measured:.0f} studies have the report's accession number",
        "import it again with the patient's ID",
    ),
    Reason("report_cancelled", _X, "the report was cancelled", "nothing"),
    # infrastructure
    Reason(
        "worker_died", _F, "the worker died on this shard", "sweep again; if it repeats, use fewer workers"
    ),
    Reason("disk_full", _F, "no space left on the device", "free space, then sweep again"),
    Reason("score_error", _F, "the model failed on this scan", "sweep again"),
    Reason("not_finite", _Q, "the model's answer is not a number", "look at it by hand"),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _ALL}
# Of a score that is kept and does not count (view score_refusal): a model's say, whatever other models can judge.
BEYOND_DOMAIN, FEW_VERTEBRAE = "not_evaluable:domain", "not_evaluable:vertebrae"
# A PACS did not answer: not known is what it would have told.
UNANSWERED = ("pacs_query", "pacs_unreachable")

# A remark on a row, not a state. A flag may carry a detail behind a colon.
FLAGS: dict[str, str] = {
    "dup_same": "identical copies of instances were dropped",
    "lossy": "lossy compressed before it reached the archive",
    "grade1_not_resolvable": "slices over 3 mm: a grade 1 loss cannot be resolved",
    "padding": "pixel padding was mapped to air",
    "preamble_polyglot": "the preamble holds another file format",
    "no_meta": "read without file meta",
    "tilt_resampled": "gantry tilt was resampled away",
    "age_unknown": "age missing or impossible",
    "slices_missing_outside": "slices are missing at an end",
    "fov_cut": "skin is not seen on both sides",
    "qc_metal": "metal in the slab",
    "qc_noise": "unusually noisy",
    "qc_torn": "single slices are unlike both neighbours: damaged, or the patient moved",
    "charset_guessed": "text was not in its declared character set",
    "attenuation_correction": "CT for attenuation correction",
    "pet_ct": "the CT of a PET/CT, often of low dose",
    "few_slices": "fewer sagittal images than the five that the published model read",
    "monoenergetic": "virtual monoenergetic images: HU depend on the energy",
    "burned_in": "text is burned into the pixels",
    "vanished": "files have gone from the archive since they were read",
}


def reason_of(code: str) -> Reason:
    """Look a code up, with or without its detail. Raises KeyError for a code that stands nowhere."""
    return REASONS[code.split(":", 1)[0]]


def message_for(code: str, **numbers: float | int | str) -> str:
    """The message of a code, from its fixed template. Extra values are ignored, missing ones read as unknown."""

    class _Known(dict[str, object]):
        def __missing__(self, key: str) -> object:
            return _Unknown()

    return reason_of(code).template.format_map(_Known(numbers))


class _Unknown:
    """Stands in for a number that was not measured."""

    def __format__(self, spec: str) -> str:
        return "unknown"
