"""`make nightly-demo`: a PACS, a scheduled night through a Prefect worker, results back in the PACS, a second night.

Debian's Orthanc on loopback is filled with a small simulated hospital. The deployment `nightly-screening` of
prefect.yaml is scheduled for the next minute and runs through a real worker; its results go back as SR and picture.
Then one more patient arrives, and the second night finds that one only. All that it starts has ended when it returns.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pydicom
from local_pacs import Pacs, dicom_files, is_orthanc_there
from local_prefect import ROOT, LocalPrefect, deployments, local_prefect

from phantom.hospital import make_hospital

NIGHT = "nightly-screening"
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
SCHEDULED_WITHIN_S = 300.0


@dataclass(frozen=True)
class Demo:
    """What the demo works with."""

    folder: Path
    pacs: Pacs
    model: str | None

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse" / "warehouse.duckdb"

    def changes(self) -> dict[str, Any]:
        """Parameters of the deployment here."""
        now = dt.datetime.now(dt.UTC)
        window = f"{now - dt.timedelta(hours=1):%H:%M}-{now + dt.timedelta(hours=6):%H:%M}"
        options: dict[str, Any] = {"warehouse": str(self.warehouse)}
        if self.model:
            options["model"] = self.model
        night = {"window": window, "timezone": "UTC"}
        return {"archive": self.pacs.dicomweb, "options": options, "night": night}

    def count(self, what: str) -> Any:
        """One value of the published copy."""
        path = self.folder / "warehouse" / "published" / "warehouse.duckdb"
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute(f"SELECT {what}").fetchone()
        return row[0] if row else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("nightly-demo"), help="for everything that is written"
    )
    parser.add_argument("--patients", type=int, default=3)
    parser.add_argument("--model", help="id or folder of a model; the shipped one unless given")
    given = parser.parse_args()
    if not is_orthanc_there():
        print("No PACS on this machine: apt-get install orthanc orthanc-dicomweb", file=sys.stderr)
        return 1
    folder = given.folder.absolute()
    is_folder = given.model is not None and Path(given.model).exists()
    model = str(Path(given.model).absolute()) if is_folder else given.model
    if folder.exists():
        print(f"{given.folder} is there already: remove it, or name another --folder", file=sys.stderr)
        return 2
    make_hospital(folder / "hospital", patients=given.patients, seed=3, columns=128)
    pacs = Pacs(folder / "pacs")
    pacs.start()
    try:
        with local_prefect(folder / "prefect", OVF_PROGRESS="plain") as prefect:
            show(Demo(folder, pacs, model), prefect)
    finally:
        pacs.stop()
    print("PACS, server and worker have ended.")
    return 0


def show(demo: Demo, prefect: LocalPrefect) -> None:
    """Both nights. AssertionError when one does not do what it should."""
    first, late = split_by_patient(demo.folder / "hospital" / "archive")
    send(demo.pacs, first)
    say(f"PACS {demo.pacs.dicomweb} holds {len(demo.pacs.find('Study'))} studies")
    run = scheduled_night(demo, prefect)
    ended(prefect, run)
    n_found = demo.count("n_new FROM night")
    say(f"First night: {n_found} new studies, {demo.count('n_scored FROM night')} scored. {page(demo)}")
    print(prefect.artifact("ovf-night"))
    publish(demo)
    send(demo.pacs, late)
    say("One more patient arrived.")
    ended(prefect, prefect.start(f"{NIGHT}/{NIGHT}"))
    n_new = demo.count("arg_max(n_new, arrived_until) FROM night")
    n_late = len({dataset.StudyInstanceUID for dataset in late})
    say(f"Second night: {n_new} new studies of {n_late} that arrived. {page(demo)}")
    assert n_new == n_late, "the second night must find what is new, and only that"


def split_by_patient(archive: Path) -> tuple[list[pydicom.Dataset], list[pydicom.Dataset]]:
    """The instances of all patients but the last; and those of the last, examined today."""
    datasets = list(readable(archive))
    last = max(dataset.PatientID for dataset in datasets if "PatientID" in dataset)
    late = [dataset for dataset in datasets if dataset.get("PatientID") == last]
    for dataset in late:
        for keyword in DATES:
            if keyword in dataset:
                setattr(dataset, keyword, f"{dt.datetime.now(dt.UTC):%Y%m%d}")
    return [dataset for dataset in datasets if dataset.get("PatientID") != last], late


def readable(archive: Path) -> Iterator[pydicom.Dataset]:
    """The instances that a PACS would take; a hospital's archive also holds damaged ones."""
    for content in dicom_files(archive):
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
        except (pydicom.errors.InvalidDicomError, EOFError, ValueError):
            continue
        if dataset.get("StudyInstanceUID") and dataset.get("SOPInstanceUID"):
            yield dataset


def send(pacs: Pacs, datasets: list[pydicom.Dataset]) -> None:
    """What the PACS refuses is no part of it."""
    with pacs.client() as client:
        for dataset in datasets:
            content = io.BytesIO()
            dataset.save_as(content)
            client.post("/instances", content=content.getvalue())


def scheduled_night(demo: Demo, prefect: LocalPrefect) -> str:
    """Deploy the night with a cron schedule for the next minute but one; returns its run once it has begun."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    document = deployments(demo.changes(), (NIGHT,))
    document["deployments"][0]["schedules"] = [{"cron": f"{at.minute} {at.hour} * * *", "timezone": "UTC"}]
    prefect.deploy(document)
    say(f"Deployed; the night is scheduled for {at:%H:%M} UTC.")
    deadline = time.monotonic() + SCHEDULED_WITHIN_S
    while not (begun := prefect.runs(NIGHT)):
        assert time.monotonic() < deadline, (
            "the schedule started no run: read prefect/server.log and worker.log"
        )
        time.sleep(1)
    say("The scheduled night has begun.")
    return str(begun[0]["id"])


def ended(prefect: LocalPrefect, run: str) -> None:
    """Wait for a night. AssertionError with the end of the worker's log when it failed."""
    state = prefect.wait(run)
    log = (prefect.folder / "worker.log").read_text(errors="replace")
    assert state == "COMPLETED", f"the night ended as {state}:\n{log[-3000:]}"


def publish(demo: Demo) -> None:
    """Results back into the PACS, as SR and picture."""
    arguments = ["publish", demo.pacs.dicomweb, "--to", demo.pacs.dicomweb, "--test-system", "nightly-demo"]
    arguments += ["--warehouse", str(demo.warehouse), "--all-scored"]
    scored_by = {"OVF_MODEL": demo.model} if demo.model else {}  # for the heat maps
    command = [sys.executable, "-m", "flows.cli", *arguments]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **scored_by}, check=True)
    say(f"The PACS holds {len(demo.pacs.find('Series', Modality='SR'))} structured reports.")


def page(demo: Demo) -> str:
    return f"Morning page: {demo.warehouse.parent / 'nights' / 'index.html'}"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
