"""A training's cohort, kept in its folder: a training that goes on learns from the very scans that it began with.

Archives grow between a kill and the next start; what is drawn from them then would be another cohort.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from flows.cohort import Cohort, CohortScan
from flows.errors import SettingsError
from flows.label_file import Label
from flows.labels import Labels
from flows.training_folder import OTHER_TRAINING
from warehouse.paths import replace_file

COHORT_FILE = "cohort.json"


def keep_cohort(out: Path, order_digest: str, labels: Labels, cohort: Cohort, key_id: str) -> None:
    """Write the cohort: pseudonyms and labels, owner-only; age, sex and dates have served and are left out."""
    told = {
        "order": order_digest,
        "key_id": key_id,
        "labels": {
            "source": labels.source,
            "is_simulated": labels.is_simulated,
            "n_unlinked": dict(labels.n_unlinked),
        },
        "left_out": dict(cohort.left_out),
        "n_found": cohort.n_found,
        "scans": [asdict(_without_person(scan)) for scan in cohort.scans],
    }
    replace_file(out / COHORT_FILE, json.dumps(told).encode())


def _without_person(scan: CohortScan) -> CohortScan:
    """What the drawing alone needed is taken away."""
    return replace(scan, age_years=None, sex=None, order="")


def kept_cohort(out: Path, order_digest: str) -> tuple[Labels, Cohort, str] | None:
    """Labels (of which source and counts are known), cohort and key id; None where no training has begun.

    Raises SettingsError when the folder holds another training.
    """
    path = out / COHORT_FILE
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    if told["order"] != order_digest:
        raise SettingsError(f"{out.name} {OTHER_TRAINING}")
    scans = tuple(CohortScan(**{**scan, "label": Label(**scan["label"])}) for scan in told["scans"])
    labels = Labels({}, **told["labels"])
    return labels, Cohort(scans, told["left_out"], told["n_found"]), told["key_id"]
