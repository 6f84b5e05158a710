"""Erasing a study from the index: nothing of it can be read from the files any more; other studies stay."""

from __future__ import annotations

from pathlib import Path

from crawl_tools import is_conserved, run, studies
from factory import make_ct_series, uid

from tasks.index import Index


def test_erased_study_leaves_no_trace_and_is_read_again_while_its_files_stay(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for seed in range(3):
        make_ct_series(archive / str(seed), 4, seed=seed)
    with Index(tmp_path / "index", partitions=2) as index:
        run(archive, index)
        before = studies(index)
        gone = uid("study", 1)
        assert index.erase([gone]) == 4
        assert set(studies(index)) == set(before) - {gone}
        assert is_conserved(index)
    leftovers = [path for path in (tmp_path / "index").iterdir() if gone.encode() in path.read_bytes()]
    assert leftovers == []
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert set(studies(index)) == set(before)
        assert is_conserved(index)


def test_erasing_an_unknown_study_does_nothing(tmp_path: Path) -> None:
    make_ct_series(tmp_path / "archive", 2)
    with Index(tmp_path / "index") as index:
        run(tmp_path / "archive", index)
        assert index.erase(["1.2.3"]) == 0
        assert len(studies(index)) == 1
