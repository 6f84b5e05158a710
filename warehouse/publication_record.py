"""The record of what was sent to a PACS; see `warehouse.records`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublicationRecord:
    """One object that was sent to a PACS, and what came of it."""

    target: str
    sop_instance_uid: str
    series_instance_uid: str
    kind: str  # sr | capture | rejection
    study_key: str
    series_key: str
    series_revision: str
    model_digest: str
    operating_point_id: str
    probability: float
    is_flagged: bool
    facts_digest: str
    content_digest: str  # volatile
    predecessor_uid: str | None
    test_system: str | None
    state: str  # sending | published | failed | superseded | retracted | dropped
    reason: str | None  # unreachable | no_answer | refused
    message: str | None
    n_attempts: int  # volatile
    changed_at: dt.datetime  # volatile
