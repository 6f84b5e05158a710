"""Sends results back to where radiologists look: one SR and one picture into each study, once, and never unasked.

A row is written before something is sent and again after the receiver's answer, so a killed run only has to be run
again: the same result gives the same UIDs, and a PACS takes the same object twice as one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from duckdb import DuckDBPyConnection as Connection
from pydicom.dataset import Dataset

from flows.publish_heat import Pictures
from flows.publish_plan import Candidate, Planned, Step, overtaken, plan, reference_of
from models.registry import ModelError
from tasks.identity import Pseudonymizer
from tasks.index import Index
from tasks.publish_facts import Reference, ScoredResult, SourceSeries
from tasks.publish_source import SourceMissing, scored_series
from tasks.sources.base import Source
from tasks.targets.base import UNREACHABLE, Answer, Target
from warehouse.landing import LandingBatch
from warehouse.publication_record import PublicationRecord
from warehouse.queries import query
from warehouse.store import Store

if TYPE_CHECKING:
    from tasks.publish_capture import SuspiciousSlice

STUDIES_AT_ONCE = 8  # rows of so many studies are written together
GIVE_UP_AFTER = 3  # studies in a row that could not be sent: then the PACS is not there


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What is published, and for whom."""

    model_digest: str
    is_simulated_only: bool
    test_system: str | None = None
    is_all: bool = False
    limit: int | None = None
    opted_out: frozenset[str] = frozenset()  # PatientIDs


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive that the results are from, open for reading."""

    archive_key: str
    source: Source
    index: Index
    keys: Pseudonymizer


@dataclass(frozen=True, slots=True)
class Work:
    """Everything a run works with."""

    store: Store
    archive: Archive
    request: PublishRequest
    address: str  # of the PACS; empty for a dry run that looks at none
    pictures: Pictures | None


@dataclass(slots=True)
class PublishSummary:
    """What a run did, in studies."""

    steps: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)  # code of SourceMissing
    n_published: int = 0
    n_without_picture: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # reason of the answer
    n_not_tried: int = 0

    @property
    def n_failed(self) -> int:
        """Studies that the next run tries again."""
        unread = self.missing["no_answer"] + self.missing["unreadable"]
        return sum(self.failed.values()) + self.n_not_tried + unread


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one study, and their rows as they are before sending."""

    planned: Planned
    datasets: tuple[Dataset, ...]  # in the order of sending: the SR refers to the capture, so it goes last
    rows: tuple[PublicationRecord, ...]


def publish(work: Work, target: Target) -> PublishSummary:
    """Publish what is due. Raises ModelError for a model that must not be published there, WarehouseError."""
    found = _decided(work)
    summary, todo = _due(found, work.request)
    outdated = [row for each in found if each.step is Step.WITHDRAWN for row in overtaken(each.earlier)]
    work.store.land(LandingBatch(publications=outdated))
    n_lost = 0
    for start in range(0, len(todo), STUDIES_AT_ONCE):
        chunk = todo[start : start + STUDIES_AT_ONCE]
        if n_lost >= GIVE_UP_AFTER:
            summary.n_not_tried = len(todo) - start
            break
        built = [made for each in chunk if (made := build(work, each, summary))]
        work.store.land(LandingBatch(publications=[row for made in built for row in made.rows]))
        outcomes: list[PublicationRecord] = []
        for made in built:
            sent = _send(made, target) if n_lost < GIVE_UP_AFTER else [Answer(False, UNREACHABLE)] * 2
            outcomes += _outcome(made, sent, summary)
            n_lost = n_lost + 1 if sent[0].reason == UNREACHABLE else 0
        work.store.land(LandingBatch(publications=outcomes))
    return summary


