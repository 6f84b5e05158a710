"""A small simulated hospital on disk: the same seed gives the same bytes, and truth, files and reports agree."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from flows.process_pool import process_pool
from phantom.hospital import HospitalSummary, make_hospital

PATIENTS = 7
COLUMNS = 96  # coarse, so that the test stays fast
DOCUMENT = Path(__file__).parents[2] / "docs" / "phantom-truth.md"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> HospitalSummary:
    return make_hospital(tmp_path_factory.mktemp("hospital"), patients=PATIENTS, seed=5, columns=COLUMNS)


def _digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _objects(archive: Path) -> Iterator[bytes]:
    """Every DICOM object but the directories of media, out of zips too."""
    for path in sorted(p for p in archive.rglob("*") if p.is_file() and p.name != "DICOMDIR"):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as bundle:
                yield from (bundle.read(name) for name in bundle.namelist())
        else:
            content = path.read_bytes()
            if content[128:132] == b"DICM":
                yield content


def _headers(archive: Path) -> Iterator[pydicom.Dataset]:
    for content in _objects(archive):
        yield pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = make_hospital(tmp_path / "a", patients=2, seed=31, columns=COLUMNS)
    with process_pool(2) as pool:  # two studies at a time
        again = make_hospital(tmp_path / "b", patients=2, seed=31, columns=COLUMNS, study_map=pool.map)
    assert _digests(first.directory) == _digests(again.directory)
    assert _digests(
        make_hospital(tmp_path / "c", patients=2, seed=32, columns=COLUMNS).directory
    ) != _digests(first.directory)


def test_truth_names_what_the_archive_holds(hospital: HospitalSummary) -> None:
    truths = _rows(hospital.directory / "truth.csv")
    assert len(truths) == hospital.n_studies == PATIENTS + 1  # the fourth patient comes again
    seen: dict[str, set[str]] = {}
    for ds in _headers(hospital.directory / "archive"):
        seen.setdefault(ds.StudyInstanceUID, set()).add(ds.SeriesInstanceUID)
        match = next(t for t in truths if t["study_instance_uid"] == ds.StudyInstanceUID)
        assert (match["patient_id"], match["accession_in_header"]) == (ds.PatientID, ds.AccessionNumber)
        assert match["study_date"].replace("-", "") == ds.StudyDate
        assert ds.PatientSex in ("", match["sex"])
        assert match["manufacturer"] == ds.Manufacturer
    assert set(seen) == {t["study_instance_uid"] for t in truths}
    assert all(t["series_instance_uid"] in seen[t["study_instance_uid"]] for t in truths)


def test_instances_have_uids_of_their_own(hospital: HospitalSummary) -> None:
    uids = [ds.SOPInstanceUID for ds in _headers(hospital.directory / "archive")]
    assert len(uids) == len(set(uids))
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_vertebrae_and_studies_tell_the_same_truth(hospital: HospitalSummary) -> None:
    bodies = _rows(hospital.directory / "truth_vertebrae.csv")
    for truth in _rows(hospital.directory / "truth.csv"):
        own = [b for b in bodies if b["accession_number"] == truth["accession_number"]]
        assert len(own) == 17
        whole = [b for b in own if b["is_visible"] == "1"]
        shown = [b for b in whole if b["grade"] != "0" and b["cause"] == "osteoporotic"]
        assert int(truth["n_levels_visible"]) == len(whole)
        assert int(truth["has_traumatic"]) == int(any(b["cause"] == "traumatic" for b in whole))
        assert int(truth["has_pathological"]) == int(any(b["cause"] == "pathological" for b in whole))
        assert int(truth["has_cement"]) == int(any(b["is_treated"] == "1" for b in whole))
        for body in own:
            now = [float(body[f"{place}_mm"]) for place in ("anterior", "middle", "posterior")]
            intact = [float(body[f"intact_{place}_mm"]) for place in ("anterior", "middle", "posterior")]
            lost = max(1 - a / b for a, b in zip(now, intact, strict=True))
            assert abs(lost - float(body["loss"])) < 0.002
        assert " ".join(b["level"] for b in shown) == truth["fractured_levels"]
        assert int(truth["worst_grade"]) == max((int(b["grade"]) for b in shown), default=0)


def test_reports_belong_to_studies(hospital: HospitalSummary) -> None:
    truths = {t["accession_number"]: t for t in _rows(hospital.directory / "truth.csv")}
    reports = _rows(hospital.directory / "reports.csv")
    silent = {a for a, t in truths.items() if t["report_statement"] == "no_report"}
    assert {r["accession_number"] for r in reports} == set(truths) - silent
    assert all(r["text"] for r in reports)


def test_every_column_is_documented(hospital: HospitalSummary) -> None:
    described = DOCUMENT.read_text(encoding="utf-8")
    for name in ("truth.csv", "truth_vertebrae.csv", "truth_reports.csv"):
        columns = list(_rows(hospital.directory / name)[0])
        assert [column for column in columns if f"| `{column}` |" not in described] == []


def test_T14_folders_hold_what_their_scheme_says(hospital: HospitalSummary) -> None:
    archive = hospital.directory / "archive"
    kinds = {t["packaging"] for t in _rows(hospital.directory / "truth.csv")}
    assert kinds == {"folders", "hashed", "uids", "zip-stored", "flat", "patients", "mixed", "zip-deflated"}
    hashed = [p for p in (archive / "objects").rglob("*") if p.is_file()]
    assert hashed
    assert all(not path.suffix and len(path.name) == 32 for path in hashed)
    mixed = [p for p in (archive / "export").rglob("I*") if p.is_file() and not p.suffix]
    series = [pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID for path in mixed[:40]]
    assert len(set(series)) > 1


def test_series_of_a_study_are_those_of_the_truth(hospital: HospitalSummary) -> None:
    series: dict[str, set[str]] = {}
    for ds in _headers(hospital.directory / "archive"):
        series.setdefault(ds.StudyInstanceUID, set()).add(ds.SeriesInstanceUID)
    for truth in _rows(hospital.directory / "truth.csv"):
        assert len(series[truth["study_instance_uid"]]) == len(truth["series"].split())


def test_truth_of_reports_stands_beside_each_text(hospital: HospitalSummary) -> None:
    truths = {t["accession_number"]: t for t in _rows(hospital.directory / "truth.csv")}
    reports = _rows(hospital.directory / "reports.csv")
    said = _rows(hospital.directory / "truth_reports.csv")
    assert [r["report_id"] for r in reports] == [s["report_id"] for s in said]
    last = {s["accession_number"]: s["study_statement"] for s in said}
    assert last == {
        a: t["report_statement"] for a, t in truths.items() if t["report_statement"] != "no_report"
    }


def test_an_archive_is_never_overwritten(hospital: HospitalSummary) -> None:
    with pytest.raises(FileExistsError):
        make_hospital(hospital.directory, patients=1, seed=1)
