"""A real PACS as an archive: what is found, chosen and fetched, by both protocols, in good days and bad ones."""

from __future__ import annotations

import datetime as dt
import gc
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from factory import make_ct_series, uid
from fault_sweep import KEYS
from pacs_proxy import proxy
from pacs_server import AET, CALLING_AET, Pacs, orthanc

from flows.prefect_server import free_port
from tasks.crawl import crawl, read_here
from tasks.index import Index
from tasks.instance import Instance, StudyInstances
from tasks.profile import LENIENT, Cohort
from tasks.pull import Pull, Pulled, Spool, pull_study
from tasks.select import StudySelection, select_study
from tasks.series import group_series
from tasks.sources import open_source
from tasks.sources.courtesy import Courtesy, Manners
from tasks.sources.dicomweb import DicomwebPacs
from tasks.sources.dimse import DimseAddress, DimsePacs
from tasks.sources.pacs import PacsSource, Scope
from tasks.sources.pacs_client import Login, NoAnswer, PacsClient, PacsError, Refused, Span

# pynetdicom leaves a socket to the garbage collector when its peer has gone before (`_shutdown_socket`).
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]

TODAY = dt.date(2026, 11, 28)
STUDIES = ("one", "two", "three")
FAST = Manners(rate_per_s=1000.0, tries=3, patience_s=30.0)


def _fill(folder: Path) -> Path:
    """Three studies: several series to choose from, one series, and one that is left out."""
    common = {"columns": 64, "rows": 64, "pixel_spacing_mm": (6.0, 6.0)}
    for day, study in enumerate(STUDIES, start=10):
        ids = {
            "StudyInstanceUID": uid(study),
            "PatientID": study,
            "StudyDate": f"202401{day}",
            "StudyTime": "101010",
        }
        more = {**common, **ids, "SeriesDescription": "腹部", "SpecificCharacterSet": "ISO_IR 192"}
        thin = {"SeriesInstanceUID": uid(study, "thin"), "ConvolutionKernel": "B30f", "SliceThickness": 2.0}
        thick = {"SeriesInstanceUID": uid(study, "thick"), "ConvolutionKernel": "B30f", "SliceThickness": 5.0}
        if study != "three":
            make_ct_series(folder / study / "thin", 40, seed=day, slice_spacing_mm=2.0, **more, **thin)
        if study != "two":
            make_ct_series(folder / study / "thick", 20, seed=day + 50, slice_spacing_mm=5.0, **more, **thick)
        if study == "three":
            make_ct_series(
                folder / study / "scout",
                1,
                seed=day + 90,
                **{**more, "SeriesInstanceUID": uid(study, "scout")},
                ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
            )
    return folder


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Such sockets are collected here, where they are expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fill(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Pacs]:
    """One PACS for the module; it answers with two studies at most, so that ranges are halved."""
    with orthanc(tmp_path_factory.mktemp("pacs"), LimitFindResults=2) as pacs:
        pacs.fill(archive)
        yield pacs


@pytest.fixture
def pacs(server: Pacs, archive: Path) -> Pacs:
    """The module's PACS, in its first state."""
    if server.process is None or server.process.poll() is not None:
        server.start()
    return server


def client_of(pacs: Pacs, protocol: str, port: int | None = None, **more: Any) -> PacsClient:
    if protocol == "dicomweb":
        return DicomwebPacs(f"http://127.0.0.1:{port or pacs.http_port}/dicom-web", Login(), 20.0, **more)
    is_move = protocol == "dimse-move"
    address = DimseAddress(
        "127.0.0.1",
        port or pacs.dicom_port,
        AET,
        CALLING_AET,
        "127.0.0.1",
        pacs.receiver_port if is_move else None,
    )
    found = DimsePacs(address, Login(), 20.0, **more)
    found._is_get_refused = is_move  # as after a PACS has refused C-GET
    return found


