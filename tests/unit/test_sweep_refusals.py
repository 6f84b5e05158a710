"""What a sweep does not begin with: another site, a folder that lost its mount; and columns that nobody would read."""

from __future__ import annotations

from pathlib import Path

import pytest
import warehouse_rows as rows
from factory import make_ct_series

from flows.audit_readings import misspelt_columns
from flows.errors import SettingsError
from flows.sweep import refuse_emptied
from flows.sweep_context import refuse_other_site
from tasks.crawl import crawl, read_here
from tasks.index import Index
from tasks.sources import ArchiveUnreachable, open_source
from warehouse.landing import LandingBatch
from warehouse.store import Store


def test_an_archive_keeps_its_site(tmp_path: Path) -> None:
    """Pseudonyms of patients hold it: with another name everybody would be two."""
    store = Store.open(tmp_path / "w.duckdb")
    store.land(LandingBatch(archives=[rows.archive(n_files=1, n_studies=0, n_series=0)]))
    refuse_other_site(store, "archive-1", "north")
    refuse_other_site(store, "archive-2", "main")
    with pytest.raises(SettingsError, match="--site north"):
        refuse_other_site(store, "archive-1", "main")


def test_T37_a_folder_that_is_empty_now_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    source = open_source(str(folder))
    with Index(tmp_path / "index") as index:
        refuse_emptied(source, index)  # nothing was known of it
        paths = make_ct_series(folder, 2, rows=16, columns=16)
        list(crawl(source, index, read_batch=read_here(source), stable_s=0))
        refuse_emptied(source, index)
        for path in paths:
            path.unlink()
        with pytest.raises(ArchiveUnreachable, match="2 files were found in it before: is it mounted"):
            refuse_emptied(source, index)


def test_columns_of_readings_that_would_not_be_read_are_told() -> None:
    given = ["case_id", "reader", "grade", "Cause", "levle", "not evaluable", "comment", "study_date"]
    assert misspelt_columns(given) == {"Cause": "cause", "levle": "level", "not evaluable": "not_evaluable"}
    assert misspelt_columns(["case_id", "reader", "grade", "level", "cause"]) == {}
