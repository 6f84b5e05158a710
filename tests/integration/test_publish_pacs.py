"""`ovf publish` against a real Orthanc, by both protocols: read back, validated, superseded, withdrawn, interrupted."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from factory import uid
from pacs_server import Pacs, orthanc
from published_hospital import (
    FLAGGED_SEEDS,
    LOGITS,
    MODEL,
    Hospital,
    errors_of,
    make_hospital,
    stated,
)
from pydicom import dcmread
from pydicom.dataset import Dataset

from flows.cli import run
from flows.pacs import open_pacs
from flows.publish import publish
from flows.publish_retract import Withdrawal, retract
from flows.settings import read_settings
from tasks.publish_source import any_series
from tasks.sources.dicomweb import session_of
from tasks.sources.pacs_client import Login
from tasks.targets.base import Answer, Target
from tasks.targets.c_store import StoreTarget
from tasks.targets.stow import StowTarget
from warehouse.checks import run_checks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    login = {"AuthenticationEnabled": True, "RegisteredUsers": {"ovf": "s3cret"}}
    with orthanc(tmp_path_factory.mktemp("pacs"), **login) as running:
        yield running


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return make_hospital(tmp_path_factory.mktemp("swept"))


@pytest.fixture
def hospital(swept: Hospital, tmp_path: Path) -> Hospital:
    return swept.copied(tmp_path)


def web(pacs: Pacs) -> StowTarget:
    return StowTarget(pacs.dicomweb, session_of(Login("ovf", "s3cret")))


def dimse(pacs: Pacs) -> StoreTarget:
    return StoreTarget(pacs.dimse, "127.0.0.1", pacs.dicom_port, "ORTHANC", "OVF")


def empty(pacs: Pacs) -> None:
    for identifier in pacs.find("Patient"):
        with pacs.client() as client:
            client.delete(f"/patients/{identifier}").raise_for_status()


def held(pacs: Pacs) -> dict[str, Dataset]:
    """SOPInstanceUID → everything that the PACS holds, as it gives it back."""
    with pacs.client() as client:
        files = [client.get(f"/instances/{each}/file").content for each in pacs.find("Instance")]
    found = [dcmread(io.BytesIO(content)) for content in files]
    return {str(each.SOPInstanceUID): each for each in found}


def send(hospital: Hospital, target: Target, **options: object) -> list[int]:
    """Publish; (published, failed) studies."""
    with hospital.work(target.address, **options) as work:  # type: ignore[arg-type]
        summary = publish(work, target)
    return [summary.n_published, summary.n_failed]


def test_what_is_published_can_be_read_back(hospital: Hospital, pacs: Pacs, tmp_path: Path) -> None:
    """Both routes give the same objects; the SR states score and model; the PACS files them under the patient."""
    empty(pacs)
    pictures = hospital.pictures()
    assert send(hospital, web(pacs), pictures=pictures) == [2, 0]
    by_web = held(pacs)
    assert send(hospital, web(pacs)) == [0, 0]
    empty(pacs)
    assert send(hospital, dimse(pacs), pictures=pictures) == [2, 0]
    by_dimse = held(pacs)
    assert by_web == by_dimse
    assert hospital.states(pacs.dimse) == [("capture", "published", None)] + [("sr", "published", None)] * 2
    reports = {each.StudyInstanceUID: each for each in by_web.values() if each.Modality == "SR"}
    assert set(reports) == {uid("study", seed) for seed in FLAGGED_SEEDS}
    for seed in FLAGGED_SEEDS:
        report, source = reports[uid("study", seed)], dcmread(hospital.archive / str(seed) / "0000.dcm")
        probability, digest, flagged = stated(report)
        assert (digest, flagged) == (MODEL.digest, "Yes")
        assert probability == pytest.approx(1 / (1 + 2.718281828459045 ** -LOGITS[seed]), abs=1e-12)
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyTime", "AccessionNumber"):
            assert report[keyword].value == source[keyword].value, keyword
        assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
        assert report.SeriesDescription == "AI result, not verified, not for diagnosis; TEST LAB"
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        n_referenced = [len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence]
        assert n_referenced == ([20, 1] if seed == 11 else [20])
    (capture,) = [each for each in by_web.values() if each.Modality != "SR"]
    assert "moved sideways with the spine" in capture.DerivationDescription  # as the model's view reads it
    for number, each in enumerate(by_web.values()):
        each.save_as(path := tmp_path / f"{number}.dcm", enforce_file_format=True)
        assert errors_of(path) == [], each.Modality
    with hospital.store.read_live() as connection:
        assert [each.name for each in run_checks(connection, ["publication_values"]) if not each.passed] == []


def test_results_in_studies_that_left_the_archive_are_told_and_not_passed_over(
    hospital: Hospital, pacs: Pacs
) -> None:
    empty(pacs)
    target = web(pacs)
    assert send(hospital, target) == [2, 0]
    with hospital.store.read_live_identified() as connection:
        ((key, uid_gone),) = connection.execute(
            "SELECT study_key, study_instance_uid FROM identity.study_identity "
            "WHERE study_key = (SELECT min(study_key) FROM publication)"
        ).fetchall()
    with hospital.store.write() as connection:
        connection.execute("DELETE FROM study WHERE study_key = ?", [key]).fetchall()
    with hospital.opened() as archive:
        archive.index.erase([uid_gone])
        withdrawn = retract(Withdrawal(hospital.store, archive, target.address, target, None), "all")
    assert (withdrawn.n_retracted, withdrawn.n_left, dict(withdrawn.missing)) == (1, 1, {"absent": 1})


def test_a_new_result_takes_the_place_of_the_old_one_until_it_is_withdrawn(
    hospital: Hospital, pacs: Pacs, tmp_path: Path
) -> None:
    empty(pacs)
    target = web(pacs)
    assert send(hospital, target) == [2, 0]
    before = set(held(pacs))
    hospital.set_threshold("second", 0.8)  # the second study is not flagged any more: it is told so
    assert send(hospital, target) == [2, 0]
    assert (
        hospital.states(target.address) == [("sr", "published", None)] * 2 + [("sr", "superseded", None)] * 2
    )
    newer = [each for key, each in held(pacs).items() if key not in before]
    named = {
        item.ReferencedSOPInstanceUID
        for each in newer
        for item in each.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    }
    assert named == before
    assert sorted(stated(each)[2] for each in newer) == ["No", "Yes"]
    with hospital.opened() as archive:
        withdrawn = retract(Withdrawal(hospital.store, archive, target.address, target, None), "all")
    assert (withdrawn.n_retracted, withdrawn.n_objects, withdrawn.n_left) == (2, 4, 0)
    notes = [each for each in held(pacs).values() if each.Modality == "KO"]
    for note in notes:
        assert note.ConceptNameCodeSequence[0].CodeMeaning == "Rejected for Quality Reasons"
        note.save_as(tmp_path / "note.dcm", enforce_file_format=True)
        assert errors_of(tmp_path / "note.dcm") == []
    rejected = {
        item.ReferencedSOPInstanceUID
        for note in notes
        for series in note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert rejected == before | {str(each.SOPInstanceUID) for each in newer}
    assert send(hospital, target) == [0, 0]  # what was withdrawn stays so
    assert {state for _, state, _ in hospital.states(target.address)} == {"published", "retracted"}


@pytest.mark.parametrize("protocol", ["dicomweb", "dimse"])
def test_patient_and_study_come_from_a_pacs_too(
    hospital: Hospital, pacs: Pacs, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the archive itself is a PACS: the same header as from the file, the Chinese name included."""
    empty(pacs)
    pacs.fill(hospital.archive / "12")
    monkeypatch.setenv("OVF_PACS_USER", "ovf")
    monkeypatch.setenv("OVF_PACS_PASSWORD", "s3cret")
    source = open_pacs(getattr(pacs, protocol), read_settings())
    with hospital.opened() as archive, contextlib.closing(source):
        study = archive.index.instances_of(str(uid("study", 12)))
        here, there = (any_series(study, each, "PID0012").header for each in (archive.source, source))
    for keyword in (
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
    ):
        assert str(there[keyword].value) == str(here[keyword].value), keyword