def dry_run(work: Work, folder: Path) -> PublishSummary:
    """Write what would be sent into a folder. Needs no network and leaves no trace in the warehouse."""
    summary, todo = _due(_decided(work), work.request)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in todo:
        made = build(work, each, summary)
        if made is not None:
            kinds = [row.kind for row in made.rows]
            write_objects(
                folder, each.candidate.result.study_key, list(zip(kinds, made.datasets, strict=True))
            )
            summary.n_published += 1
    return summary


def refuse_simulated(request: PublishRequest) -> None:
    """Raises ModelError for a model that saw simulated scans only, unless the target is named a test system."""
    if request.is_simulated_only and request.test_system is None:
        raise ModelError(
            "this model was trained on simulated scans only: its results may go to a test system and nowhere else "
            "(name it with --test-system NAME; the objects will say so)"
        )


def _decided(work: Work) -> list[Planned]:
    """What is decided of every scored study."""
    request = work.request
    refuse_simulated(request)
    with work.store.read_live_identified() as connection:
        candidates = _candidates(connection, work.archive.archive_key, request.model_digest)
        known = publications(connection, work.address)
    return plan(
        candidates,
        known,
        test_system=request.test_system,
        is_all=request.is_all,
        opted_out=request.opted_out,
    )


def _due(found: list[Planned], request: PublishRequest) -> tuple[PublishSummary, list[Planned]]:
    """The decisions by number, and those that something is to be sent of."""
    summary = PublishSummary(Counter(each.step.value for each in found))
    return summary, [each for each in found if each.is_sent][: request.limit]


def publications(connection: Connection, address: str) -> list[PublicationRecord]:
    """Everything of ours in one PACS."""
    rows = connection.execute(query("publications"), {"target": address})
    names = [column[0] for column in rows.description]
    found = [PublicationRecord(**dict(zip(names, row, strict=True))) for row in rows.fetchall()]
    return [replace(row, changed_at=row.changed_at.replace(tzinfo=dt.UTC)) for row in found]


def build(work: Work, planned: Planned, summary: PublishSummary) -> Objects | None:
    """The objects of one study; None when nothing can be put into it (counted in the summary)."""
    try:
        source = _series(work.archive, planned.candidate)
    except SourceMissing as missing:
        summary.missing[missing.code] += 1
        return None
    picture = work.pictures.of(planned.candidate.result) if work.pictures is not None else None
    summary.n_without_picture += picture is None
    try:
        with quiet():
            made = _made(work, planned, source, picture)
            rows = tuple(_row(work, planned, kind, where, content) for kind, where, content in made)
    except Exception:  # whatever an odd header may lead to: one study, never the run
        summary.missing["unbuilt"] += 1
        return None
    return Objects(planned, tuple(content for _, _, content in made), rows)


def _series(archive: Archive, candidate: Candidate) -> SourceSeries:
    try:
        study = archive.index.instances_of(candidate.study_instance_uid)
    except KeyError:
        raise SourceMissing("absent") from None
    return scored_series(
        study,
        archive.source,
        archive.keys,
        series_key=candidate.result.series_key,
        revision=candidate.result.series_revision,
        patient_id=candidate.patient_id,
    )


