"""docs/warehouse.md says what the SQL says."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_sql() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "warehouse_docs.py"))["page"]()
    written = (ROOT / "docs" / "warehouse.md").read_text(encoding="utf-8")
    assert written == page, "run .venv/bin/python scripts/warehouse_docs.py"
    assert "None" not in page
