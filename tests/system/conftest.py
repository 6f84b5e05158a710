"""The command as its users call it: a small simulated hospital, an untrained model, one Prefect server for all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ovf_command import PRINTED, Command, save_untrained

from flows.prefect_server import prefect_api
from phantom.hospital import make_hospital


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all processes of this run of tests share: the first that asks makes it, the others wait."""
    is_one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    root = factory.getbasetemp().parent if is_one_of_many else factory.getbasetemp()
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that the command scores with here."""
    return made_once(tmp_path_factory, "model", lambda folder: save_untrained(folder, "untrained", seed=0))


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated hospital of three patients; to be read, never written to."""
    return (
        made_once(
            tmp_path_factory,
            "hospital",
            lambda folder: make_hospital(folder / "demo", patients=3, seed=3, columns=128),
        )
        / "demo"
    )


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a Prefect server leaves, to be copied: a first start makes the database, which takes ten seconds."""

    def start_once(folder: Path) -> None:
        with prefect_api(folder):
            pass

    return made_once(tmp_path_factory, "prefect-home", start_once)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[dict[str, str]]:
    """The environment of the command: one Prefect server of our own for the whole session.

    One worker unless a test asks for more: a worker takes seconds to start, and these archives are small.
    """
    home = shutil.copytree(prefect_home, tmp_path_factory.mktemp("prefect"), dirs_exist_ok=True)
    with prefect_api(home) as url:
        yield {**os.environ, "PREFECT_API_URL": url, "OVF_PROGRESS": "plain", "OVF_WORKERS": "1"}


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    untrained_model: Path,
    hospital: Path,
) -> Path:
    """The warehouse of one undisturbed sweep of the hospital; to be compared with and copied, never written to.

    What the sweep printed lies beside it.
    """

    def sweep(folder: Path) -> None:
        command = Command({**environment, "OVF_MODEL": str(untrained_model)}, folder)
        done = command("sweep", hospital / "archive", "--warehouse", folder / "w.duckdb", "--workers", 2)
        (folder / PRINTED).write_text(done.stdout)

    return made_once(tmp_path_factory, "undisturbed", sweep) / "w.duckdb"


@pytest.fixture
def ovf(environment: dict[str, str], tmp_path: Path, untrained_model: Path) -> Command:
    """The command, scoring with the untrained model unless told otherwise."""
    return Command({**environment, "OVF_MODEL": str(untrained_model)}, tmp_path)
