"""prefect.yaml deploys against a real Prefect server that asks for a login, and a worker runs a night of it.

`scripts/local_prefect.py` starts and ends the server and the worker, as `make deploy-local` does.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import queue
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from local_prefect import LocalPrefect, deployments, local_prefect  # noqa: E402

pytestmark = pytest.mark.slow
ALERT = "ovf.night.alert"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[LocalPrefect]:
    folder = tmp_path_factory.mktemp("deployed")
    shutil.copytree(prefect_home, folder / "home")
    with local_prefect(folder, OVF_PROGRESS="plain") as running:
        yield running
        pids = [process.pid for process in running.processes]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def _deployments() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    return list(document["deployments"])


@pytest.mark.parametrize("deployment", _deployments(), ids=lambda each: each["name"])
def test_a_deployment_names_a_flow_that_takes_its_parameters(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(import_module(module), name)
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    assert flow.name == deployment["name"]


def test_the_server_refuses_who_does_not_log_in(prefect: LocalPrefect) -> None:
    refused = httpx.post(f"{prefect.url}/deployments/filter", json={}, trust_env=False)
    assert refused.status_code == 401


def test_prefect_yaml_deploys_everything_with_its_schedules(prefect: LocalPrefect) -> None:
    names = tuple(each["name"] for each in _deployments())
    assert {"archive-sweep", "nightly-screening", "monthly-audit", "rescore"} == set(names)
    prefect.deploy(deployments({}, names, has_schedules=True))
    found = {each["name"]: each for each in prefect.post("/deployments/filter", {})}
    assert set(found) == set(names)
    (schedule,) = found["nightly-screening"]["schedules"]
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert found["nightly-screening"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    # Planned runs show that the scheduler works: with another sqlalchemy it planned none, and only its log said so.
    body = {
        "deployments": {"name": {"any_": ["nightly-screening"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    deadline = time.monotonic() + 120
    while not prefect.post("/flow_runs/filter", body):
        assert time.monotonic() < deadline, (prefect.folder / "server.log").read_text()[-3000:]
        time.sleep(1)


@pytest.mark.long
def test_a_worker_runs_the_audit_of_the_month(
    prefect: LocalPrefect, undisturbed: Path, tmp_path: Path
) -> None:
    changes = {"warehouse": str(undisturbed), "out": str(tmp_path / "audits")}
    prefect.deploy(deployments(changes, ("monthly-audit",)))
    assert prefect.wait(prefect.start("monthly-audit/monthly-audit"), timeout_s=240) == "COMPLETED", (
        prefect.folder / "worker.log"
    ).read_text()[-3000:]
    assert list((tmp_path / "audits").glob("*/index.html"))
    assert "patients, by their first eligible day" in prefect.artifact("ovf-audit")
    assert os.stat(tmp_path / "audits").st_mode & 0o077 == 0


def test_an_alert_reaches_a_webhook(prefect: LocalPrefect) -> None:
    """As docs/deploy.md describes it: an automation of Prefect that waits for the event of an alert."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    with _receiver(heard) as url:
        action = {
            "type": "call-webhook",
            "block_document_id": _webhook(prefect, url),
            "payload": '{"text": "{{ event.payload.message }}"}',
        }
        trigger = {
            "type": "event",
            "posture": "Reactive",
            "expect": [ALERT],
            "match": {"prefect.resource.id": "ovf.archive.*"},
            "threshold": 1,
            "within": 0,
        }
        prefect.post("/automations/", {"name": "ovf-alert", "trigger": trigger, "actions": [action]})
        deadline = time.monotonic() + 60
        while heard.empty() and time.monotonic() < deadline:  # an automation takes a moment to be loaded
            _emit(prefect, "flag rate: 18 of 60")
            with suppress(queue.Empty):
                assert heard.get(timeout=5) == {"text": "flag rate: 18 of 60"}
                return
    raise AssertionError("the webhook heard nothing")


def _emit(prefect: LocalPrefect, message: str) -> None:
    event = {
        "occurred": dt.datetime.now(dt.UTC).isoformat(),
        "event": ALERT,
        "resource": {"prefect.resource.id": "ovf.archive.0123", "prefect.resource.name": "north"},
        "payload": {"message": message},
        "id": str(uuid.uuid4()),
    }
    with prefect.client() as client:
        client.post(f"{prefect.url}/events", json=[event])


def _webhook(prefect: LocalPrefect, url: str) -> str:
    """A webhook block of Prefect that posts to `url`; returns its id."""
    with prefect.client() as client:
        kind = client.get(f"{prefect.url}/block_types/slug/webhook").json()["id"]
    (schema, *_) = prefect.post(
        "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}}
    )
    made = prefect.post(
        "/block_documents/",
        {
            "name": "ovf-alert",
            "block_type_id": kind,
            "block_schema_id": schema["id"],
            "data": {"url": url, "method": "POST"},
        },
    )
    return str(made["id"])


@contextmanager
def _receiver(heard: queue.Queue[dict[str, Any]]) -> Iterator[str]:
    """A loopback server that takes down what is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.put(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
