"""Sweeps an archive in this process: the real crawl, index, selection, decoding child, staging and warehouse.

Only the network is replaced, by a mean of its images: these tests ask what is scored, not what a model says.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.config import TILES_VIEW
from tasks.crawl import crawl, read_here
from tasks.header import ZipFound
from tasks.identity import Pseudonymizer
from tasks.index import Index
from tasks.instance import FileIssue, FileRef, StudyTicket
from tasks.profile import LENIENT, Cohort, profile_digest
from tasks.recipe import DEFAULT_RECIPE
from tasks.select import READER_VERSION, StudySelection, select_study
from tasks.series import group_series
from tasks.shard_work import (
    DecisionKeys,
    Limits,
    Provenance,
    ShardJob,
    SlabbedShard,
    SlabbedStudy,
    make_slabs,
)
from tasks.sources import Source, open_source
from warehouse.landing import LandingBatch, write_staging
from warehouse.records import ArchiveRecord, FileCountRecord, ModelRecord, RunRecord, ScoreRecord
from warehouse.store import Store

ARCHIVE, SITE, RUN = "archive", "site", "run"
MODEL = "fake-model"
LIMITS = Limits(memory_bytes=1 << 30, timeout_s=30.0)
KEYS = Pseudonymizer(b"k" * 32, SITE)
DECISION = DecisionKeys(
    profile_digest(LENIENT, Cohort(), KEYS), READER_VERSION, DEFAULT_RECIPE.name, TILES_VIEW.name, MODEL
)


@dataclass(slots=True)
class Swept:
    """What one sweep did."""

    store: Store
    selections: dict[str, StudySelection] = field(default_factory=dict)  # by study UID
    slabs: dict[str, SlabbedStudy] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # of selection and slab
    issues: dict[bytes, list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )  # reasons, by top folder
    read_s: dict[bytes, float] = field(default_factory=lambda: defaultdict(float))  # by top folder
    file_counts: list[tuple[str, str, int]] = field(default_factory=list)
    crawl_added_bytes: int = 0  # to the peak of this process

    def decisions(self) -> dict[str, list[tuple[Any, ...]]]:
        """Study UID → what was decided of each series, without where its files lie."""
        return {
            uid: sorted(
                (s.series_key, s.series_revision, s.outcome, s.reason or "", s.rank or 0, s.checks, s.flags)
                for s in selection.selections
            )
            for uid, selection in self.selections.items()
        }


def index_and_select(archive: Path, swept: Swept, index: Index) -> Source:
    """Crawl to the end, and select every study."""
    source, before_kib = open_source(str(archive)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for wave in crawl(source, index, read_batch=_Reader(source, swept), stable_s=0, batch_files=16):
        for ticket in index.settled_studies(None if wave.is_last else wave.number):
            _select(ticket, index, swept)
    swept.file_counts = index.file_counts()
    swept.crawl_added_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) << 10
    return source


class _Reader:
    """Reads here, one file at a time, and notes reasons and seconds by the file's top folder."""

    def __init__(self, source: Source, swept: Swept) -> None:
        self._read, self._swept = read_here(source), swept

    def __call__(self, refs: list[FileRef]) -> _Batch:
        found: list[Any] = []
        for ref in refs:
            started_s, folder = time.monotonic(), ref.path.split(b"/")[0]
            (result,) = self._read([ref]).result()
            self._swept.read_s[folder] += time.monotonic() - started_s
            if isinstance(result, FileIssue):
                self._swept.issues[folder].append(result.reason.partition(":")[0])
            assert isinstance(result, FileIssue | ZipFound) or result.sop_instance_uid
            found.append(result)
        return _Batch(found)


@dataclass(frozen=True, slots=True)
class _Batch:
    found: list[Any]

    def result(self) -> list[Any]:
        return self.found


