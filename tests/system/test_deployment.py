"""prefect.yaml deploys against a real Prefect server, and names a flow that exists."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _prefect(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_prefect_yaml_deploys_the_sweep(environment: dict[str, str]) -> None:
    _prefect(environment, "work-pool", "create", "ovf", "--type", "process", "--overwrite")
    _prefect(environment, "deploy", "--all")
    request = urllib.request.Request(
        f"{environment['PREFECT_API_URL']}/deployments/filter",
        data=b"{}",
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        deployments = json.load(answer)
    (sweep,) = [deployment for deployment in deployments if deployment["name"] == "archive-sweep"]
    module, _, name = sweep["entrypoint"].partition(":")
    flow = getattr(import_module(module), name)
    assert flow.name == "archive-sweep"
    assert set(sweep["parameters"]) <= set(flow.parameters.properties)
