"""A warehouse with small slabs on disk, whose cases can be seen: for trainings and evaluations that take seconds."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import warehouse_rows as rows
from audit_rows import add_report
from stores import copied

from tasks.jpeg2000 import write_slab
from tasks.shard_work import kept_slab_path
from tasks.slab import Slab
from warehouse import records
from warehouse.landing import LandingBatch
from warehouse.store import Store

N_SLICES, N_ROWS, N_COLUMNS = 7, 100, 80
PIXEL_MM = 3.0
CASE_LOGIT = 0.5  # of `rows.operating_point`: flagged from here on


@dataclass(frozen=True)
class SmallHospital:
    """Where its warehouse, slabs and label file are, and who truly has a fracture."""

    store: Store
    slabs: Path
    labels: Path
    truth: dict[str, bool]

    @property
    def warehouse(self) -> str:
        return str(self.store.paths.warehouse)

    def copied(self, folder: Path) -> SmallHospital:
        """The same in another folder: slabs take seconds to make, and none to copy."""
        return replace(
            self,
            store=copied(self.store, folder),
            slabs=folder / self.slabs.name,
            labels=folder / self.labels.name,
        )


def small_hospital(folder: Path, n_patients: int = 60, seed: int = 1) -> SmallHospital:
    """Every second patient has a bright band across the spine; every sixth has a second scan."""
    chance = Random(seed)
    batch = LandingBatch(
        models=[rows.model()],
        runs=[rows.run()],
        operating_points=[rows.operating_point()],
        lexica=[records.LexiconRecord("lexicon-1", "en", 1)],
    )
    slabs, truth = folder / "slabs", {}
    for number in range(n_patients):
        for visit in range(2 if number % 6 == 0 else 1):
            name = f"{number:03d}{'ab'[visit]}"
            truth[f"study-{name}"] = number % 2 == 0
            is_case = truth[f"study-{name}"]
            _add(batch, slabs, name, patient_key=f"patient-{number:03d}", is_case=is_case, chance=chance)
    n = len(batch.studies)
    batch.archives = [rows.archive(n_files=10 * n, n_studies=n, n_series=n)]
    store = Store.open(folder / "w.duckdb")
    store.land(batch)
    store.bind_key("key-1")
    store.publish()
    labels = folder / "labels.csv"
    with labels.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["accession_number", "label", "grade", "height_loss"])
        for key, is_case in truth.items():
            writer.writerow(
                [key.replace("study-", "ACC-"), int(is_case), 2 * is_case, 0.35 if is_case else 0.05]
            )
    return SmallHospital(store, slabs, labels, truth)


def _add(
    batch: LandingBatch, slabs: Path, name: str, *, patient_key: str, is_case: bool, chance: Random
) -> None:
    study_key, series_key = f"study-{name}", f"series-{name}"
    age = chance.randint(60, 75)
    batch.studies.append(
        replace(
            rows.study(study_key, patient_key=patient_key),
            age_years=age,
            sex=chance.choice("FM"),
            study_date=dt.date(2020, 1 + chance.randrange(12), 1),
        )
    )
    batch.series.append(
        replace(
            rows.series(series_key, study_key),
            manufacturer=chance.choice(["MAKER", "OTHER"]),
            convolution_kernel=chance.choice(["B30f", "B70f"]),
            slice_thickness_mm=chance.choice([1.0, 2.5, 5.0]),
            coverage_mm=chance.choice([200.0, 300.0, 500.0]),
            has_contrast=chance.choice([True, False, None]),
        )
    )
    batch.selections.append(rows.selection(series_key, study_key))
    record = replace(
        rows.slab(series_key), n_slices=N_SLICES, rows=N_ROWS, columns=N_COLUMNS, pixel_mm=PIXEL_MM
    )
    batch.slabs.append(record)
    batch.patient_identities.append(
        records.PatientIdentity(patient_key, "north", patient_key.replace("patient-", "PID-"), None)
    )
    batch.study_identities.append(
        records.StudyIdentity(study_key, patient_key, f"1.2.3.{int(name[:-1])}.{name[-1]}", f"ACC-{name}")
    )
    is_right = chance.random() < 0.85
    logit = CASE_LOGIT + (1 if is_case is is_right else -1) * abs(chance.gauss(0.2, 1.5))
    batch.scores.append(rows.score(series_key, logit=logit, n_slices=N_SLICES))
    add_report(batch, study_key, "present" if is_case and chance.random() < 0.6 else "unmentioned")
    voxels = _voxels(is_case, chance.randrange(2**31))
    write_slab(kept_slab_path(slabs, series_key, "r1"), Slab(voxels, record))


def _voxels(is_case: bool, seed: int) -> np.ndarray:
    """Soft tissue, a column of bone, and in a case a bright band through it."""
    chance = np.random.default_rng(seed)
    voxels = chance.normal(40, 15, (N_SLICES, N_ROWS, N_COLUMNS))
    voxels[:, :, 44:56] += 200
    if is_case:
        top = int(chance.integers(20, 70))
        voxels[:, top : top + 8, 40:60] += 500
    return np.rint(voxels).astype(np.int16)
