"""The command as its users call it: a small simulated hospital, an untrained model, one Prefect server for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ovf_command import Command, save_untrained

from flows.prefect_server import prefect_api
from phantom.hospital import make_hospital


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that the command scores with here."""
    return save_untrained(tmp_path_factory.mktemp("model"), "untrained", seed=0)


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated hospital of three patients."""
    folder = tmp_path_factory.mktemp("hospital") / "demo"
    make_hospital(folder, patients=3, seed=3, columns=128)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the command: one Prefect server of our own for the whole session.

    One worker unless a test asks for more: a worker takes seconds to start, and these archives are small.
    """
    with prefect_api(tmp_path_factory.mktemp("prefect")) as url:
        yield {**os.environ, "PREFECT_API_URL": url, "OVF_PROGRESS": "plain", "OVF_WORKERS": "1"}


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    untrained_model: Path,
    hospital: Path,
) -> Path:
    """The warehouse of one undisturbed sweep of the hospital; to be compared with, never written to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = Command({**environment, "OVF_MODEL": str(untrained_model)}, folder)
    command("sweep", hospital / "archive", "--warehouse", folder / "w.duckdb", "--workers", 2)
    return folder / "w.duckdb"


@pytest.fixture
def ovf(environment: dict[str, str], tmp_path: Path, untrained_model: Path) -> Command:
    """The command, scoring with the untrained model unless told otherwise."""
    return Command({**environment, "OVF_MODEL": str(untrained_model)}, tmp_path)