@dataclass
class Swept:
    """What one crawl and its pulls ended with."""

    pulled: dict[str, Pulled] = field(
        default_factory=dict
    )  # by study UID, of those that had something to fetch
    told: dict[str, StudySelection] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)  # study UID → contents of what was fetched
    problems: list[tuple[str, str, int]] = field(default_factory=list)

    def chosen(self) -> dict[str, str | None]:
        """Study UID → key of the series that can be scored."""
        return {
            u: p.selection.plans[0].series_key if p.selection.plans else None for u, p in self.pulled.items()
        }


def select(study: StudyInstances) -> StudySelection:
    return select_study(
        group_series(study),
        study=study,
        keys=KEYS,
        profile=LENIENT,
        cohort=Cohort(),
        archive_key="archive",
        site="site",
        run_id="run",
    )


def decided(selections: dict[str, StudySelection]) -> dict[str, list[tuple[object, ...]]]:
    """What was decided of each series, by study."""
    return {
        u: sorted((s.series_key, s.outcome, s.reason or "", s.rank or 0) for s in selection.selections)
        for u, selection in selections.items()
    }


def sweep(client: PacsClient, folder: Path, manners: Manners = FAST, **scope: Any) -> Swept:
    """Crawl, select and fetch; the index and the spool lie in `folder`."""
    swept, scope = Swept(), {"most_answers": 2, **scope}
    source = PacsSource(client, Courtesy(manners), Scope(**scope), TODAY, salt=str(time.monotonic_ns()))
    try:
        with Index(folder / "index") as index:
            list(crawl(source, index, read_batch=source.read, batch_files=4, in_flight=4, stable_s=0))
            swept.problems = index.file_counts()
            spool = Spool(folder / "spool", 1 << 30)
            for ticket in (each for batch in index.studies() for each in batch):
                _pull(ticket.study_instance_uid, index, source, spool, swept)
    finally:
        source.close()
    return swept


def _pull(study_uid: str, index: Index, source: PacsSource, spool: Spool, swept: Swept) -> None:
    study = index.instances_of(study_uid)
    selection = swept.told[study_uid] = select(study)
    if not selection.plans:
        return
    pulled = swept.pulled[study_uid] = pull_study(Pull(study, selection, frozenset()), source, spool, select)
    fetched = [each for files in pulled.pull.files.values() for each in files if isinstance(each, Instance)]
    swept.files[study_uid] = sorted(each.sop_instance_uid for each in fetched)
    spool.release(pulled.pull.key)


@pytest.fixture(scope="module")
def by_folder(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StudySelection]:
    """What selection decides of the same files in a folder."""
    source = open_source(str(archive))
    with Index(tmp_path_factory.mktemp("folder") / "index") as index:
        list(crawl(source, index, read_batch=read_here(source), stable_s=0))
        uids = [each.study_instance_uid for batch in index.studies() for each in batch]
        return {each: select(index.instances_of(each)) for each in uids}


@pytest.mark.parametrize("protocol", ["dicomweb", "dimse-get", "dimse-move"])
def test_a_pacs_gives_what_the_folder_gives_and_sends_only_the_chosen_series(
    protocol: str, pacs: Pacs, by_folder: dict[str, StudySelection], tmp_path: Path
) -> None:
    swept = sweep(client_of(pacs, protocol), tmp_path)
    assert swept.problems == []
    assert decided(swept.told) == decided(by_folder)
    assert decided({u: p.selection for u, p in swept.pulled.items()}) == decided(by_folder)
    chosen = {u: selection.plans[0] for u, selection in by_folder.items()}
    assert swept.chosen() == {u: plan.series_key for u, plan in chosen.items()}
    assert {u: len(files) for u, files in swept.files.items()} == {
        u: len(p.slices) for u, p in chosen.items()
    }
    for study_uid, pulled in swept.pulled.items():
        told, plan = swept.told[study_uid], pulled.selection.plans[0]
        assert pulled.selection.study.study_revision == told.study.study_revision
        assert plan.series_revision == told.plans[0].series_revision
        assert [s.position_mm for s in plan.slices] == [s.position_mm for s in chosen[study_uid].slices]
        assert plan.transfer_syntax_uids == chosen[study_uid].transfer_syntax_uids


