"""One frozen dataclass per table of the warehouse; a field's name and order are its column's.

A test compares these with the migrated database. Comments on tables and columns live in `migrations/*.sql`
(they become `COMMENT ON` and `docs/warehouse.md`); here stands only what the type does not say.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from warehouse.domain_records import DomainDistanceRecord, DomainLimitRecord
from warehouse.night_records import NIGHT_RECORDS
from warehouse.publication_record import PublicationRecord


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One sweep (or any other writing run). The whole table is volatile."""

    run_id: str
    archive_key: str
    site: str
    kind: str  # sweep | rescore | ...
    state: str  # running | finished | interrupted
    started_at: dt.datetime  # UTC
    finished_at: dt.datetime | None
    host: str
    pid: int
    code_version: str
    settings_digest: str
    profile: str
    profile_digest: str
    reader_version: str
    storage_recipe: str
    view_recipe: str
    model_digest: str


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One archive that was crawled, and how many files the last finished crawl found in it."""

    archive_key: str
    site: str
    kind: str  # folder | ...
    n_files_found: int
    n_studies_found: int
    n_series_found: int
    is_crawl_complete: bool


@dataclass(frozen=True, slots=True)
class FileCountRecord:
    """Files of an archive that belong to no study, counted by outcome and reason; others follow their series."""

    archive_key: str
    outcome: str  # excluded | quarantined | failed | pending
    reason: str
    n_files: int


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as it is now in one archive; `study_revision` names the state that counts."""

    archive_key: str
    study_key: str
    study_revision: str  # digest of its sorted (series_key, series_revision)
    patient_key: str | None  # None: no PatientID
    site: str
    study_date: dt.date | None
    age_years: int | None
    sex: str | None  # F | M | O
    n_series: int
    n_files: int
    run_id: str  # volatile


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One stack of instances: a SeriesInstanceUID, or a part of one that was split."""

    series_key: str
    series_revision: str  # digest of its sorted SOP Instance UIDs and contents
    study_key: str
    split_label: str | None  # why and where a series was split, such as "kernel=B70f"
    modality: str | None
    sop_class: str | None
    image_type: str | None
    plane: str | None  # axial | sagittal | coronal | oblique
    transfer_syntax: str | None
    manufacturer: str | None
    model_name: str | None
    convolution_kernel: str | None
    kvp: float | None
    slice_thickness_mm: float | None
    slice_spacing_mm: float | None  # median distance along the normal
    pixel_spacing_mm: float | None
    rows: int | None
    columns: int | None
    coverage_mm: float | None  # first to last slice along the normal
    patient_position: str | None
    body_part: str | None
    has_contrast: bool | None
    is_lossy: bool
    n_instances: int
    n_files: int  # duplicates included
    n_bytes: int


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """What selection decided about one series of one revision of a study."""

    study_key: str
    study_revision: str
    series_key: str
    series_revision: str
    profile_digest: str
    reader_version: str
    outcome: str  # eligible | excluded | quarantined | failed | pending
    reason: str | None
    message: str | None
    rank: int | None  # 1 = tried first; None when not eligible
    rule: str | None  # the rule that set the rank
    n_checks_passed: int
    checks: str  # JSON: [{"check", "passed", "measured", "limit", "unit"}]
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SlabRecord:
    """Geometry of the slab of one series: how the stored slices lie in the patient."""

    series_key: str
    series_revision: str
    storage_recipe: str
    n_slices: int
    rows: int
    columns: int
    pixel_mm: float
    slice_spacing_mm: float
    middle_x_mm: float  # patient x (LPS) of the slab's middle
    top_z_mm: float  # patient z (LPS) of the first row's centre
    anterior_y_mm: float  # patient y (LPS) of the first column's centre
    lateral_extent_mm: float | None  # skin to skin; None when not seen on both sides
    midline_method: str  # skin | canal | native
    spine_mm: float | None  # craniocaudal length of spine seen
    n_bytes: int | None  # of slab.jp2; None when not kept
    is_kept: bool
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RejectionRecord:
    """An eligible series that could not be scored: stage, outcome and reason."""

    series_key: str
    series_revision: str
    profile_digest: str
    reader_version: str
    storage_recipe: str
    view_recipe: str
    model_digest: str
    stage: str  # slab | score
    outcome: str  # excluded | quarantined | failed
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that has scored something here."""

    model_digest: str
    model_id: str
    architecture: str
    is_simulated_only: bool
    card: str