def _select(ticket: StudyTicket, index: Index, swept: Swept) -> None:
    started_s = time.monotonic()
    study = index.instances_of(ticket.study_instance_uid)
    selection = select_study(
        group_series(study),
        study=study,
        keys=KEYS,
        profile=LENIENT,
        cohort=Cohort(),
        archive_key=ARCHIVE,
        site=SITE,
        run_id=RUN,
    )
    swept.selections[ticket.study_instance_uid] = selection
    swept.seconds[ticket.study_instance_uid] = time.monotonic() - started_s
    index.set_revision(ticket, selection.study.study_revision)


def sweep(archive: Path, store: Store, index_folder: Path, *, first: str = "") -> Swept:
    """The whole way, with slabs kept, to landed rows. The study `first` waits for the decoding child to start."""
    swept = Swept(store)
    with Index(index_folder) as index:
        source = index_and_select(archive, swept, index)
        for uid in sorted(swept.selections, key=lambda each: each != first):
            selection, started_s = swept.selections[uid], time.monotonic()
            shard = make_slabs(_job(uid, selection, source, store))
            assert isinstance(shard, SlabbedShard)
            (swept.slabs[uid],) = shard.studies
            swept.seconds[uid] += time.monotonic() - started_s
            _stage(swept.slabs[uid], shard.job.staging_path)
        store.land_staging()
        store.land(LandingBatch.of(_archive_rows(index, swept)))
    return swept


def _job(uid: str, selection: StudySelection, source: Source, store: Store) -> ShardJob:
    return ShardJob(
        name=selection.study.study_key,
        staging_path=store.paths.staging / RUN / f"{selection.study.study_key}.arrow",
        studies=(selection,),
        source=source,
        slab_directory=store.paths.directory / "slabs",
        slab_recipe=DEFAULT_RECIPE,
        view_recipe=TILES_VIEW,
        model=MODEL,
        keys=DECISION,
        provenance=Provenance(RUN, "code", "settings"),
        limits=LIMITS,
        stage=lambda path, rows: write_staging(path, LandingBatch.of(rows)),
    )


def _stage(study: SlabbedStudy, path: Path) -> None:
    rows: list[object] = [*study.selection.records, *study.rejections]
    if study.slab is not None and study.plan is not None:
        rows += [study.slab.record, _score(study)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_staging(path, LandingBatch.of(rows))


def _score(study: SlabbedStudy) -> ScoreRecord:
    assert study.plan is not None
    assert study.slab is not None
    assert study.slab.view is not None
    images = study.slab.view.images_nhw
    n = len(images)
    return ScoreRecord(
        series_key=study.plan.series_key,
        series_revision=study.plan.series_revision,
        storage_recipe=DECISION.storage_recipe,
        view_recipe=DECISION.view_recipe,
        model_digest=MODEL,
        logit=float(images.mean()),
        n_slices=n,
        slice_index=list(range(n)),
        tile_index=[0] * n,
        slice_logits=[float(image.mean()) for image in images],
        slice_features=[0.0] * (32 * n),
        precision="fp32",
        device="cpu",
        code_version="code",
        settings_digest="settings",
        run_id=RUN,
        scored_at=dt.datetime.now(dt.UTC),
        duration_s=0.0,
    )


def _archive_rows(index: Index, swept: Swept) -> Iterable[object]:
    totals, now = index.totals(), dt.datetime.now(dt.UTC)
    n_series = sum(selection.study.n_series for selection in swept.selections.values())
    yield ArchiveRecord(
        ARCHIVE, SITE, "folder", totals.n_files_found, totals.n_studies, n_series, totals.is_crawl_complete
    )
    for outcome, reason, n_files in swept.file_counts:
        yield FileCountRecord(ARCHIVE, outcome, reason, n_files)
    yield ModelRecord(MODEL, MODEL, "none", True, "for tests")
    yield RunRecord(
        run_id=RUN,
        archive_key=ARCHIVE,
        site=SITE,
        kind="sweep",
        state="finished",
        started_at=now,
        finished_at=now,
        host="here",
        pid=os.getpid(),
        code_version="code",
        settings_digest="settings",
        profile="lenient",
        profile_digest=DECISION.profile_digest,
        reader_version=DECISION.reader_version,
        storage_recipe=DECISION.storage_recipe,
        view_recipe=DECISION.view_recipe,
        model_digest=MODEL,
    )
