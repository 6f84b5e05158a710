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

from phantom.hospital import HospitalSummary, make_hospital

PATIENTS = 7


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> HospitalSummary:
    return make_hospital(tmp_path_factory.mktemp("hospital"), patients=PATIENTS, seed=5)


def _digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _headers(archive: Path) -> Iterator[pydicom.Dataset]:
    for path in sorted(p for p in archive.rglob("*") if p.is_file()):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as bundle:
                for name in bundle.namelist():
                    yield pydicom.dcmread(io.BytesIO(bundle.read(name)), stop_before_pixels=True)
        elif path.read_bytes()[128:132] == b"DICM":
            yield pydicom.dcmread(path, stop_before_pixels=True)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (make_hospital(tmp_path / n, patients=2, seed=31) for n in ("a", "b"))
    assert _digests(first.directory) == _digests(again.directory)
    assert _digests(make_hospital(tmp_path / "c", patients=2, seed=32).directory) != _digests(first.directory)


def test_truth_names_what_the_archive_holds(hospital: HospitalSummary) -> None:
    truths = _rows(hospital.directory / "truth.csv")
    assert len(truths) == hospital.n_studies == PATIENTS + 1
    seen: dict[str, set[str]] = {}
    for ds in _headers(hospital.directory / "archive"):
        seen.setdefault(ds.StudyInstanceUID, set()).add(ds.SeriesInstanceUID)
        match = next(t for t in truths if t["study_instance_uid"] == ds.StudyInstanceUID)
        assert (match["patient_id"], match["accession_number"]) == (ds.PatientID, ds.AccessionNumber)
        assert match["study_date"].replace("-", "") == ds.StudyDate
        assert ds.PatientSex == match["sex"]
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
        shown = [b for b in own if b["is_visible"] == "1" and b["grade"] != "0"]
        assert " ".join(b["level"] for b in shown) == truth["fractured_levels"]
        assert int(truth["worst_grade"]) == max((int(b["grade"]) for b in shown), default=0)


def test_reports_belong_to_studies(hospital: HospitalSummary) -> None:
    truths = {t["accession_number"]: t for t in _rows(hospital.directory / "truth.csv")}
    reports = _rows(hospital.directory / "reports.csv")
    silent = {a for a, t in truths.items() if t["report_statement"] == "no_report"}
    assert {r["accession_number"] for r in reports} == set(truths) - silent
    assert all(r["text"] for r in reports)


def test_an_archive_is_never_overwritten(hospital: HospitalSummary) -> None:
    with pytest.raises(FileExistsError):
        make_hospital(hospital.directory, patients=1, seed=1)
