"""Withdraws what was published: a note into each study that names our objects as rejected (IHE IOCM)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.errors import SettingsError
from flows.publish import (
    GIVE_UP_AFTER,
    Archive,
    answered,
    encoded,
    publications,
    quiet,
    write_objects,
)
from flows.publish_plan import may_be_there, reference_of
from tasks.publish_facts import Reference
from tasks.publish_source import SourceMissing, any_series
from tasks.targets.base import UNREACHABLE, Target
from warehouse.landing import LandingBatch
from warehouse.publication_record import PublicationRecord
from warehouse.queries import query
from warehouse.store import Store

ALL, SUPERSEDED, NOT_SCORED = "all", "superseded", "no-longer-scored"


@dataclass(frozen=True, slots=True)
class Place:
    """A study of the archive, or of none any more, in which something of ours lies, or may lie."""

    study_key: str
    outcome: str
    patient_key: str | None
    study_instance_uid: str
    patient_id: str | None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Everything a run works with. Without a target, nothing is sent and nothing changes."""

    store: Store
    archive: Archive
    address: str
    target: Target | None
    folder: Path | None  # where the notes are kept too


@dataclass(slots=True)
class RetractSummary:
    """What a run withdrew, in studies."""

    n_retracted: int = 0
    n_objects: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    n_not_tried: int = 0

    @property
    def n_left(self) -> int:
        """Studies whose objects still lie there."""
        return sum(self.missing.values()) + sum(self.failed.values()) + self.n_not_tried


def retract(work: Withdrawal, what: str) -> RetractSummary:
    """Withdraw what `what` names: all, superseded, no-longer-scored, or a study or patient key.

    Raises SettingsError for a key of which nothing lies there.
    """
    places, rows = _lying_there(work)
    chosen = _chosen(places, rows, what)
    summary = RetractSummary()
    n_lost = 0
    for number, (place, rejected) in enumerate(chosen):
        if n_lost >= GIVE_UP_AFTER:
            summary.n_not_tried = len(chosen) - number
            break
        try:
            reason = _one(work, place, rejected)
        except SourceMissing as missing:
            summary.missing[missing.code] += 1
            continue
        n_lost = n_lost + 1 if reason == UNREACHABLE else 0
        if reason is not None:
            summary.failed[reason] += 1
            continue
        summary.n_retracted += 1
        summary.n_objects += len(rejected)
    return summary


def _one(work: Withdrawal, place: Place, rejected: Sequence[PublicationRecord]) -> str | None:
    """One note; returns why it did not arrive. Its time is that of the latest object it names: a repeat is the same."""
    from tasks.publish_note import build_note, note_reference

    try:
        study = work.archive.index.instances_of(place.study_instance_uid)
    except KeyError:
        raise SourceMissing("absent") from None
    references = [reference_of(row) for row in rejected]
    where = note_reference(work.archive.keys, references)
    source = any_series(study, work.archive.source, place.patient_id)
    at = max(row.changed_at for row in rejected)
    try:
        with quiet():
            note = build_note(references, source, place=where, at=at, test_system=rejected[0].test_system)
            content = encoded(note)
    except Exception as error:  # whatever an odd header may lead to
        raise SourceMissing("unbuilt") from error
    if work.folder is not None:
        write_objects(work.folder, place.study_key, [("rejection", note)])
    if work.target is None:
        return None
    row = _note_row(rejected, where, hashlib.sha256(content).hexdigest())
    work.store.land(LandingBatch(publications=[row]))
    with quiet():
        [answer] = work.target.send([note])
    after = [answered(row, answer)]
    if answer.is_stored:
        after += [
            replace(each, state="retracted", reason=None, message=None, changed_at=after[0].changed_at)
            for each in rejected
        ]
    work.store.land(LandingBatch(publications=after))
    return answer.reason


def _lying_there(work: Withdrawal) -> tuple[list[Place], dict[str, list[PublicationRecord]]]:
    with work.store.read_live_identified() as connection:
        known = publications(connection, work.address)
        asked = {"archive_key": work.archive.archive_key, "target": work.address}
        places = [Place(*row) for row in connection.execute(query("publish_places"), asked).fetchall()]
    rows: dict[str, list[PublicationRecord]] = {}
    for row in known:
        if row.kind != "rejection" and may_be_there(row):
            rows.setdefault(row.study_key, []).append(row)
    return [place for place in places if place.study_key in rows], rows


def _chosen(
    places: Iterable[Place], rows: dict[str, list[PublicationRecord]], what: str
) -> list[tuple[Place, list[PublicationRecord]]]:
    if what == SUPERSEDED:
        old = {key: [row for row in each if row.state == "superseded"] for key, each in rows.items()}
        return [(place, old[place.study_key]) for place in places if old[place.study_key]]
    if what == ALL:
        return [(place, rows[place.study_key]) for place in places]
    if what == NOT_SCORED:
        return [(place, rows[place.study_key]) for place in places if place.outcome != "scored"]
    found = [
        (place, rows[place.study_key]) for place in places if what in (place.study_key, place.patient_key)
    ]
    if not found:
        raise SettingsError(
            f"--retract: of study or patient {what} nothing lies in this PACS; "
            f"else say {ALL}, {SUPERSEDED} or {NOT_SCORED}"
        )
    return found


def _note_row(rejected: Sequence[PublicationRecord], where: Reference, content: str) -> PublicationRecord:
    said = next((row for row in rejected if row.kind == "sr"), rejected[0])
    return replace(
        said,
        kind="rejection",
        sop_instance_uid=where.sop_instance_uid,
        series_instance_uid=where.series_instance_uid,
        content_digest=content,
        predecessor_uid=None,
        state="sending",
        reason=None,
        message=None,
        n_attempts=1,
        changed_at=dt.datetime.now(dt.UTC),
    )
