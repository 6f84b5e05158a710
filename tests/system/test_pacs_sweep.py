"""`ovf sweep` of a real PACS: the same table as the sweep of the same hospital as a folder, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from ovf_command import Command
from pacs_proxy import proxy
from pacs_server import CALLING_AET, Pacs, orthanc
from support import conserved_levels, warehouse_under_the_key_of

pytestmark = pytest.mark.slow

# What ended how, and what was measured; equal whichever way the images came. Not the
# revisions and the decoders that were asked about: the transfer syntax of what was never fetched is not known.
SAME = (
    "SELECT study_key, patient_key, study_date, age_years, sex, n_series FROM study ORDER BY ALL",
    "SELECT study_key, outcome, reason, series_key FROM study_outcome ORDER BY ALL",
    "SELECT series_key, outcome, reason FROM series_outcome ORDER BY ALL",
    "SELECT series_key, outcome, reason, rank, flags, n_checks_passed FROM selection ORDER BY ALL",
    "SELECT series_key, logit, n_slices, slice_logits, slice_features FROM score ORDER BY ALL",
    "SELECT series_key, probability, is_flagged FROM flagged ORDER BY ALL",
)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, hospital: Path) -> Iterator[Pacs]:
    """The simulated hospital's PACS."""
    with orthanc(tmp_path_factory.mktemp("pacs")) as server:
        server.fill(hospital / "archive")
        yield server


def rows(warehouse: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def assert_same_as_folder(warehouse: Path, undisturbed: Path) -> None:
    for sql in SAME:
        assert rows(warehouse, sql) == rows(undisturbed, sql), sql


def quick(ovf: Command) -> Command:
    """The command with a rate that tests need."""
    return Command({**ovf.environment, "OVF_PACS_RATE": "1000", "OVF_PACS_TRIES": "2"}, ovf.folder)


def test_T48_dicomweb_gives_the_folders_table_after_a_series_that_did_not_come(
    ovf: Command, pacs: Pacs, undisturbed: Path, tmp_path: Path
) -> None:
    warehouse = warehouse_under_the_key_of(undisturbed, tmp_path / "web")
    secret = tmp_path / "credentials"
    secret.write_text("ovf:sesame-open")
    secret.chmod(0o600)
    poison = _chosen_series(undisturbed)
    with proxy(pacs.http_port) as between:
        address = f"dicomweb+http://127.0.0.1:{between.port}/dicom-web"
        options = ("--warehouse", warehouse, "--credentials", secret)
        between.poison = f"/series/{poison}".encode()
        failed = quick(ovf)("sweep", address, *options, expect=20)
        levels = conserved_levels(failed.stdout)
        assert (levels["studies"]["failed"], levels["studies"]["scored"]) == (
            1,
            levels["studies"]["found"] - 1,
        )
        rejected = rows(warehouse, "SELECT stage, outcome, reason FROM rejection")
        assert rejected == [("fetch", "failed", "pacs_pull")]
        between.poison = None
        done = quick(ovf)("sweep", address, *options)
    assert conserved_levels(done.stdout)["studies"]["failed"] == 0
    assert_same_as_folder(warehouse, undisturbed)
    said = failed.stdout + failed.stderr + done.stdout + done.stderr
    assert poison not in said
    for path in warehouse.parent.rglob("*"):
        if path.is_file():
            assert b"sesame-open" not in path.read_bytes(), path
    assert not list(warehouse.parent.glob("spool/*/*"))  # nothing fetched is left


@pytest.mark.long
def test_T48_dimse_gives_the_folders_table_though_the_pacs_was_killed_in_the_middle(
    ovf: Command, pacs: Pacs, undisturbed: Path, tmp_path: Path
) -> None:
    warehouse = warehouse_under_the_key_of(undisturbed, tmp_path / "dimse")
    options = ("--warehouse", warehouse, "--calling", CALLING_AET)
    with quick(ovf).started("sweep", pacs.dimse, *options) as sweep:
        while not list(warehouse.parent.glob("spool/*/*/*/*.dcm")):
            assert sweep.poll() is None
            time.sleep(0.02)
        pacs.kill()
        time.sleep(1.0)
        pacs.start()
        assert sweep.wait(250) == 0
    assert_same_as_folder(warehouse, undisturbed)


def _chosen_series(warehouse: Path) -> str:
    """SeriesInstanceUID of one series that was scored."""
    key = rows(warehouse, "SELECT series_key FROM score ORDER BY series_key")[0][0]
    with duckdb.connect(str(warehouse.parent / "identity.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "SELECT series_instance_uid FROM series_identity WHERE series_key = ?", [key]
        )
        return str(found.fetchall()[0][0])


def test_addresses_and_doors_that_are_wrong_say_so(ovf: Command, pacs: Pacs, tmp_path: Path) -> None:
    open_file = tmp_path / "open"
    open_file.write_text("ovf:secret")
    open_file.chmod(0o644)
    at_once = {  # before anything is started
        ("dicomweb+http://ovf:secret@127.0.0.1/dicom-web",): "--credentials",
        (pacs.dicomweb, "--credentials", open_file): "chmod 600",
        (pacs.dicomweb, "--pacs-window", "22-6"): "HH:MM-HH:MM",
        ("ftp://127.0.0.1",): "dicomweb+http",
    }
    for words, said in at_once.items():
        assert said in ovf.inside("sweep", *words, expect=10).stderr
    nowhere = pacs.dicomweb.replace("/dicom-web", "/nothing")
    assert "http_404" in ovf("sweep", nowhere, expect=11).stderr
