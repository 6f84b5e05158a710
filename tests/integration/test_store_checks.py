"""Every check fires on the fault it is for, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
import warehouse_rows as rows
from duckdb import DuckDBPyConnection as Connection

from warehouse import schema
from warehouse.checks import CheckResult, checks, run_checks
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.night_records import (
    CanaryRecord,
    NightAlertRecord,
    NightProblemRecord,
    NightRecord,
    WatermarkRecord,
)
from warehouse.tables import WAREHOUSE_TABLES

# Check → a statement that breaks a sound warehouse in just the way it looks for.
FAULTS = {
    "audit_cell_counts": "UPDATE audit_cell SET n_drawn = 2",
    "audit_reading_values": "UPDATE audit_reading SET grade = 4",
    "conservation_file": "UPDATE archive SET n_files_found = 99",
    "conservation_series": "UPDATE archive SET n_series_found = 99",
    "conservation_study": "UPDATE archive SET n_studies_found = 99",
    "decided_without_reason": "UPDATE selection SET message = NULL WHERE reason = 'too_short'",
    "duplicate_keys_audit": "INSERT INTO audit SELECT * REPLACE (2 AS seed) FROM audit",
    "duplicate_keys_audit_cell": "INSERT INTO audit_cell FROM audit_cell",
    "duplicate_keys_audit_reading": "INSERT INTO audit_reading SELECT * REPLACE (3 AS grade) FROM audit_reading",
    "duplicate_keys_audit_unit": "INSERT INTO audit_unit FROM audit_unit",
    "duplicate_keys_archive": "INSERT INTO archive SELECT * REPLACE (false AS is_crawl_complete) FROM archive",
    "domain_values": "UPDATE domain_distance SET distance = 'nan'::DOUBLE",
    "duplicate_keys_domain_distance": "INSERT INTO domain_distance FROM domain_distance",
    "duplicate_keys_domain_limit": (
        "INSERT INTO domain_limit SELECT * REPLACE (false AS is_current) FROM domain_limit"
    ),
    "duplicate_keys_file_count": "INSERT INTO file_count FROM file_count",
    "duplicate_keys_model": "INSERT INTO model FROM model",
    "duplicate_keys_canary": "INSERT INTO canary SELECT * REPLACE (9 AS logit) FROM canary",
    "duplicate_keys_night": "INSERT INTO night SELECT * REPLACE (9 AS n_new) FROM night",
    "duplicate_keys_night_alert": "INSERT INTO night_alert SELECT * REPLACE (9 AS n) FROM night_alert",
    "duplicate_keys_night_problem": "INSERT INTO night_problem SELECT * REPLACE (9 AS n) FROM night_problem",
    "duplicate_keys_watermark": "INSERT INTO watermark SELECT * REPLACE ('run-2' AS run_id) FROM watermark",
    "duplicate_keys_operating_point": (
        "INSERT INTO operating_point SELECT * REPLACE (false AS is_current) FROM operating_point"
    ),
    "duplicate_keys_publication": "INSERT INTO publication SELECT * REPLACE ('failed' AS state) FROM publication",
    "duplicate_keys_rejection": "INSERT INTO rejection FROM rejection",
    "duplicate_keys_run": "INSERT INTO run FROM run",
    "duplicate_keys_score": "INSERT INTO score FROM score",
    "duplicate_keys_selection": "INSERT INTO selection FROM selection",
    "duplicate_keys_series": "INSERT INTO series FROM series",
    "duplicate_keys_slab": "INSERT INTO slab FROM slab",
    "duplicate_keys_study": "INSERT INTO study FROM study",
    "erased_person": "INSERT INTO forgotten VALUES ('patient', 'patient-a', DATE '2026-01-01')",
    "operating_point_values": "UPDATE operating_point SET threshold = 'nan'::DOUBLE",
    "duplicate_keys_lexicon": "INSERT INTO lexicon SELECT * REPLACE (9 AS position) FROM lexicon",
    "duplicate_keys_report": "INSERT INTO report SELECT * REPLACE ('addendum' AS status) FROM report",
    "duplicate_keys_report_statement": "INSERT INTO report_statement FROM report_statement",
    "orphan_audit_reading": "UPDATE audit_reading SET case_id = 'A1-0002'",
    "orphan_report_statement": "UPDATE report_statement SET report_key = 'lost'",
    "publication_values": "UPDATE publication SET state = 'failed'",
    "report_link": "UPDATE report SET study_key = NULL WHERE outcome = 'linked'",
    "report_statement_values": "UPDATE report_statement SET wording = 'none'",
    "orphan_rejection": "UPDATE rejection SET series_revision = 'lost'",
    "orphan_selection": "UPDATE selection SET series_revision = 'lost' WHERE reason = 'too_short'",
    "orphan_series": (
        "INSERT INTO series SELECT * REPLACE ('lost' AS study_key, 'new' AS series_key) FROM series LIMIT 1"
    ),
    "orphan_slab": "INSERT INTO slab SELECT * REPLACE ('lost' AS series_key) FROM slab",
    "same_rank": "UPDATE selection SET rank = 1 WHERE rank = 2",
    "score_lists": "UPDATE score SET slice_features = slice_features[2:]",
    "score_not_finite": "UPDATE score SET logit = 'nan'::DOUBLE",
    "score_outside_slab": "UPDATE score SET slice_index = [0, 21]",
    "score_without_distance": "UPDATE domain_distance SET domain_id = 'of-before'",
    "score_without_eligibility": "UPDATE selection SET outcome = 'excluded', reason = 'mip' WHERE rank = 1",
    "score_without_model": "DELETE FROM model",
    "score_without_series": "DELETE FROM series WHERE series_key = 'series-a-0'",
    "score_without_slab": "DELETE FROM slab",
    "scored_and_failed": (
        "INSERT INTO rejection SELECT * REPLACE ('series-a-0' AS series_key, 'failed' AS outcome, 'io' AS reason) "
        "FROM rejection"
    ),
    "study_series_count": "UPDATE study SET n_series = 4",
    "study_values": "UPDATE study SET age_years = 200",
    "two_current_operating_points": (
        "INSERT INTO operating_point SELECT * REPLACE ('another' AS operating_point_id) FROM operating_point"
    ),
    "unknown_flag": "UPDATE slab SET flags = ['never_heard_of']",
    "unknown_outcome": "UPDATE file_count SET outcome = 'lost'",
    "unknown_reason": "UPDATE rejection SET reason = 'never_heard_of'",
}
# Further faults of the same checks.
MORE_FAULTS = [
    ("audit_cell_counts", "UPDATE audit SET n_units = 6"),
    ("audit_cell_counts", "DELETE FROM audit_unit"),
    ("audit_reading_values", "UPDATE audit_reading SET grade = NULL"),
    ("audit_reading_values", "UPDATE audit_reading SET cause = 'fell'"),
    ("unknown_reason", "UPDATE rejection SET outcome = 'excluded'"),
    ("unknown_outcome", "UPDATE rejection SET outcome = 'scored'"),
    ("unknown_outcome", "UPDATE selection SET outcome = 'scored' WHERE reason = 'too_short'"),
    ("unknown_flag", "UPDATE selection SET flags = ['lossy', 'odd:1'] WHERE rank = 1"),
    ("score_not_finite", "UPDATE score SET slice_logits = ['inf'::FLOAT, 0]"),
    ("score_not_finite", "UPDATE score SET slice_features = list_resize(['nan'::FLOAT], 64, 0)"),
    ("score_lists", "UPDATE score SET slice_logits = [NULL, 0]"),
    ("score_lists", "UPDATE score SET n_slices = 0"),
    ("operating_point_values", "UPDATE operating_point SET calibration_slope = -1"),
    ("decided_without_reason", "UPDATE selection SET rank = NULL"),
    ("unknown_reason", "UPDATE report SET reason = 'odd' WHERE reason IS NOT NULL"),
    ("report_statement_values", "UPDATE report_statement SET statement = 'perhaps'"),
    ("study_values", "UPDATE study SET sex = 'X'"),
    ("domain_values", "UPDATE domain_limit SET limit_distance = -1"),
    ("domain_values", "INSERT INTO domain_limit SELECT * REPLACE ('mine' AS limit_id) FROM domain_limit"),
    ("domain_values", "UPDATE domain_distance SET model_digest = 'lost'"),
    ("publication_values", "UPDATE publication SET kind = 'letter'"),
    (
        "publication_values",
        "INSERT INTO publication SELECT * REPLACE ('1.2.4' AS sop_instance_uid) FROM publication",
    ),
    ("erased_person", "INSERT INTO forgotten VALUES ('study', 'study-a', DATE '2026-01-01')"),
]


def sound_batch() -> LandingBatch:
    """One study with a scored, a rejected and a short series, and all around it."""
    batch = rows.one_scored_study("a", n_series=1)
    batch.runs.append(rows.run())
    batch.archives.append(rows.archive(n_files=31, n_studies=1, n_series=3))
    batch.file_counts.append(rows.records.FileCountRecord("archive-1", "excluded", "not_dicom", 1))
    batch.operating_points.append(rows.operating_point())
    batch.studies[:] = [rows.study("study-a", n_series=3, n_files=30, patient_key="patient-a")]
    batch.series += [rows.series(f"series-a-{number}", "study-a") for number in (1, 2)]
    batch.selections.append(rows.selection("series-a-1", "study-a", rank=2, flags=["lossy"]))
    batch.selections.append(rows.selection("series-a-2", "study-a", reason="too_short"))
    batch.rejections.append(rows.rejection("series-a-1", "decode"))
    batch.reports += [rows.report("report-a", "study-a"), rows.report("report-b", None)]
    batch.report_statements += [rows.report_statement("report-a"), rows.report_statement("report-b")]
    batch.lexica.append(rows.lexicon())
    batch.audits.append(rows.audit())
    batch.audit_cells.append(rows.audit_cell())
    batch.audit_units.append(rows.audit_unit())
    batch.audit_readings.append(rows.audit_reading())
    _add_a_night(batch)
    batch.publications.append(rows.publication("study-a"))
    batch.domain_limits.append(rows.domain_limit())
    batch.domain_distances.append(rows.domain_distance("series-a-0", 1.0))
    return batch


def _add_a_night(batch: LandingBatch) -> None:
    key, at = rows.KEY, rows.START
    batch.nights.append(
        NightRecord("run-1", "archive-1", None, at, None, 1, 0, 0, 0, 1, 1, 0, 60.0, "fp32", 0.0, None, None)
    )
    batch.watermarks.append(WatermarkRecord("archive-1", at, "run-1"))
    batch.night_alerts.append(
        NightAlertRecord("run-1", "flag_rate", "all", "more flags", 9, 0.5, 0.1, 0.0, 0.2)
    )
    batch.canaries.append(
        CanaryRecord(
            key.model_digest, key.storage_recipe, key.view_recipe, "fp32", "case", "digest", 0.5, [0.5], [9.0], "cpu",
            "0", at,
        )
    )  # fmt: skip
    batch.night_problems.append(NightProblemRecord("archive-1", "series-a-1", "r1", "decode", 1, at, at))


@pytest.fixture(scope="module")
def sound() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        insert_all(connection, WAREHOUSE_TABLES, to_arrow(sound_batch()))
        yield connection


@pytest.fixture
def warehouse(sound: Connection) -> Iterator[Connection]:
    """What a test changes is taken back."""
    sound.begin()
    yield sound
    sound.rollback()


def results(connection: Connection) -> dict[str, CheckResult]:
    return {result.name: result for result in run_checks(connection)}


def test_a_sound_warehouse_passes_every_check(warehouse: Connection) -> None:
    assert [result for result in results(warehouse).values() if not result.passed] == []


def test_every_check_has_a_fault(warehouse: Connection) -> None:
    assert set(FAULTS) == set(results(warehouse))
    assert set(checks()) <= set(FAULTS)


@pytest.mark.parametrize(("name", "fault"), [*FAULTS.items(), *MORE_FAULTS])
def test_a_check_fires_on_its_fault(warehouse: Connection, name: str, fault: str) -> None:
    warehouse.execute(fault).fetchall()
    (result,) = run_checks(warehouse, only=[name])
    assert not result.passed
    assert 1 <= len(result.examples) <= result.n_rows


@pytest.mark.parametrize("change", ["DELETE FROM study", "DELETE FROM selection"])
def test_vanished_and_requeued_studies_leave_no_orphans(warehouse: Connection, change: str) -> None:
    warehouse.execute(change).fetchall()
    orphans = {name for name in checks() if name.startswith(("orphan_", "score_without_"))}
    assert [result for result in run_checks(warehouse, only=orphans) if not result.passed] == []


def test_conservation_is_not_judged_while_the_crawl_is_open(warehouse: Connection) -> None:
    warehouse.execute("UPDATE archive SET n_files_found = 99, is_crawl_complete = false").fetchall()
    assert results(warehouse)["conservation_file"].passed
