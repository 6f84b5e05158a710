"""Builds rows of the warehouse for tests: short names in, whole records out."""

from __future__ import annotations

import datetime as dt
import struct

from warehouse import records
from warehouse.decisions import DecisionKey
from warehouse.domain_records import DomainDistanceRecord, DomainLimitRecord
from warehouse.landing import LandingBatch
from warehouse.publication_record import PublicationRecord
from warehouse.reasons import message_for, reason_of

KEY = DecisionKey("profile-1", "reader-1", "storage-1", "view-1", "model-1")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
N_FEATURES = 32


def run(
    run_id: str = "run-1", *, hours: int = 0, key: DecisionKey = KEY, state: str = "running"
) -> records.RunRecord:
    """A run that started `hours` after START."""
    return records.RunRecord(
        run_id=run_id,
        archive_key="archive-1",
        site="north",
        kind="sweep",
        state=state,
        started_at=START + dt.timedelta(hours=hours),
        finished_at=None,
        host="host",
        pid=1,
        code_version="0",
        settings_digest="settings",
        profile="strict",
        profile_digest=key.profile_digest,
        reader_version=key.reader_version,
        storage_recipe=key.storage_recipe,
        view_recipe=key.view_recipe,
        model_digest=key.model_digest,
    )


def archive(
    archive_key: str = "archive-1", *, n_files: int, n_studies: int, n_series: int, is_complete: bool = True
) -> records.ArchiveRecord:
    """What a crawl found."""
    return records.ArchiveRecord(archive_key, "north", "folder", n_files, n_studies, n_series, is_complete)


def study(
    study_key: str,
    *,
    archive_key: str = "archive-1",
    revision: str = "r1",
    n_series: int = 1,
    n_files: int = 10,
    patient_key: str | None = "patient-1",
    run_id: str = "run-1",
) -> records.StudyRecord:
    """A study of an archive."""
    return records.StudyRecord(
        archive_key=archive_key,
        study_key=study_key,
        study_revision=revision,
        patient_key=patient_key,
        site="north",
        study_date=dt.date(2020, 2, 29),
        age_years=70,
        sex="F",
        n_series=n_series,
        n_files=n_files,
        run_id=run_id,
    )


def series(
    series_key: str,
    study_key: str,
    *,
    revision: str = "r1",
    n_instances: int = 10,
    n_files: int | None = None,
) -> records.SeriesRecord:
    """A plain axial CT series."""
    return records.SeriesRecord(
        series_key=series_key,
        series_revision=revision,
        study_key=study_key,
        split_label=None,
        modality="CT",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
        plane="axial",
        transfer_syntax="1.2.840.10008.1.2.1",
        manufacturer="MAKER",
        model_name="SCANNER",
        convolution_kernel=None,
        kvp=120.0,
        slice_thickness_mm=1.0,
        slice_spacing_mm=1.0,
        pixel_spacing_mm=0.7,
        rows=512,
        columns=512,
        coverage_mm=300.0,
        patient_position="HFS",
        body_part=None,
        has_contrast=None,
        is_lossy=False,
        n_instances=n_instances,
        n_files=n_instances if n_files is None else n_files,
        n_bytes=1000,
    )


def selection(
    series_key: str,
    study_key: str,
    *,
    revision: str = "r1",
    series_revision: str = "r1",
    rank: int | None = 1,
    reason: str | None = None,
    n_checks_passed: int = 5,
    key: DecisionKey = KEY,
    flags: list[str] | None = None,
) -> records.SelectionRecord:
    """Eligible at a rank, or decided otherwise for a reason."""
    return records.SelectionRecord(
        study_key=study_key,
        study_revision=revision,
        series_key=series_key,
        series_revision=series_revision,
        profile_digest=key.profile_digest,
        reader_version=key.reader_version,
        outcome=reason_of(reason).outcome.value if reason else "eligible",
        reason=reason,
        message=message_for(reason) if reason else None,
        rank=None if reason else rank,
        rule=None if reason else "thinnest",
        n_checks_passed=n_checks_passed,
        checks="[]",
        flags=flags or [],
    )


