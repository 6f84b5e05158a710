"""What is published, superseded and left alone; and UIDs that are what they say."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace

import pytest

from flows.publish_plan import Candidate, Step, overtaken, plan
from tasks.identity import Pseudonymizer
from tasks.publish_facts import ScoredResult, facts_digest, series_description
from warehouse.publication_record import PublicationRecord

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RESULT = ScoredResult(
    study_key="study",
    series_key="series",
    series_revision="r1",
    storage_recipe="storage",
    view_recipe="view",
    model_digest="digest",
    model_id="model",
    is_simulated_only=False,
    operating_point_id="op",
    calibration_slope=1.0,
    calibration_intercept=0.0,
    threshold=0.5,
    logit=1.0,
    probability=0.73,
    is_flagged=True,
    code_version="0",
    scored_at=NOW,
)


def candidate(**changed: object) -> Candidate:
    return Candidate(replace(RESULT, **changed), "1.2.3", "PID")


def row(state: str, each: Candidate, *, reason: str | None = None, hours: int = 0) -> PublicationRecord:
    """The SR of a candidate, as it is in the warehouse."""
    facts = facts_digest(each.result, None)
    return PublicationRecord(
        "target", f"2.25.{facts[:6]}", "2.25.1", "sr", "study", "series", "r1", "digest", "op", 0.73, True, facts,
        "content", None, None, state, reason, None, 1, NOW + dt.timedelta(hours=hours),
    )  # fmt: skip


RESCORED = candidate(logit=2.0)
NOT_FLAGGED = candidate(logit=-2.0, is_flagged=False)


@pytest.mark.parametrize(
    ("now", "rows", "step"),
    [
        (candidate(), [], Step.PUBLISH),
        (NOT_FLAGGED, [], Step.NOT_FLAGGED),
        (candidate(), [row("published", candidate())], Step.UNCHANGED),
        (candidate(), [row("retracted", candidate())], Step.WITHDRAWN),
        (candidate(), [row("sending", candidate())], Step.PUBLISH),  # killed: sent again, as the same object
        (candidate(), [row("failed", candidate(), reason="refused")], Step.PUBLISH),
        (RESCORED, [row("published", candidate())], Step.SUPERSEDE),
        (
            NOT_FLAGGED,
            [row("published", candidate())],
            Step.SUPERSEDE,
        ),  # what says "flagged" must not stand alone
        (NOT_FLAGGED, [row("sending", candidate())], Step.SUPERSEDE),  # it may be there
        (NOT_FLAGGED, [row("failed", candidate(), reason="no_answer")], Step.SUPERSEDE),
        (NOT_FLAGGED, [row("failed", candidate(), reason="unreachable")], Step.NOT_FLAGGED),
        (
            RESCORED,
            [row("retracted", candidate())],
            Step.PUBLISH,
        ),  # scored otherwise: no longer what was withdrawn
        (RESCORED, [row("superseded", candidate()), row("published", RESCORED)], Step.UNCHANGED),
        # The operating point has gone back; "not flagged" was sent between, and may stand there.
        (candidate(), [row("published", candidate()), row("sending", NOT_FLAGGED, hours=1)], Step.SUPERSEDE),
    ],
)
def test_one_decision_per_study(now: Candidate, rows: list[PublicationRecord], step: Step) -> None:
    (planned,) = plan([now], rows, test_system=None)
    assert planned.step is step
    (left_out,) = plan([now], rows, test_system=None, opted_out={"PID"})
    assert left_out.step is Step.OPTED_OUT


def test_the_result_that_stands_is_the_predecessor() -> None:
    lost, stands = row("sending", RESCORED, hours=2), row("published", candidate(), hours=1)
    (planned,) = plan([NOT_FLAGGED], [lost, stands], test_system=None)
    assert planned.predecessor == stands
    assert {each.state for each in overtaken(planned.earlier)} == {"superseded"}
    never_arrived = row("failed", candidate(), reason="refused")
    assert [each.state for each in overtaken([never_arrived])] == ["dropped"]


def test_what_an_object_states_decides_its_uid() -> None:
    keys = Pseudonymizer(b"k" * 32, "site")
    facts = facts_digest(RESULT, None)
    others = [
        facts_digest(replace(RESULT, **{name: changed}), None)
        for name, changed in {
            "logit": 1.5,
            "threshold": 0.6,
            "series_revision": "r2",
            "model_digest": "d",
        }.items()
    ]
    assert len({facts, facts_digest(RESULT, "LAB"), *others}) == 6
    assert facts_digest(replace(RESULT, scored_at=NOW + dt.timedelta(1), code_version="1"), None) == facts
    uid = keys.object_uid("instance", "sr", facts)
    assert uid == keys.object_uid("instance", "sr", facts) != keys.object_uid("series", "sr", facts)
    as_uuid = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (as_uuid.version, as_uuid.variant, len(uid) <= 64) == (8, uuid.RFC_4122, True)
    assert len(series_description("a test system with a name that is far too long")) <= 64
