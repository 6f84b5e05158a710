"""A warehouse of a million generated studies, audited: `python -m benchmarks.audit_warehouse [--studies N]`.

Rows are made in SQL: no image, no report text. Prints seconds and peak memory of drawing a sample and of all numbers.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from flows.audit import audit_numbers
from flows.audit_export import write_tables
from flows.audit_sample import SampleOrder, sample
from warehouse.connect import transaction
from warehouse.store import Store

STUDIES = 1_000_000
STUDIES_PER_PATIENT = 1.6
READS = 600
TARGET_S, TARGET_GB = 60.0, 4.0

_FILL = """
CREATE TEMP TABLE made AS
SELECT
    i,
    md5('study' || i) AS study_key,
    md5('series' || i) AS series_key,
    CASE WHEN hash(i, 1) % 100 > 0 THEN md5('patient' || hash(i, 2) % $n_patients) END AS patient_key,
    hash(i, 3) % 100 AS fate,
    hash(i, 4) % 100 AS said,
    (hash(i, 5) % 10000) / 10000.0 AS place
FROM range($n_studies) AS numbers(i);
INSERT INTO study
SELECT 'archive', study_key, 'r1', patient_key, 'main', DATE '2015-01-01' + (hash(i, 6) % 3650)::INTEGER,
    18 + hash(i, 7) % 80, ['F', 'M'][(1 + hash(i, 8) % 2)::BIGINT], 1, 300, 'run'
FROM made;
INSERT INTO series
SELECT series_key, 'r1', study_key, NULL, 'CT', 'CT', 'ORIGINAL', 'axial', '1',
    'MAKER ' || hash(i, 9) % 4, 'SCANNER', NULL, 120, 1, 1, 0.7, 512, 512,
    150 + hash(i, 10) % 400, 'HFS', NULL, NULL, false, 300, 300, 1000000
FROM made;
INSERT INTO selection
SELECT study_key, 'r1', series_key, 'r1', 'profile', 'reader',
    CASE WHEN fate < 20 THEN 'excluded' ELSE 'eligible' END, CASE WHEN fate < 20 THEN 'body_part' END,
    CASE WHEN fate < 20 THEN 'the body part holds no thoracolumbar spine' END,
    CASE WHEN fate >= 20 THEN 1 END, CASE WHEN fate >= 20 THEN 'thinnest' END, 5, '[]', []
FROM made;
INSERT INTO score (
    series_key, series_revision, storage_recipe, view_recipe, model_digest, logit, n_slices, slice_index, tile_index,
    slice_logits, slice_features, precision, device, code_version, settings_digest, run_id, scored_at, duration_s,
    n_vertebrae
)
SELECT series_key, 'r1', 'storage', 'view', 'model', -3 + 6 * place * place, 5, [0, 1, 2, 3, 4], [0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0], [], 'fp32', 'cpu', '0', 'settings', 'run', now()::TIMESTAMP, 0.1, 12
FROM made WHERE fate >= 25;
INSERT INTO rejection
SELECT series_key, 'r1', 'profile', 'reader', 'storage', 'view', 'model', 'slab', 'quarantined', 'decode',
    'pixel data cannot be decoded'
FROM made WHERE fate BETWEEN 20 AND 24;
INSERT INTO report
SELECT md5('report' || i), study_key, 'final', TIMESTAMP '2020-01-01', i + 1, 500, 'linked', NULL, NULL,
    'group ' || hash(i, 11) % 3
FROM made WHERE said >= 10;
INSERT INTO report_statement
SELECT md5('report' || i), 'lexicon',
    CASE WHEN said < 16 THEN 'present' WHEN said < 18 THEN 'possible' WHEN said < 30 THEN 'absent'
        ELSE 'unmentioned' END,
    CASE WHEN said < 14 THEN 'fracture' WHEN said < 18 THEN 'ambiguous' WHEN said < 30 THEN 'fracture' ELSE 'none' END,
    [], NULL, NULL, NULL, 1
FROM made WHERE said >= 10;
INSERT INTO lexicon VALUES ('lexicon', 'en', 1);
INSERT INTO model VALUES ('model', 'benchmark', 'none', true, '');
INSERT INTO operating_point (
    model_digest, operating_point_id, calibration_slope, calibration_intercept, threshold, rule, is_current
)
VALUES ('model', 'op', 1.0, 0.0, 0.8, 'benchmark', true);
INSERT INTO run VALUES ('run', 'archive', 'main', 'sweep', 'finished', now()::TIMESTAMP, now()::TIMESTAMP, 'host', 1,
    '0', 'settings', 'lenient', 'profile', 'reader', 'storage', 'view', 'model');
"""


def main() -> None:
    """Make the warehouse and draw in a process of its own, so that the memory measured is the audit's; then audit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_warehouse", description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    n_studies = parser.parse_args().studies
    folder = Path(tempfile.mkdtemp(prefix="ovf-audit-"))
    try:
        for step in (prepare, measure):
            process = get_context("spawn").Process(target=step, args=(folder, n_studies))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)
    finally:
        shutil.rmtree(folder)


def prepare(folder: Path, n_studies: int) -> None:
    """Make the warehouse, and draw a sample of it."""
    store = made_store(folder, n_studies)
    start = time.perf_counter()
    drawn = sample(store, SampleOrder(READS, 1, "first", 50, None), fresh_seed=1)
    print(f"{drawn.audit.n_units:,} units; sample drawn in {time.perf_counter() - start:.1f} s")
    store.publish()


def made_store(folder: Path, n_studies: int) -> Store:
    """A published warehouse of generated rows."""
    store = Store.open(folder / "warehouse.duckdb")
    with transaction(store.paths.warehouse, wait_s=10) as connection:
        fill(connection, n_studies)
    store.paths.ledger.unlink()  # rows came in beside the store's own way
    store.publish()
    return store


def fill(connection: Connection, n_studies: int) -> None:
    """Fill an empty, migrated warehouse with generated studies."""
    numbers = {"n_studies": n_studies, "n_patients": max(1, round(n_studies / STUDIES_PER_PATIENT))}
    for statement in filter(str.strip, _FILL.split(";\n")):
        asked = {name: value for name, value in numbers.items() if f"${name}" in statement}
        connection.execute(statement, asked).fetchall()


def measure(folder: Path, n_studies: int) -> None:
    """All numbers of the audit, written as tables."""
    store = Store.open(folder / "warehouse.duckdb", create=False)
    start = time.perf_counter()
    with store.read() as connection:
        numbers = audit_numbers(connection)
    write_tables(numbers, folder / "out")
    audit_s = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    verdict = "met" if audit_s < TARGET_S and peak_gb < TARGET_GB else "missed"
    print(
        f"{n_studies:,} studies: numbers in {audit_s:.1f} s, peak {peak_gb:.1f} GB "
        f"(target {TARGET_S:.0f} s, {TARGET_GB:.0f} GB: {verdict})"
    )


if __name__ == "__main__":
    main()
