"""The bundle of the worklist: what a receiver that validates it would refuse."""

from __future__ import annotations

import datetime as dt

from tasks.fhir import WorklistEntry, WorklistModel, worklist_bundle


def entry(list_name: str, study: str, patient: str) -> WorklistEntry:
    return WorklistEntry(
        list=list_name,
        place=1,
        patient_id=patient,
        issuer_of_patient_id=None,
        accession_number=None,
        study_instance_uid=f"1.2.{study}",
        study_date=dt.date(2026, 1, 2),
        age_years=70,
        sex="F",
        site="north",
        report_statement=None,
        probability=0.9,
        n_more_scans=0,
        study_key=study,
        patient_key=patient,
    )


def test_a_patient_of_both_lists_stands_in_the_bundle_once() -> None:
    entries = [entry("missed", "1", "a"), entry("ambiguous", "2", "a"), entry("missed", "3", "b")]
    model = WorklistModel("model", "digest", "op", 0.5, "caveat")
    bundle = worklist_bundle(entries, model, at=dt.datetime(2026, 1, 3, tzinfo=dt.UTC), is_test=True)
    urls = [each["fullUrl"] for each in bundle["entry"]]
    assert len(set(urls)) == len(urls)  # bdl-7
    kinds = [each["resource"]["resourceType"] for each in bundle["entry"]]
    assert (kinds.count("Patient"), kinds.count("Observation")) == (2, 3)
    named = {
        each["resource"]["subject"]["reference"] for each in bundle["entry"] if "subject" in each["resource"]
    }
    assert named <= set(urls)
