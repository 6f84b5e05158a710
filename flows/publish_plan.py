"""What is to be published, decided from what was scored and what stands in the PACS already. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from tasks.publish_facts import Reference, ScoredResult, facts_digest
from tasks.targets.base import NO_ANSWER
from warehouse.publication_record import PublicationRecord

SOP_CLASS_OF_KIND = {"sr": str(ComprehensiveSRStorage), "capture": str(SecondaryCaptureImageStorage)}


class Step(StrEnum):
    """What is done about a scored study."""

    PUBLISH = "publish"
    SUPERSEDE = "supersede"  # another result stands in the PACS: it is told of the new one
    UNCHANGED = "unchanged"  # this very result stands there
    WITHDRAWN = "withdrawn"  # this very result was retracted: it stays so
    NOT_FLAGGED = "not_flagged"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored study, and who it is."""

    result: ScoredResult
    study_instance_uid: str
    patient_id: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A candidate, and what is done about it."""

    candidate: Candidate
    step: Step
    facts: str
    predecessor: PublicationRecord | None  # the SR whose place the new one takes
    earlier: tuple[
        PublicationRecord, ...
    ]  # everything of ours in this study, other than what states these facts
    n_attempts: int = 0  # so far, of sending these facts

    @property
    def is_sent(self) -> bool:
        """Something is to be sent."""
        return self.step in (Step.PUBLISH, Step.SUPERSEDE)


def plan(
    candidates: Iterable[Candidate],
    publications: Iterable[PublicationRecord],
    *,
    test_system: str | None,
    is_all: bool = False,
    opted_out: Collection[str] = frozenset(),
) -> list[Planned]:
    """One decision per candidate, in their order. `is_all`: also studies that are not flagged."""
    by_study: dict[str, list[PublicationRecord]] = {}
    for row in publications:
        by_study.setdefault(row.study_key, []).append(row)
    return [
        _decide(each, by_study.get(each.result.study_key, []), test_system, is_all, opted_out)
        for each in candidates
    ]


def may_be_there(row: PublicationRecord) -> bool:
    """The PACS has it, or may have it: what was sent and never answered counts."""
    if row.state == "failed":
        return row.reason == NO_ANSWER
    return row.state in ("published", "sending", "superseded")


def reference_of(row: PublicationRecord) -> Reference:
    """How other objects refer to a published one."""
    return Reference(SOP_CLASS_OF_KIND[row.kind], row.sop_instance_uid, row.series_instance_uid)


def overtaken(rows: Sequence[PublicationRecord]) -> list[PublicationRecord]:
    """The rows as they are once another result stands: superseded, or dropped where they never arrived."""
    found = []
    for row in rows:
        if row.kind == "rejection" or row.state in ("superseded", "retracted", "dropped"):
            continue
        state = "superseded" if may_be_there(row) else "dropped"
        found.append(replace(row, state=state, reason=None, message=None))
    return found


def _decide(
    each: Candidate,
    rows: Sequence[PublicationRecord],
    test_system: str | None,
    is_all: bool,
    opted_out: Collection[str],
) -> Planned:
    facts = facts_digest(each.result, test_system)
    documents = [row for row in rows if row.kind == "sr"]
    same = [row for row in documents if row.facts_digest == facts]
    n_attempts = max((row.n_attempts for row in same), default=0)
    earlier = tuple(row for row in rows if row.facts_digest != facts)
    predecessor = _predecessor([row for row in documents if row.facts_digest != facts])

    def planned(step: Step) -> Planned:
        return Planned(each, step, facts, predecessor, earlier, n_attempts)

    if (each.patient_id or "").strip() in opted_out:
        return planned(Step.OPTED_OUT)
    # A later result that may stand there says otherwise: it is overtaken, though this one has arrived once.
    if predecessor is None and any(row.state == "published" for row in same):
        return planned(Step.UNCHANGED)
    if any(row.state == "retracted" for row in same):
        return planned(Step.WITHDRAWN)
    if predecessor is not None:
        return planned(Step.SUPERSEDE)
    if each.result.is_flagged or is_all or any(may_be_there(row) for row in same):
        return planned(Step.PUBLISH)
    return planned(Step.NOT_FLAGGED)


def _predecessor(documents: Sequence[PublicationRecord]) -> PublicationRecord | None:
    """The result that stands now; else the latest that may stand."""
    there = [row for row in documents if may_be_there(row) and row.state != "superseded"]
    return max(
        there, key=lambda row: (row.state == "published", row.changed_at, row.sop_instance_uid), default=None
    )