@pytest.mark.long
def test_a_pacs_that_tells_little_of_an_image_is_asked_for_its_files(
    pacs: Pacs, by_folder: dict[str, StudySelection], tmp_path: Path
) -> None:
    pacs.stop()
    pacs.options["StorageAccessOnFind"] = "Never"  # answers from its database alone, as most do
    try:
        pacs.start()
        swept = sweep(client_of(pacs, "dimse-get"), tmp_path)
    finally:
        pacs.stop()
        del pacs.options["StorageAccessOnFind"]
    assert decided(swept.told) == decided(by_folder)
    assert swept.chosen() == {u: selection.plans[0].series_key for u, selection in by_folder.items()}


@pytest.mark.parametrize("protocol", ["dicomweb", "dimse-get"])
def test_T48_a_connection_that_is_cut_or_slow_is_taken_up_again(
    protocol: str, pacs: Pacs, by_folder: dict[str, StudySelection], tmp_path: Path
) -> None:
    with proxy(pacs.http_port if protocol == "dicomweb" else pacs.dicom_port) as between:
        between.delay_s = 0.002
        # over HTTP in the middle of a series; over DIMSE, where each image is answered, in the middle of an image
        between.cut(after_bytes=150_000 if protocol == "dicomweb" else 7_000, times=2)
        swept = sweep(client_of(pacs, protocol, between.port), tmp_path)
        assert between._cuts_left == 0
    assert not [pulled.reason for pulled in swept.pulled.values() if pulled.reason]
    assert decided({u: p.selection for u, p in swept.pulled.items()}) == decided(by_folder)
    assert {u: len(files) for u, files in swept.files.items()} == {
        u: len(selection.plans[0].slices) for u, selection in by_folder.items()
    }


def test_T48_a_series_that_never_comes_fails_alone(pacs: Pacs, tmp_path: Path) -> None:
    with proxy(pacs.http_port) as between:
        between.poison = f"/series/{uid('one', 'thin')}".encode()
        swept = sweep(client_of(pacs, "dicomweb", between.port), tmp_path)
    failed = swept.pulled[uid("one")]
    assert (failed.reason, failed.selection.plans) == ("pacs_pull", [])
    assert failed.failed is not None
    assert failed.failed.series_key == KEYS.series_key(uid("one", "thin"))  # and no other series in its place
    assert all(swept.pulled[uid(name)].selection.plans for name in ("two", "three"))


def test_T48_a_pacs_that_goes_and_comes_back_is_waited_for(pacs: Pacs, tmp_path: Path) -> None:
    with proxy(pacs.dicom_port) as between, ThreadPoolExecutor(1) as beside:
        between.delay_s = 0.005  # so that there is a middle
        sweeping = beside.submit(sweep, client_of(pacs, "dimse-get", between.port), tmp_path)
        while not list(tmp_path.glob("spool/*/*/*.dcm")) and not sweeping.done():
            time.sleep(0.005)
        pacs.kill()
        time.sleep(1.0)
        pacs.start()
        swept = sweeping.result(120)
    assert not [pulled.reason for pulled in swept.pulled.values() if pulled.reason]
    assert all(pulled.selection.plans for pulled in swept.pulled.values())


def test_T48_a_pacs_that_stays_away_leaves_failed_rows_and_forgets_nothing(
    pacs: Pacs, tmp_path: Path
) -> None:
    sweep(client_of(pacs, "dicomweb"), tmp_path)
    pacs.stop()
    try:
        short = Manners(rate_per_s=1000.0, tries=2, patience_s=1.0)
        swept = sweep(client_of(pacs, "dicomweb"), tmp_path, short)
    finally:
        pacs.start()
    assert swept.problems == [("failed", "pacs_unreachable", 1)]
    assert set(swept.told) == {uid(name) for name in STUDIES}  # what is known stands
    assert {pulled.reason for pulled in swept.pulled.values()} == {"pacs_unreachable"}
    assert sweep(client_of(pacs, "dicomweb"), tmp_path).problems == []


