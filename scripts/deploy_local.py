"""`make deploy-local`: Prefect on loopback with login, the deployments of prefect.yaml, and one run of the sweep.

Everything that it starts has ended when it returns. `--keep` holds it up until Ctrl-C, for a look around.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from local_prefect import deployments, local_prefect

from phantom.hospital import make_hospital

ALL = ("archive-sweep", "nightly-screening", "monthly-audit", "rescore")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--archive", type=Path, help="a folder to sweep; a small simulated hospital unless given"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("deploy-local"), help="for everything that is written"
    )
    parser.add_argument("--model", help="id or folder of a model")
    parser.add_argument("--patients", type=int, default=2, help="of the simulated hospital")
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    given = parser.parse_args()
    folder = given.folder.absolute()
    archive = (given.archive or _hospital(folder, given.patients)).absolute()
    options = {"warehouse": str(folder / "warehouse" / "warehouse.duckdb")}
    if given.model:
        options["model"] = str(Path(given.model).absolute()) if Path(given.model).exists() else given.model
    changes = {"archive": str(archive), "options": options, "warehouse": options["warehouse"]}
    with local_prefect(folder / "prefect", OVF_PROGRESS="plain") as prefect:
        prefect.deploy(deployments({**changes, "out": str(folder / "audits")}, ALL))
        print(f"Prefect: {prefect.url}  login {prefect.login}", flush=True)
        run = prefect.start("archive-sweep/archive-sweep")
        print("archive-sweep runs through a Prefect worker ...", flush=True)
        state = prefect.wait(run)
        print(f"archive-sweep: {state}; results in {options['warehouse']}", flush=True)
        if given.keep:
            print("Ctrl-C ends it.", flush=True)
            _wait_for_interrupt()
    print("Server and worker have ended.")
    return 0 if state == "COMPLETED" else 1


def _hospital(folder: Path, patients: int) -> Path:
    hospital = folder / "hospital"
    if not (hospital / "truth_vertebrae.csv").exists():  # written last
        make_hospital(hospital, patients=patients, seed=1)
    return hospital / "archive"


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
