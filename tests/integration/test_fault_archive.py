"""One archive with every fault that crawl, selection and slab must hold, swept once: rows end as docs/faults.md asks.

The cases stand in `fault_cases` and `fault_pixels`; T10, T37 and T38 (crashes, rights, growing files) have tests of
their own.
"""

from __future__ import annotations

import random
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from factory import uid
from fault_archive import Case, scan
from fault_cases import header_cases
from fault_numbers import odd_numbers
from fault_pixels import pixel_cases
from fault_run import REFERENCE_UID, Run, check, run_archive
from fault_sweep import KEYS, LIMITS, Swept, index_and_select, sweep

from tasks.index import Index
from warehouse.reasons import reason_of
from warehouse.store import Store

pytestmark = pytest.mark.slow

CASES = [*header_cases(), *odd_numbers(), *pixel_cases()]
CRAWL_MAY_ADD_BYTES = 300 << 20  # to the memory of this process; the bombs unpack to 300 and 512 MB each


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The archive, written and swept once."""
    return run_archive(tmp_path_factory.mktemp("faults"), CASES)


def of_row(row: str) -> Callable[[Any], Any]:
    """One test per case of this row."""
    cases = [case for case in CASES if case.row == row]
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@of_row("T01")
def test_T01_empty_file(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T02")
def test_T02_not_dicom(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T03")
def test_T03_no_preamble(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T04")
def test_T04_truncated_pixels(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T05")
def test_T05_truncated_header(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T06")
def test_T06_rows_larger_than_data(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T07")
def test_T07_rows_smaller_than_data(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T08")
def test_T08_impossible_dimensions(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T09")
def test_T09_bombs(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T11")
def test_T11_identical_copies(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T12")
def test_T12_conflicting_copies(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T13")
def test_T13_missing_slices(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T14")
def test_T14_mixed_folders(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T15")
def test_T15_two_scans_in_one_series(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T16")
def test_T16_overlap(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T17")
def test_T17_mixed_spacing(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T18")
def test_T18_gantry_tilt(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T19")
def test_T19_feet_first(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T20")
def test_T20_no_geometry(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T21")
def test_T21_no_pixel_spacing(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T22")
def test_T22_no_plain_images(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T23")
def test_T23_enhanced(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T24")
def test_T24_rescale(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T25")
def test_T25_stored_bits(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T26")
def test_T26_padding(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T27")
def test_T27_photometric(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T28")
def test_T28_compressed(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T29")
def test_T29_byte_order(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T30")
def test_T30_lossy(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T31")
def test_T31_damaged_frames(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T32")
def test_T32_values_of_no_body(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T33")
def test_T33_wrong_body_part(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T34")
def test_T34_odd_ages(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T35")
def test_T35_odd_names(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T36")
def test_T36_names_from_data(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T45")
def test_T45_texts(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T61")
def test_T61_polyglot(run: Run, case: Case) -> None:
    check(case, run)


@of_row("T63")
def test_T63_zips(run: Run, case: Case) -> None:
    check(case, run)


def test_every_case_belongs_to_a_row_that_is_tested() -> None:
    tested = {name[5:8] for name in globals() if name.startswith("test_T")}
    assert {case.row for case in CASES} == tested
    assert len({case.seed for case in CASES}) == len(CASES)


def test_everything_found_is_accounted_for(run: Run) -> None:
    """Conserved at three levels; every loose file has a reason; nothing failed, nothing is pending."""
    levels = {row[1]: row for row in run.conservation}
    assert set(levels) == {"file", "series", "study"}
    for _, _, found, scored, excluded, quarantined, failed, pending, is_conserved in levels.values():
        assert is_conserved
        assert found == scored + excluded + quarantined
        assert (failed, pending) == (0, 0)
    assert levels["study"][2] == len(run.swept.selections) == len(run.studies)
    assert run.failed_checks == []


def test_rule_zero_no_fault_is_scored(run: Run) -> None:
    """Scored are the reference and the cases that say so, and what is not scored has a known reason."""
    scored = {key for key, (outcome, _) in run.studies.items() if outcome == "scored"}
    wanted = {case.uid for case in CASES if case.study == ("scored", None)} | {REFERENCE_UID}
    assert scored == {KEYS.study_key(each) for each in wanted}
    for outcome, reason in (each for series in run.series.values() for each in series):
        assert (reason is None) == (outcome == "scored")
        assert reason is None or reason_of(reason).outcome == outcome


def test_memory_is_bounded(run: Run) -> None:
    """The crawl of all bombs adds little to this process; the decoding child stays within its limit."""
    assert 0 < run.child_peak_bytes < LIMITS.memory_bytes
    assert run.swept.crawl_added_bytes < CRAWL_MAY_ADD_BYTES


def test_T36_no_path_comes_from_data(run: Run) -> None:
    """Nothing was written outside of the archive, the index and the warehouse, nor into the archive."""
    root = run.archive.parent
    assert {path.name for path in root.iterdir()} == {"archive", "index", "warehouse"}
    assert not Path("/tmp/ovf-canary").exists()
    written = [path.name for path in (root / "warehouse").rglob("*")] + [
        p.name for p in (root / "index").rglob("*")
    ]
    assert not [name for name in written if "canary" in name or name.startswith(("CON", ".."))]


def test_T35_links_and_copies_of_an_inode_are_rows(run: Run) -> None:
    counts = {reason: n for _, reason, n in run.swept.file_counts}
    assert counts["duplicate"] == 3  # hard links
    assert counts["link"] == 1  # back into the archive
    assert counts["special_file"] == 1  # dangling


def test_T63_what_is_wrong_with_a_zip_is_a_row(run: Run) -> None:
    counts = {reason: n for _, reason, n in run.swept.file_counts}
    assert {counts[reason] for reason in ("zip_bomb", "zip_damaged", "zip_encrypted")} == {1}


def test_T45_identifiers_survive_as_they_were_meant(run: Run) -> None:
    """A round trip through the identity file loses nothing, whatever set was declared."""
    by_name = {case.name: KEYS.study_key(case.uid) for case in CASES if case.row == "T45" and case.study}
    with duckdb.connect(str(run.swept.store.paths.identity), read_only=True) as connection:
        rows = connection.execute(
            "SELECT study_key, patient_id FROM study_identity JOIN patient_identity USING (patient_key)"
        ).fetchall()
    of_study = dict(rows)
    ids = {name: of_study[key] for name, key in by_name.items()}
    assert ids["gbk_patient_id"] == "张三0017"
    assert ids["override_and_emoji"] == "P\u202e\U0001f600"
    assert ids["formula"] == "=HYPERLINK(1)"


# ---- the same archive in another shape


@pytest.fixture(scope="module")
def shapeless(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the cases that do not speak of names and folders, under numbers, in an order of their own."""
    folders = ["reference", *(case.id for case in CASES if not case.needs_layout)]
    paths = [path for each in folders for path in sorted((run.archive / each).rglob("*")) if path.is_file()]
    random.Random(5).shuffle(paths)
    return {f"{number:05d}": path.read_bytes() for number, path in enumerate(paths)}


