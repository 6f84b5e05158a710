"""Reports are drawn in both languages and leave fractures out by grade."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from phantom.reports import COLUMNS, STATEMENTS, draw_report, write_reports


def _statements(grade: int, count: int = 1500) -> list[str]:
    rng = np.random.default_rng(grade)
    drawn = [
        draw_report(rng, worst_grade=grade, levels=("T8",) * (grade > 0), coverage="chest", language="en")
        for _ in range(count)
    ]
    return ["no_report" if r is None else r.statement for r in drawn]


def test_mild_fractures_are_left_out_more_often_than_severe_ones() -> None:
    missed = []
    for grade in (1, 2, 3):
        found = _statements(grade)
        missed.append(np.mean([s in ("absent", "unmentioned") for s in found]))
    assert missed[0] > 0.7 > missed[1] > 0.4 > missed[2] > 0.1


def test_two_percent_of_sound_patients_are_called_fractured() -> None:
    found = _statements(0, 4000)
    assert np.mean([s in ("present", "possible") for s in found]) == pytest.approx(0.02, abs=0.01)
    assert np.mean([s == "no_report" for s in found]) == pytest.approx(0.05, abs=0.015)
    assert set(found) <= set(STATEMENTS)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_present_fracture_is_named_by_its_level(language: str) -> None:
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(60):
        report = draw_report(rng, worst_grade=3, levels=("L1",), coverage="spine", language=language)
        if report is not None and report.statement == "present":
            texts.append(report.text)
    assert len(texts) > 20
    assert all(("腰1" if language == "zh" else "L1") in text for text in texts)


def test_reports_are_written_as_the_contract_says(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    row = dict.fromkeys(COLUMNS, "x") | {"text": 'line one\nsays "no", 骨折'}
    write_reports(path, [row])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [row]