def slab(
    series_key: str, *, revision: str = "r1", is_kept: bool = True, key: DecisionKey = KEY
) -> records.SlabRecord:
    """Geometry of a slab of 21 slices."""
    return records.SlabRecord(
        series_key=series_key,
        series_revision=revision,
        storage_recipe=key.storage_recipe,
        n_slices=21,
        rows=400,
        columns=300,
        pixel_mm=0.8,
        slice_spacing_mm=3.0,
        middle_x_mm=0.0,
        top_z_mm=100.0,
        anterior_y_mm=-100.0,
        lateral_extent_mm=350.0,
        midline_method="skin",
        spine_mm=300.0,
        n_bytes=1000 if is_kept else None,
        is_kept=is_kept,
        flags=[],
    )


def rejection(
    series_key: str, reason: str, *, revision: str = "r1", key: DecisionKey = KEY, stage: str = "slab"
) -> records.RejectionRecord:
    """An eligible series that was not scored."""
    return records.RejectionRecord(
        series_key=series_key,
        series_revision=revision,
        profile_digest=key.profile_digest,
        reader_version=key.reader_version,
        storage_recipe=key.storage_recipe,
        view_recipe=key.view_recipe,
        model_digest=key.model_digest,
        stage=stage,
        outcome=reason_of(reason).outcome.value,
        reason=reason,
        message=message_for(reason),
    )


def score(
    series_key: str,
    *,
    revision: str = "r1",
    logit: float = 0.5,
    n_slices: int = 2,
    key: DecisionKey = KEY,
    run_id: str = "run-1",
) -> records.ScoreRecord:
    """A score with lists of the right length."""
    return records.ScoreRecord(
        series_key=series_key,
        series_revision=revision,
        storage_recipe=key.storage_recipe,
        view_recipe=key.view_recipe,
        model_digest=key.model_digest,
        logit=logit,
        n_slices=n_slices,
        slice_index=list(range(n_slices)),
        tile_index=[0] * n_slices,
        slice_logits=[fp32(logit)] * n_slices,
        slice_features=[fp32(0.1)] * (N_FEATURES * n_slices),
        precision="fp32",
        device="cpu",
        code_version="0",
        settings_digest="settings",
        run_id=run_id,
        scored_at=START,
        duration_s=0.1,
    )


def model(key: DecisionKey = KEY) -> records.ModelRecord:
    """The model of a decision key."""
    return records.ModelRecord(key.model_digest, f"name of {key.model_digest}", "resnet34-lstm", True, "card")


def operating_point(
    name: str = "op-1", *, threshold: float = 0.5, is_current: bool = True, key: DecisionKey = KEY
) -> records.OperatingPointRecord:
    """Slope 2, intercept -1."""
    return records.OperatingPointRecord(key.model_digest, name, 2.0, -1.0, threshold, "rule", is_current)


def report(
    report_key: str,
    study_key: str | None,
    *,
    status: str = "final",
    days: int = 0,
    sequence: int = 1,
    reason: str = "link_no_study",
) -> records.ReportRecord:
    """A version of a report, linked to a study or not."""
    return records.ReportRecord(
        report_key=report_key,
        study_key=study_key,
        status=status,
        reported_at=START + dt.timedelta(days=days),
        sequence=sequence,
        n_characters=100,
        outcome="linked" if study_key else reason_of(reason).outcome.value,
        reason=None if study_key else reason,
        message=None if study_key else message_for(reason),
    )


def report_statement(
    report_key: str, statement: str = "present", *, lexicon_digest: str = "lexicon-1"
) -> records.ReportStatementRecord:
    """What a lexicon reads in a report."""
    is_stated = statement in ("present", "possible", "absent")
    return records.ReportStatementRecord(
        report_key=report_key,
        lexicon_digest=lexicon_digest,
        statement=statement,
        wording="fracture" if is_stated else "none",
        levels=["L1"] if statement == "present" else [],
        acuity=None,
        treatment=None,
        cause=None,
        n_statements=int(is_stated),
    )


def lexicon(lexicon_digest: str = "lexicon-1", *, position: int = 1) -> records.LexiconRecord:
    """A lexicon that has labelled."""
    return records.LexiconRecord(lexicon_digest, "english.toml, chinese.toml", position)