def test_T49_what_changes_in_the_pacs_changes_here(archive: Path, tmp_path: Path) -> None:
    """A late series, a corrected one under its old UIDs, a deleted series and a deleted study."""
    with orthanc(tmp_path / "pacs") as pacs:
        pacs.fill(archive)
        client = lambda: client_of(pacs, "dicomweb")  # noqa: E731 - a new one each time: a sweep closes it
        before = sweep(client(), tmp_path)
        again = sweep(client(), tmp_path)
        assert decided(again.told) == decided(before.told)
        late = tmp_path / "late"
        same = {
            "StudyInstanceUID": uid("two"),
            "PatientID": "two",
            "StudyDate": "20240111",
            "StudyTime": "101010",
        }
        make_ct_series(late, 40, seed=7, slice_spacing_mm=1.0, **same, SeriesInstanceUID=uid("late"))
        thin = {"SeriesInstanceUID": uid("one", "thin"), "SliceThickness": 2.5}  # was 2.0: corrected
        ids = {
            "StudyInstanceUID": uid("one"),
            "PatientID": "one",
            "StudyDate": "20240110",
            "StudyTime": "101010",
        }
        make_ct_series(late / "corrected", 40, seed=10, slice_spacing_mm=2.0, **ids, **thin)
        pacs.fill(late)
        pacs.delete("Series", SeriesInstanceUID=uid("one", "thick"))
        pacs.delete("Study", StudyInstanceUID=uid("three"))
        elsewhere = sweep(client(), tmp_path, span=Span(dt.date(2025, 1, 1), None))
        assert decided(elsewhere.told) == decided(before.told)  # outside of what was asked nothing is gone
        after = sweep(client(), tmp_path, recheck_days=100_000)
    assert set(after.told) == {uid("one"), uid("two")}
    revisions = {u: {s.series_key: s.series_revision for s in each.series} for u, each in after.told.items()}
    was = {u: {s.series_key: s.series_revision for s in each.series} for u, each in before.told.items()}
    thin_key, late_key = KEYS.series_key(uid("one", "thin")), KEYS.series_key(uid("late"))
    assert list(revisions[uid("one")]) == [thin_key]
    assert revisions[uid("one")][thin_key] != was[uid("one")][thin_key]
    assert late_key in revisions[uid("two")]
    two_thin = KEYS.series_key(uid("two", "thin"))
    assert revisions[uid("two")][two_thin] == was[uid("two")][two_thin]  # untouched: not scored again


def test_users_and_certificates_open_the_door_and_nothing_else_does(tmp_path: Path) -> None:
    """TLS ends in a proxy here: Debian's Orthanc 1.10.1 dies of any HTTPS connection."""
    key, certificate = _certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    users: dict[str, Any] = {"AuthenticationEnabled": True, "RegisteredUsers": {"ovf": "secret"}}
    good = Login("ovf", "secret", None, certificate, certificate, key)
    assert "secret" not in repr(good)
    with orthanc(tmp_path / "pacs", **users) as pacs:
        with proxy(pacs.http_port, tls) as web:
            url = f"https://localhost:{web.port}/dicom-web"
            DicomwebPacs(url, good).echo()
            with pytest.raises(Refused, match="http_401"):
                DicomwebPacs(url, replace(good, password="wrong")).echo()
            with pytest.raises(Refused, match="tls"):
                DicomwebPacs(url, Login("ovf", "secret")).echo()  # nobody we trust signed its certificate
        with proxy(pacs.dicom_port, tls) as dicom:
            address = DimseAddress("localhost", dicom.port, AET, CALLING_AET, is_secure=True)
            secure = DimsePacs(address, good, 10.0)
            secure.echo()
            secure.close()
            with pytest.raises(PacsError):
                DimsePacs(address, Login(), 5.0).echo()
    with pytest.raises(NoAnswer):
        DimsePacs(DimseAddress("localhost", free_port(), AET, CALLING_AET), Login(), 5.0).echo()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    extension = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True)
    return key, certificate