class DiesAfterSending:
    """The real target of a process that is killed before it hears the answer."""

    def __init__(self, inner: Target) -> None:
        self.inner, self.address = inner, inner.address

    def send(self, objects: Sequence[Dataset]) -> list[Answer]:
        assert all(answer.is_stored for answer in self.inner.send(objects))
        raise KeyboardInterrupt

    def close(self) -> None:
        self.inner.close()


def test_a_killed_run_and_a_pacs_that_is_away_leave_no_doubles(hospital: Hospital, pacs: Pacs) -> None:
    """Never "published" before the answer; every failure is a row, and the next run ends as an undisturbed one."""
    empty(pacs)
    target = web(pacs)
    with pytest.raises(KeyboardInterrupt):
        send(hospital, DiesAfterSending(target))
    assert hospital.states(target.address) == [("sr", "sending", None)] * 2
    sent = set(held(pacs))
    assert len(sent) == 1
    stranger = StowTarget(pacs.dicomweb, session_of(Login("ovf", "guess")))
    assert send(hospital, stranger) == [0, 2]
    assert hospital.states(target.address) == [("sr", "failed", "refused")] * 2
    pacs.stop()
    assert send(hospital, target) == [0, 2]
    assert hospital.states(target.address) == [("sr", "failed", "unreachable")] * 2
    pacs.start()
    assert send(hospital, target) == [2, 0]
    assert hospital.states(target.address) == [("sr", "published", None)] * 2
    assert len(held(pacs)) == 2
    assert sent < set(held(pacs))