def fp32(value: float) -> float:
    """The value as fp32 holds it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def audit(audit_id: str = "A1", *, n_units: int = 5, n_drawn: int = 1) -> records.AuditRecord:
    """A sample of one cell."""
    return records.AuditRecord(
        audit_id, "first", 50, 1, n_units, n_drawn, "digest", "model-1", "name", "op-1", 0.5, None, "0", START
    )


def audit_cell(audit_id: str = "A1", *, n_units: int = 5, n_drawn: int = 1) -> records.AuditCellRecord:
    """Its cell: flagged, and no report says it."""
    return records.AuditCellRecord(
        audit_id, 0, "flagged", "not_reported", 0, None, None, n_units, n_drawn, 0.4
    )


def audit_unit(
    case_id: str = "A1-0001", *, study_key: str = "study-a", patient_key: str | None = "patient-a"
) -> records.AuditUnitRecord:
    """A unit of that cell."""
    return records.AuditUnitRecord(
        audit_id=case_id.split("-", maxsplit=1)[0],
        case_id=case_id,
        position=1,
        cell=0,
        unit_key=f"{patient_key}|2020-02-29",
        patient_key=patient_key,
        study_key=study_key,
        study_keys=[study_key],
        study_date=dt.date(2020, 2, 29),
        age_years=70,
        sex="F",
        site="north",
        scanner="MAKER SCANNER",
        coverage="250 to 399 mm",
        statement="unmentioned",
        is_known_before=False,
        probability=0.9,
    )


def audit_reading(case_id: str = "A1-0001", grade: int | None = 2) -> records.AuditReadingRecord:
    """A reading of the whole study by one reader."""
    audit_id = case_id.split("-", maxsplit=1)[0]
    return records.AuditReadingRecord(
        audit_id, case_id, "AB", False, "study", grade is not None, grade, None, None, START
    )


def publication(study_key: str, *, state: str = "published") -> PublicationRecord:
    """A result of the study that stands in a PACS."""
    return PublicationRecord(
        target="dicomweb+http://pacs/dicom-web",
        sop_instance_uid=f"2.25.1.{study_key}",
        series_instance_uid="2.25.2",
        kind="sr",
        study_key=study_key,
        series_key="series-a-0",
        series_revision="r1",
        model_digest=KEY.model_digest,
        operating_point_id="op-1",
        probability=0.9,
        is_flagged=True,
        facts_digest="facts",
        content_digest="content",
        predecessor_uid=None,
        test_system=None,
        state=state,
        reason=None,
        message=None,
        n_attempts=1,
        changed_at=START,
    )


def one_scored_study(name: str = "a", *, patient: str | None = None, n_series: int = 2) -> LandingBatch:
    """A study with one scored series and others that are too short, with identities."""
    study_key, patient_key = f"study-{name}", f"patient-{patient or name}"
    batch = LandingBatch(
        studies=[study(study_key, n_series=n_series, n_files=10 * n_series, patient_key=patient_key)],
        slabs=[slab(f"series-{name}-0")],
        scores=[score(f"series-{name}-0")],
        models=[model()],
        patient_identities=[records.PatientIdentity(patient_key, "north", f"PID-{patient or name}", None)],
        study_identities=[records.StudyIdentity(study_key, patient_key, f"1.2.3.{name}", f"ACC-{name}")],
    )
    for number in range(n_series):
        series_key = f"series-{name}-{number}"
        batch.series.append(series(series_key, study_key))
        reason = None if number == 0 else "too_short"
        batch.selections.append(selection(series_key, study_key, reason=reason))
        batch.series_identities.append(
            records.SeriesIdentity(series_key, study_key, f"1.2.3.{name}.{number}")
        )
    return batch


def domain_limit(limit: float | None = 2.0, *, limit_id: str = "shipped") -> DomainLimitRecord:
    """The limit that counts for the scores of KEY's model."""
    return DomainLimitRecord(KEY.model_digest, limit_id, "domain-1", limit, "a rule", "some scans", True)


def domain_distance(series_key: str, distance: float, *, revision: str = "r1") -> DomainDistanceRecord:
    """How far the score of a series lies from what KEY's model has seen."""
    return DomainDistanceRecord(
        series_key, revision, KEY.storage_recipe, KEY.view_recipe, KEY.model_digest, "domain-1", distance
    )
