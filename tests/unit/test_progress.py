"""Progress: the estimate, the line, the file that `ovf status` reads."""

import json
from pathlib import Path

import pytest

from flows.progress import Board, duration_text, line_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (600, "10 min"), (7500, "2 h 5 min"), (200_000, "2 d 7 h")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_no_estimate_before_the_crawl_is_done(tmp_path: Path) -> None:
    with Board(tmp_path / "run.json", "r", "none") as board:
        board.counts.studies_found, board.counts.studies_decided = 100, 50
        board.update(force=True)
        assert board.counts.seconds_left is None
        board.counts.is_crawl_done = True
        board.update(force=True)
        assert board.counts.seconds_left is not None


def test_the_file_holds_the_counts(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run.json"
    with Board(path, "r-1", "none") as board:
        board.counts.studies_found = 7
    stored = json.loads(path.read_text())
    assert (stored["run_id"], stored["studies_found"]) == ("r-1", 7)


def test_nothing_left_when_all_are_decided(tmp_path: Path) -> None:
    with Board(tmp_path / "run.json", "r", "none") as board:
        board.counts.is_crawl_done = True
        board.counts.studies_found = board.counts.studies_decided = 3
        board.update(force=True)
        assert board.counts.seconds_left == 0.0
        assert "left" not in line_of(board.counts)