@dataclass(frozen=True, slots=True)
class OperatingPointRecord:
    """Calibration and threshold of a model: numbers beside it, changed without scoring again."""

    model_digest: str
    operating_point_id: str
    calibration_slope: float
    calibration_intercept: float
    threshold: float  # on the calibrated probability
    rule: str
    is_current: bool
    case_share: float | None = None  # of cases among the scans that a probability holds for; None: not told


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """What the model said of one series, kept raw."""

    series_key: str
    series_revision: str
    storage_recipe: str
    view_recipe: str
    model_digest: str
    logit: float
    n_slices: int  # images the model read
    slice_index: list[int]  # slab slice of each image
    tile_index: list[int]  # tile down the spine of each image
    slice_logits: list[float]
    slice_features: list[float]  # 32 per image, one after another
    precision: str  # fp32 | bf16 | fp16
    device: str  # cpu | cuda; volatile
    code_version: str
    settings_digest: str
    run_id: str  # volatile
    scored_at: dt.datetime  # volatile
    duration_s: float  # volatile
    n_vertebrae: int | None = None  # whole ones that it heard; None: it does not read them one by one


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """One version of one radiology report, and where it belongs. Its text is in the identity file."""

    report_key: str
    study_key: str | None  # None: not linked
    status: str  # preliminary | final | addendum | corrected | cancelled
    reported_at: dt.datetime | None  # as written in the report, its zone unknown; None: no date
    sequence: int  # order of import: breaks ties of date and status
    n_characters: int
    outcome: str  # linked | excluded | quarantined | pending
    reason: str | None
    message: str | None
    reader_group: str | None = None  # of those who reported


@dataclass(frozen=True, slots=True)
class ReportStatementRecord:
    """What one lexicon reads in a report, with the addenda that stood by then."""

    report_key: str
    lexicon_digest: str
    statement: str  # present | possible | absent | unmentioned | unread
    wording: str  # fracture | ambiguous | none
    levels: list[str]
    acuity: str | None  # new | old | unchanged
    treatment: str | None
    cause: str | None  # traumatic | pathological
    n_statements: int


@dataclass(frozen=True, slots=True)
class LexiconRecord:
    """A lexicon that has labelled reports here; the highest position counts."""

    lexicon_digest: str
    names: str
    position: int


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit sample, as it was drawn."""

    audit_id: str
    rule: str  # first | last | patient-day | all
    from_age_years: int
    seed: int
    n_units: int
    n_drawn: int
    frame_digest: str
    model_digest: str
    model_id: str
    operating_point_id: str
    threshold: float
    lexicon_digest: str | None
    code_version: str
    drawn_at: dt.datetime  # volatile


@dataclass(frozen=True, slots=True)
class AuditCellRecord:
    """One cell of an audit and its sampling fraction n_drawn / n_units."""

    audit_id: str
    cell: int
    ai: str  # flagged | not_flagged | not_scored
    report: str  # fracture | ambiguous | not_reported | no_report
    stratum: int
    score_from: float | None  # lowest probability of the stratum
    score_below: float | None
    n_units: int
    n_drawn: int
    planned_share: float


@dataclass(frozen=True, slots=True)
class AuditUnitRecord:
    """One unit drawn for reading, with what was known of it when it was drawn."""

    audit_id: str
    case_id: str
    position: int
    cell: int
    unit_key: str
    patient_key: str | None
    study_key: str
    study_keys: list[str]
    study_date: dt.date | None
    age_years: int | None
    sex: str | None
    site: str
    scanner: str
    coverage: str
    statement: str | None  # present | possible | absent | unmentioned
    is_known_before: bool
    probability: float | None
    reader_group: str | None = None  # of those who wrote the report of study_key


@dataclass(frozen=True, slots=True)
class AuditReadingRecord:
    """What one reader found in one unit, at one level or in all of it."""

    audit_id: str
    case_id: str
    reader: str
    is_adjudication: bool
    level: str  # T1 to L6, or study
    is_evaluable: bool
    grade: int | None  # Genant 0 to 3; None: cannot be judged
    has_endplate_depression: bool | None
    cause: str | None  # osteoporotic | traumatic | pathological | treated
    imported_at: dt.datetime  # volatile


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Identity file: who a pseudonym is."""

    patient_key: str
    site: str
    patient_id: str
    issuer_of_patient_id: str | None


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """Identity file: which study a pseudonym is."""

    study_key: str
    patient_key: str | None
    study_instance_uid: str
    accession_number: str | None


@dataclass(frozen=True, slots=True)
class SeriesIdentity:
    """Identity file: which series a pseudonym is."""

    series_key: str
    study_key: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class ReportText:
    """Identity file: a report as it came."""

    report_key: str
    accession_number: str | None
    patient_id: str | None
    report_id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Identity file: the words behind one statement."""

    report_key: str
    lexicon_digest: str
    number: int
    statement: str
    evidence: str
    trigger: str | None


WAREHOUSE_RECORDS = (
    RunRecord,
    ArchiveRecord,
    FileCountRecord,
    StudyRecord,
    SeriesRecord,
    SelectionRecord,
    SlabRecord,
    RejectionRecord,
    ModelRecord,
    OperatingPointRecord,
    ScoreRecord,
    ReportRecord,
    ReportStatementRecord,
    LexiconRecord,
    AuditRecord,
    AuditCellRecord,
    AuditUnitRecord,
    AuditReadingRecord,
    *NIGHT_RECORDS,
    PublicationRecord,
    DomainLimitRecord,
    DomainDistanceRecord,
)
IDENTITY_RECORDS = (PatientIdentity, StudyIdentity, SeriesIdentity, ReportText, ReportEvidence)
