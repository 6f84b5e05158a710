"""A score beyond the domain limit of its model is kept, and its study is not a negative; the limit decides anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import warehouse_rows as rows

from flows.model_rows import land_beside
from models.bodies import LEAST_VERTEBRAE
from models.domain import fit_domain
from warehouse.checks import run_checks
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.store import Store


def exported(store: Store, model_digest: str | None = None) -> dict[str, object]:
    store.publish()
    with store.read() as connection:
        connection.execute(query("export_scores"), {"model_digest": model_digest})
        names = [column[0] for column in connection.description]
        (row,) = connection.fetchall()
    return dict(zip(names, row, strict=True))


def ask(store: Store, sql: str) -> list[tuple[object, ...]]:
    with store.read_live() as connection:
        return connection.execute(sql).fetchall()


def far_study(tmp_path: Path) -> Store:
    """A scored series far from everything, and an eligible one behind it that was never tried."""
    store = Store.open(tmp_path / "warehouse.duckdb")
    batch = rows.one_scored_study(n_series=1)
    batch.runs.append(rows.run())
    batch.archives.append(rows.archive(n_files=20, n_studies=1, n_series=2))
    batch.studies[:] = [rows.study("study-a", n_series=2, n_files=20)]
    batch.series.append(rows.series("series-a-1", "study-a"))
    batch.selections.append(rows.selection("series-a-1", "study-a", rank=2))
    batch.operating_points.append(rows.operating_point(threshold=0.0))
    batch.domain_limits.append(rows.domain_limit(2.0))
    batch.domain_distances.append(rows.domain_distance("series-a-0", 3.0))
    store.land(batch)
    return store


def test_beyond_the_limit_is_not_evaluable_and_the_limit_can_change(tmp_path: Path) -> None:
    store = far_study(tmp_path)
    for model_digest in (None, rows.model().model_digest):
        found = exported(store, model_digest)
        assert (found["outcome"], found["reason"]) == ("excluded", "not_evaluable:domain")
        assert (found["probability"], found["flagged"], found["domain_distance"]) == (None, None, 3.0)
    other = exported(store, "another")
    assert (other["outcome"], other["reason"]) == ("pending", None)
    assert ask(store, "SELECT outcome, reason FROM series_outcome ORDER BY rank") == [
        ("excluded", "not_evaluable:domain"),
        ("excluded", "not_chosen"),
    ]
    assert ask(store, "SELECT ai, is_eligible FROM audit_studies(NULL)") == [("not_scored", True)]
    assert ask(store, "SELECT bool_and(is_conserved) FROM conservation") == [(True,)]
    with store.read_live() as connection:
        assert not [result for result in run_checks(connection) if not result.passed]
    scores = ask(store, "SELECT * FROM score")

    store.land(LandingBatch(domain_limits=[rows.domain_limit(3.5, limit_id="ours")]))
    found = exported(store)
    assert (found["outcome"], found["reason"], found["flagged"]) == ("scored", None, True)
    assert ask(store, "SELECT bool_and(is_conserved) FROM conservation") == [(True,)]
    assert ask(store, "SELECT * FROM score") == scores


@pytest.mark.parametrize(("n_vertebrae", "counts"), [(None, True), (0, False), (1, False), (2, True)])
def test_a_score_of_too_few_vertebrae_is_not_evaluable(
    tmp_path: Path, n_vertebrae: int | None, counts: bool
) -> None:
    """By the same number as in the model's own words; whatever the domain says."""
    assert n_vertebrae is None or counts is (n_vertebrae >= LEAST_VERTEBRAE)
    store = far_study(tmp_path)
    with store.write() as connection:
        connection.execute("UPDATE score SET n_vertebrae = ?", [n_vertebrae]).fetchall()
    for distance, reason in ((1.0, None), (3.0, "not_evaluable:domain")):
        with store.write() as connection:
            connection.execute("UPDATE domain_distance SET distance = ?", [distance]).fetchall()
        wanted = reason if counts else "not_evaluable:vertebrae"
        for model_digest in (None, rows.model().model_digest):
            found = exported(store, model_digest)
            assert (found["outcome"], found["reason"]) == ("excluded" if wanted else "scored", wanted)
            assert (found["flagged"] is None) is (wanted is not None)
        assert exported(store, "another")["outcome"] == "pending"
    assert ask(store, "SELECT bool_and(is_conserved) FROM conservation") == [(True,)]
    with store.read_live() as connection:
        assert not [result for result in run_checks(connection) if not result.passed]


