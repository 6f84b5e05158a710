"""A small archive, swept in this process, with scores of the shipped model as tests want them; reads objects back."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from factory import uid
from fault_archive import scan, with_value
from fault_sweep import ARCHIVE, KEYS, sweep
from pydicom.dataset import Dataset
from stores import copied

from flows.publish import Archive, PublishRequest, Work
from flows.publish_heat import Pictures
from models.registry import describe_model
from tasks.identity import key_id_of
from tasks.index import Index
from tasks.publish_sr import FLAGGED
from tasks.sources import open_source
from warehouse.landing import LandingBatch, to_records
from warehouse.records import ModelRecord, OperatingPointRecord
from warehouse.store import Store
from warehouse.tables import WAREHOUSE_TABLES

MODEL = describe_model("ovf-phantom-2")
FLAGGED_SEEDS, OTHER_SEED = (11, 12), 13  # 12 has a Chinese name in GB18030 and a birth date that is none
LOGITS = {11: 2.5, 12: 1.25, 13: -3.0}
THRESHOLD = 0.6


@dataclass(frozen=True)
class Hospital:
    """An archive of three studies and its warehouse."""

    archive: Path
    store: Store

    def copied(self, folder: Path) -> Hospital:
        """The same archive with a warehouse of its own."""
        return Hospital(self.archive, copied(self.store, folder / "warehouse"))

    @contextmanager
    def opened(self) -> Iterator[Archive]:
        with Index(self.store.paths.index / self.archive_key) as index:
            yield Archive(self.archive_key, open_source(str(self.archive)), index, KEYS)

    @property
    def archive_key(self) -> str:
        return KEYS.archive_key(str(self.archive.resolve()))

    @contextmanager
    def work(
        self, address: str, test_system: str | None = "LAB", pictures: Pictures | None = None
    ) -> Iterator[Work]:
        request = PublishRequest(MODEL.digest, MODEL.is_simulated_only, test_system)
        with self.opened() as archive:
            yield Work(self.store, archive, request, address, pictures)

    def pictures(self) -> Pictures:
        """Real ones, of the first study; the others' slabs are gone. Each is made once: it takes seconds."""
        slabs = self.store.paths.directory / "slabs"
        for seed in (12, 13):
            (path,) = slabs.rglob(f"{KEYS.series_key(str(uid('series', seed, '')))}-*.jp2")
            path.unlink()
        made = Pictures(slabs, MODEL.model_id, MODEL.digest)
        made.of = functools.cache(made.of)  # type: ignore[method-assign]
        return made

    def set_threshold(self, name: str, threshold: float) -> None:
        """Another operating point: what is published no longer states what counts."""
        point = OperatingPointRecord(MODEL.digest, name, 1.0, 0.0, threshold, "for tests", True)
        self.store.land(LandingBatch(operating_points=[point]))

    def states(self, address: str) -> list[tuple[str, str, str | None]]:
        """(kind, state, reason) of everything of ours there, sorted."""
        with self.store.read_live() as connection:
            return connection.execute(
                "SELECT kind, state, reason FROM publication WHERE target = ? ORDER BY ALL", [address]
            ).fetchall()


def make_hospital(folder: Path) -> Hospital:
    """Write and sweep the archive; give each study a score of the shipped model."""
    archive = folder / "archive"
    for seed in LOGITS:
        chinese = {"SpecificCharacterSet": "GB18030", "PatientName": "王^小明"} if seed == 12 else {}
        odd = _no_day if seed == 12 else None
        scan(archive / str(seed), seed, StudyTime="101500", StudyID="7", corrupt=odd, **chinese)
    store = Store.open(folder / "warehouse" / "w.duckdb")
    hospital = Hospital(archive, store)
    store.paths.key.touch(mode=0o600)
    store.paths.key.write_text(json.dumps({"key_id": key_id_of(KEYS.key), "key": KEYS.key.hex()}))
    store.bind_key(key_id_of(KEYS.key))
    sweep(archive, store, store.paths.index / hospital.archive_key)
    _as_if_swept_by_the_command(hospital)
    _score(hospital)
    return hospital


def _no_day(data: bytes, _: int) -> bytes:
    return with_value(data, 0x00100030, b"DA", b"1955")


def _as_if_swept_by_the_command(hospital: Hospital) -> None:
    with hospital.store.write() as connection:
        for table in ("archive", "file_count", "study", "run"):
            connection.execute(
                f"UPDATE {table} SET archive_key = ? WHERE archive_key = ?", [hospital.archive_key, ARCHIVE]
            ).fetchall()


def _score(hospital: Hospital) -> None:
    """Scores of the shipped model beside those that the sweep made."""
    logit_of = {KEYS.series_key(str(uid("series", seed, ""))): logit for seed, logit in LOGITS.items()}
    table = next(each for each in WAREHOUSE_TABLES if each.name == "score")
    with hospital.store.read_live() as connection:
        rows = to_records(table, connection.sql("SELECT * FROM score").to_arrow_table())
    scores = [
        replace(row, model_digest=MODEL.digest, logit=logit_of[row.series_key], run_id="rescored")
        for row in rows
    ]
    model = ModelRecord(MODEL.digest, MODEL.model_id, MODEL.architecture, MODEL.is_simulated_only, "card")
    hospital.store.land(LandingBatch(models=[model], scores=scores))
    hospital.set_threshold("first", THRESHOLD)


def stated(report: Dataset) -> tuple[float, str, str]:
    """(probability, model digest, flagged) as an SR states them, read by highdicom."""
    from highdicom.sr import ComprehensiveSR

    (group,) = ComprehensiveSR.from_dataset(report).content.get_image_measurement_groups()
    (measured,) = group.get_measurements()
    flagged = next(each.value for each in group.get_qualitative_evaluations() if each.name == FLAGGED)
    algorithm = {item.name.meaning: item for item in group[0].ContentSequence}["Algorithm Version"]
    return measured.value, algorithm.value, flagged.meaning


def errors_of(path: Path) -> list[str]:
    """What dicom3tools' validator calls an error in a file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("no validator: apt-get install dicom3tools")
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    said = (told.stdout + told.stderr).splitlines()
    errors = [line for line in said if line.startswith(("Error", "Abort"))]
    if any("Patient's Birth Date" in line for line in errors):  # of study 12: the archive's own fault, copied
        errors = [line for line in errors if "Birth Date" not in line and "invalid data values" not in line]
    return errors
