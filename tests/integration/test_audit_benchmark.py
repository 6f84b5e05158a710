"""The warehouse that the audit's benchmark makes in SQL is one of this schema, and can be audited."""

from __future__ import annotations

from pathlib import Path

from benchmarks.audit_warehouse import made_store
from flows.audit import audit_numbers
from warehouse.queries import query

N_STUDIES = 400


def test_the_generated_warehouse_can_be_audited(tmp_path: Path) -> None:
    store = made_store(tmp_path, N_STUDIES)
    with store.read() as connection:
        rows = connection.execute(query("export_scores"), {"model_digest": None}).fetchall()
        names = [column[0] for column in connection.description]
        numbers = audit_numbers(connection)
    outcomes = [row[names.index("outcome")] for row in rows]
    assert len(rows) == N_STUDIES
    assert set(outcomes) == {"scored", "excluded", "quarantined"}
    assert any(row[names.index("flagged")] for row in rows)
    assert numbers.basis.n_drawn == 0