def _made(
    work: Work, planned: Planned, source: SourceSeries, picture: SuspiciousSlice | None
) -> list[tuple[str, Reference, Dataset]]:
    """Kind, place and content of each object, in the order of sending."""
    from tasks.publish_capture import build_capture, capture_reference
    from tasks.publish_sr import build_sr, sr_reference

    keys, result, before = work.archive.keys, planned.candidate.result, planned.predecessor
    before_uid = before.sop_instance_uid if before else None
    test_system = work.request.test_system
    made: list[tuple[str, Reference, Dataset]] = []
    capture = None
    if picture is not None:
        capture = capture_reference(keys, planned.facts, before_uid)
        drawn = build_capture(picture, result, source, place=capture, test_system=test_system)
        made.append(("capture", capture, drawn))
    place = sr_reference(keys, planned.facts, before_uid)
    report = build_sr(
        result,
        source,
        place=place,
        uids=keys,
        capture=capture,
        predecessor=reference_of(before) if before else None,
        test_system=test_system,
    )
    return [*made, ("sr", place, report)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Warnings of pydicom name the values that they are about: none of them leaves this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def encoded(dataset: Dataset) -> bytes:
    """The object as a DICOM file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write_objects(folder: Path, study_key: str, objects: Sequence[tuple[str, Dataset]]) -> None:
    """Keep objects as files, owner-only: FOLDER/PSEUDONYM/KIND.dcm. They hold identities."""
    where = folder / study_key
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    for kind, dataset in objects:
        path = where / f"{kind}.dcm"
        path.touch(mode=0o600)
        with quiet():
            path.write_bytes(encoded(dataset))


def _candidates(connection: Connection, archive_key: str, model_digest: str) -> list[Candidate]:
    asked = {"archive_key": archive_key, "model_digest": model_digest}
    rows = connection.execute(query("publish_results"), asked)
    names = [column[0] for column in rows.description]
    return [_candidate(dict(zip(names, row, strict=True))) for row in rows.fetchall()]


def _candidate(row: dict[str, object]) -> Candidate:
    study_instance_uid, patient_id = row.pop("study_instance_uid"), row.pop("patient_id")
    scored_at = row["scored_at"]
    assert isinstance(scored_at, dt.datetime)
    row["scored_at"] = scored_at.replace(tzinfo=dt.UTC)
    return Candidate(
        ScoredResult(**row),  # type: ignore[arg-type]
        str(study_instance_uid),
        None if patient_id is None else str(patient_id),
    )


def _row(work: Work, planned: Planned, kind: str, where: Reference, content: Dataset) -> PublicationRecord:
    result, before = planned.candidate.result, planned.predecessor
    return PublicationRecord(
        target=work.address,
        sop_instance_uid=where.sop_instance_uid,
        series_instance_uid=where.series_instance_uid,
        kind=kind,
        study_key=result.study_key,
        series_key=result.series_key,
        series_revision=result.series_revision,
        model_digest=result.model_digest,
        operating_point_id=result.operating_point_id,
        probability=result.probability,
        is_flagged=result.is_flagged,
        facts_digest=planned.facts,
        content_digest=hashlib.sha256(encoded(content)).hexdigest(),
        predecessor_uid=before.sop_instance_uid if before is not None else None,
        test_system=work.request.test_system,
        state="sending",
        reason=None,
        message=None,
        n_attempts=planned.n_attempts + 1,
        changed_at=dt.datetime.now(dt.UTC),
    )


def _send(made: Objects, target: Target) -> list[Answer]:
    """The capture first; the SR, which refers to it, only when the capture has arrived."""
    answers: list[Answer] = []
    for dataset in made.datasets:
        if answers and not answers[-1].is_stored:
            answers.append(Answer(False, UNREACHABLE))
            continue
        with quiet():
            answers += target.send([dataset])
    return answers


def _outcome(made: Objects, answers: Sequence[Answer], summary: PublishSummary) -> list[PublicationRecord]:
    """The rows after the answers; what stood before is superseded when, and only when, the new SR has arrived."""
    rows = [answered(row, answer) for row, answer in zip(made.rows, answers, strict=False)]
    if rows[-1].state == "published":
        summary.n_published += 1
        return [
            *rows,
            *(replace(row, changed_at=rows[-1].changed_at) for row in overtaken(made.planned.earlier)),
        ]
    reason = next(answer.reason for answer in answers if not answer.is_stored)
    summary.failed[str(reason)] += 1
    return rows


def answered(row: PublicationRecord, answer: Answer) -> PublicationRecord:
    """A row after the receiver's answer, or for want of one."""
    now = dt.datetime.now(dt.UTC)
    if answer.is_stored:
        return replace(row, state="published", reason=None, message=None, changed_at=now)
    return replace(row, state="failed", reason=answer.reason, message=answer.message, changed_at=now)
