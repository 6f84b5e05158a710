"""Which kept slabs a model is asked to score again: a series has one file, that of the sweep that kept it last."""

from __future__ import annotations

from pathlib import Path

import pytest
import warehouse_rows as rows

from warehouse.decisions import DecisionKey
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.store import Store

FIRST = DecisionKey("profile-1", "reader-1", "storage-2", "view-1", "model-1")
SECOND = DecisionKey("profile-1", "reader-1", "storage-1", "view-1", "model-1")  # newer, though first by name


def wanted(store: Store, model_digest: str) -> list[tuple[object, ...]]:
    with store.read_live() as connection:
        asked = {"view_recipe": "view-1", "model_digest": model_digest}
        return connection.execute(query("rescore_series"), asked).fetchall()


@pytest.mark.parametrize(
    ("is_first_kept", "is_second_kept", "expected"),
    [
        (True, True, ("storage-1", True)),
        (True, False, ("storage-2", True)),
        (False, True, ("storage-1", True)),
        (False, False, ("storage-1", False)),
    ],
)
def test_a_series_is_wanted_once_by_its_newest_kept_slab(
    tmp_path: Path, is_first_kept: bool, is_second_kept: bool, expected: tuple[str, bool]
) -> None:
    store = Store.open(tmp_path / "w.duckdb")
    batch = LandingBatch(
        archives=[rows.archive(n_files=10, n_studies=1, n_series=1)],
        runs=[rows.run(key=FIRST), rows.run("run-2", hours=5, key=SECOND)],
        studies=[rows.study("study-1")],
        series=[rows.series("series-1", "study-1")],
        selections=[rows.selection("series-1", "study-1")],
        slabs=[
            rows.slab("series-1", is_kept=is_first_kept, key=FIRST),
            rows.slab("series-1", is_kept=is_second_kept, key=SECOND),
        ],
        scores=[
            rows.score("series-1", key=FIRST),
            rows.score("series-1", key=SECOND, run_id="run-2"),
        ],
    )
    store.land(batch)
    assert wanted(store, "model-2") == [("series-1", "r1", *expected)]
    assert wanted(store, "model-1") == []
