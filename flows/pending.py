"""Asks the warehouse what is still to be done. The warehouse, not the index, is the truth about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from flows.sweep_context import SweepContext
from tasks.plan import SeriesPlan
from tasks.select import StudySelection
from warehouse import decisions
from warehouse.store import Store


def pending_studies(
    store: Store, context: SweepContext, revisions: Iterable[tuple[str, str | None]]
) -> set[str]:
    """Of (study_key, study_revision) pairs, the keys of those that still need work under this sweep's decision key."""
    with store.read_live() as connection:
        return decisions.pending_studies(connection, context.archive_key, revisions, _key(context))


def unanswered_plans(
    store: Store, context: SweepContext, selections: Iterable[StudySelection]
) -> dict[str, list[SeriesPlan]]:
    """Study key → the plans that are still to be tried, best first; empty when the answer is there already.

    A study with a new series may have had its best series scored before: that one is not read again.
    """
    selections = list(selections)
    wanted = [(plan.series_key, plan.series_revision) for one in selections for plan in one.plans]
    known: dict[tuple[str, str], str] = {}
    if wanted:
        with store.read_live() as connection:
            known = decisions.known_answers(connection, wanted, _key(context))
    return {one.study.study_key: _left(one.plans, known) for one in selections}


def _left(plans: Sequence[SeriesPlan], known: dict[tuple[str, str], str]) -> list[SeriesPlan]:
    for number, plan in enumerate(plans):
        outcome = known.get((plan.series_key, plan.series_revision))
        if outcome == "scored":
            return []
        if outcome is None:
            return list(plans[number:])
    return []


def _key(context: SweepContext) -> decisions.DecisionKey:
    return decisions.DecisionKey(**asdict(context.keys))
