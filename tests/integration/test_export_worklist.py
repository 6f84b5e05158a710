"""`ovf export worklist`: identified, protected, one row a patient; and a FHIR bundle whose parts hang together."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from audit_rows import Hospital, filled_store, hospital_batch

from flows.cli import run
from tasks.report_files import plain_cell

# Mandatory elements of FHIR R4 (4.0.1) in the resources that are written.
MANDATORY = {
    "Device": set(),
    "Patient": set(),
    "Observation": {"status", "code"},
    "DiagnosticReport": {"status", "code"},
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    batch, _ = hospital_batch(Hospital(n_patients=120), seed=3)
    return filled_store(tmp_path_factory.mktemp("swept"), batch).paths.warehouse


def references(resource: Any) -> set[str]:
    """Every literal reference in a resource."""
    if isinstance(resource, list):
        return set().union(*map(references, resource)) if resource else set()
    if not isinstance(resource, dict):
        return set()
    here = {resource["reference"]} if "reference" in resource else set()
    return here.union(*map(references, resource.values()))


def test_the_worklist_of_the_fracture_liaison_service(
    warehouse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["export", "worklist", "--out", str(tmp_path / "fls"), "--warehouse", str(warehouse)]
    assert run(verb) == 2
    assert run([*verb, "--identified"]) == 10
    assert "test system" in capsys.readouterr().err
    assert not (tmp_path / "fls").exists()
    assert run([*verb, "--identified", "--test-system", "LAB", "--length", "5"]) == 0
    assert "PID-" not in capsys.readouterr().out
    assert (tmp_path / "fls").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "fls").iterdir()} == {0o600}
    with (tmp_path / "fls" / "worklist.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    missed = [row for row in rows if row["list"] == "missed"]
    assert [row["place"] for row in missed] == ["1", "2", "3", "4", "5"]
    assert sorted(missed, key=lambda row: -float(row["probability"])) == missed
    assert all(row["patient_id"].startswith("PID-") and row["study_instance_uid"] for row in rows)
    assert all(row["report_statement"] in ("absent", "unmentioned", "possible") for row in rows)
    assert all("not verified" in row["caveat"] and "LAB" in row["caveat"] for row in rows)
    bundle = json.loads((tmp_path / "fls" / "worklist.fhir.json").read_text(encoding="utf-8"))
    check_bundle(bundle, rows)
    (tmp_path / "open").mkdir(mode=0o755)
    assert run([*verb[:3], str(tmp_path / "open"), *verb[4:], "--identified", "--test-system", "LAB"]) == 10
    assert list((tmp_path / "open").iterdir()) == []


def check_bundle(bundle: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """Types, mandatory elements, references that lead somewhere, and the same numbers as the table."""
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert bundle["meta"]["tag"][0]["code"] == "HTEST"
    resources = {each["fullUrl"]: each["resource"] for each in bundle["entry"]}
    assert len(resources) == len(bundle["entry"]) == 1 + 3 * len(rows)
    for resource in resources.values():
        assert set(resource) > MANDATORY[resource["resourceType"]]
        assert references(resource) <= set(resources)
    reports = [each for each in resources.values() if each["resourceType"] == "DiagnosticReport"]
    assert {each["status"] for each in reports} == {"preliminary"}
    told = {
        (
            resources[each["subject"]["reference"]]["identifier"][0]["value"],
            each["imagingStudy"][0]["identifier"]["value"],
            resources[each["result"][0]["reference"]]["valueQuantity"]["value"],
        )
        for each in reports
    }
    assert told == {
        (row["patient_id"], f"urn:oid:{row['study_instance_uid']}", float(row["probability"])) for row in rows
    }


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert plain_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["Müller^Anna", "PID-7", "", None, -1.5, 0])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert plain_cell(value) == value
