"""The table of `make bench`: ratios, verdicts, and what is kept of a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are not installed

from benchmarks import results
from benchmarks.measure import Pair, Row, in_turns, row_of

ROW = Row("1", "crawl", "pydicom", "9/s", "3/s", 3.0, 3.0, note="on one core")
MACHINE = {
    "cpu": "Test CPU (family 1, model 2)",
    "cores": 2,
    "flags": ["avx2"],
    "memory_gb": 8.0,
    "load_at_start": 0.1,
    "system": "Linux",
    "python": "3.11",
    "libraries": {"numpy": "2"},
}


def test_ratio_is_the_median_of_the_turns_not_of_the_times() -> None:
    pair = Pair(ours_s=(1.0, 10.0, 1.0), peer_s=(3.0, 20.0, 4.0))
    assert pair.times_faster == pytest.approx(3.0)
    assert pair.spread == (2.0, 4.0)


def test_turns_alternate_after_one_untimed_turn_of_each() -> None:
    calls: list[str] = []
    pair = in_turns(lambda: calls.append("ours"), lambda: calls.append("peer"), turns=2)
    assert calls == ["ours", "peer"] * 3
    assert len(pair.ours_s) == len(pair.peer_s) == 2


@pytest.mark.parametrize(
    ("ratio", "bound", "verdict"),
    [
        (3.0, "at least", "met"),
        (2.9, "at least", "missed"),
        (3.0, "at most", "met"),
        (3.1, "at most", "missed"),
        (None, "at least", "not measurable here"),
    ],
)
def test_verdict(ratio: float | None, bound: str, verdict: str) -> None:
    assert replace(ROW, ratio=ratio, bound=bound).verdict == verdict


def test_a_busy_machine_decides_nothing() -> None:
    assert replace(ROW, ratio=9.0, is_busy=True).verdict == "undecided: busy machine"


def test_row_survives_its_way_through_the_results_file() -> None:
    assert row_of(ROW.as_dict()) == ROW


def test_rows_that_were_not_measured_again_stay(tmp_path) -> None:
    second = replace(ROW, number="2", what="slab")
    results.write_results([ROW, second], MACHINE, tmp_path)
    page = results.write_results([replace(ROW, ours="10/s")], MACHINE, tmp_path).read_text()
    assert "10/s" in page
    assert "9/s" in page  # row 2's
    assert "slab" in page


def test_processor_and_cores_name_the_file(tmp_path) -> None:
    path = results.write_results([ROW], MACHINE, tmp_path)
    assert path.name == "test-cpu-family-1-model-2-2-cores.md"