def test_a_yardstick_that_changed_does_not_judge_by_old_distances(tmp_path: Path) -> None:
    """Until the distances by the new one have landed, no distance counts: null, as for a model without one."""
    store = far_study(tmp_path)
    with store.write() as connection:
        connection.execute("UPDATE domain_limit SET domain_id = 'domain-2'").fetchall()
    found = exported(store)
    assert (found["outcome"], found["domain_distance"]) == ("scored", None)


def test_what_a_model_ships_with_does_not_take_the_place_of_what_was_chosen_here(tmp_path: Path) -> None:
    """Its new yardstick measures the scores that are there, from the features they keep, before its limit counts."""
    store = far_study(tmp_path)
    rng = np.random.default_rng(0)
    model = rows.KEY.model_digest
    seen = [rng.normal(size=(5, rows.N_FEATURES)) for _ in range(9)]
    domain = replace(fit_domain(seen, model_digest=model, fitted_on="made up"), limit=1.0)
    store.land(LandingBatch(operating_points=[rows.operating_point("ours", threshold=0.9)]))
    land_beside(store, [rows.operating_point("shipped", threshold=0.1)], domain)
    current = "SELECT operating_point_id FROM operating_point WHERE is_current"
    assert ask(store, current) == [("ours",)]
    assert ask(store, "SELECT domain_id FROM domain_limit WHERE is_current") == [(domain.domain_id,)]
    (features,) = ask(store, "SELECT slice_features FROM score")[0]
    distance = domain.distance(np.array(features, np.float32).reshape(-1, rows.N_FEATURES))
    measured = f"SELECT distance FROM domain_distance WHERE domain_id = '{domain.domain_id}'"
    assert ask(store, measured) == [(distance,)]

    limit = replace(rows.domain_limit(3.5, limit_id="ours"), domain_id=domain.domain_id)
    store.land(LandingBatch(domain_limits=[limit]))
    land_beside(store, [], domain)
    assert ask(store, "SELECT limit_id FROM domain_limit WHERE is_current") == [("ours",)]
    assert ask(store, measured) == [(distance,)]


def test_a_limit_on_a_yardstick_of_before_gives_way(tmp_path: Path) -> None:
    """The reference was fitted again: new scores are measured by it alone, so that the old limit would let all pass."""
    store = far_study(tmp_path)
    store.land(LandingBatch(domain_limits=[rows.domain_limit(3.5, limit_id="ours")]))
    rng = np.random.default_rng(0)
    seen = [rng.normal(size=(5, rows.N_FEATURES)) for _ in range(9)]
    domain = replace(fit_domain(seen, model_digest=rows.KEY.model_digest, fitted_on="again"), limit=0.1)
    land_beside(store, [], domain)
    current = "SELECT limit_id, domain_id FROM domain_limit WHERE is_current"
    assert ask(store, current) == [("shipped", domain.domain_id)]
    assert exported(store)["reason"] == "not_evaluable:domain"
    with store.read_live() as connection:
        assert not [result for result in run_checks(connection) if not result.passed]
        store_check = "score_without_distance"
    with store.write() as connection:
        connection.execute("DELETE FROM domain_distance").fetchall()
    with store.read_live() as connection:
        assert [result.name for result in run_checks(connection) if not result.passed] == [store_check]