def test_the_command(
    hospital: Hospital, pacs: Pacs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused for a model of simulated scans; a dry run writes and sends nothing; then sent, and withdrawn by key."""
    empty(pacs)
    given = ["--warehouse", str(hospital.store.paths.warehouse), "--model", MODEL.model_id]
    out = tmp_path / "objects"
    publish_verb = ["publish", str(hospital.archive)]
    assert run([*publish_verb, "--dry-run", "--out", str(out), *given]) == 13
    assert "test system" in capsys.readouterr().err
    assert (
        run([*publish_verb, "--dry-run", "--no-pictures", "--out", str(out), "--test-system", "LAB", *given])
        == 0
    )
    files = sorted(out.rglob("*.dcm"))
    assert sorted(path.name for path in files) == ["sr.dcm", "sr.dcm"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (held(pacs), hospital.states("")) == ({}, [])
    login = tmp_path / "login"
    login.touch(mode=0o600)
    login.write_text("ovf:s3cret")
    to = ["--to", pacs.dicomweb, "--credentials", str(login), *given]
    assert run([*publish_verb, *to, "--no-pictures", "--test-system", "LAB"]) == 0
    assert "2 published" in capsys.readouterr().out
    with hospital.store.read_live() as connection:
        rows = connection.execute(
            "SELECT patient_key FROM publication JOIN study USING (study_key)"
        ).fetchall()
    patients = sorted({row[0] for row in rows})
    assert run([*publish_verb, *to, "--retract", patients[0]]) == 0
    forget = ["forget", "--yes", *given[:2], "--patient-key"]
    assert [run([*forget, patient]) for patient in patients] == [0, 2]  # one still lies in the PACS
    assert run([*publish_verb, *to, "--retract", "nobody"]) == 10
    capsys.readouterr()
    assert run([*publish_verb, *to, "--test-system", "LAB"]) == 0
    printed = capsys.readouterr()
    assert "0 published" in printed.out
    assert not [word for word in ("PID0", "s3cret", "2.25.") if word in printed.out + printed.err]
    assert sorted(each.Modality for each in held(pacs).values()) == ["KO", "SR", "SR"]