def _decisions(archive: Path, index_folder: Path, store: Store) -> tuple[dict[str, Any], Counter[str]]:
    swept = Swept(store)
    with Index(index_folder) as index:
        index_and_select(archive, swept, index)
    return swept.decisions(), Counter(reason for found in swept.issues.values() for reason in found)


@pytest.mark.parametrize("shape", ["one_folder", "zip"])
def test_T14_the_shape_of_the_archive_changes_no_decision(
    run: Run, shapeless: dict[str, bytes], tmp_path: Path, shape: str
) -> None:
    """Shuffled and renamed in one folder or one zip: the same studies, revisions, checks, ranks and flags."""
    archive = tmp_path / "archive"
    archive.mkdir()
    if shape == "zip":
        with zipfile.ZipFile(archive / "all.zip", "w") as packed:
            for name, data in shapeless.items():
                packed.writestr(name, data)
    else:
        for name, data in shapeless.items():
            (archive / name).write_bytes(data)
    found, issues = _decisions(archive, tmp_path / "index", run.swept.store)
    wanted = run.swept.decisions()
    left_out = {case.uid for case in CASES if case.needs_layout}
    assert found == {key: value for key, value in wanted.items() if key not in left_out}
    loose = Counter[str]()
    for case in CASES:
        loose.update({} if case.needs_layout else case.files)
    assert issues == loose


def test_T14_one_series_in_two_studies(tmp_path: Path) -> None:
    """A study copied under another Study UID keeps its series and instances: both are scored, both are counted."""
    archive, series, names = tmp_path / "archive", uid("series", 3, ""), lambda k: uid("instance", 3, "", k)
    scan(archive / "one", 3)
    scan(archive / "copy", 4, SeriesInstanceUID=series, SOPInstanceUID=names)
    swept = sweep(archive, Store.open(tmp_path / "warehouse" / "w.duckdb"), tmp_path / "index")
    with swept.store.read_live() as connection:
        studies = connection.execute("SELECT outcome FROM study_outcome").fetchall()
        scores = connection.execute("SELECT count(*) FROM current_score").fetchall()
        conserved = connection.execute("SELECT bool_and(is_conserved) FROM conservation").fetchall()
    assert (studies, scores, conserved) == ([("scored",)] * 2, [(2,)], [(True,)])
