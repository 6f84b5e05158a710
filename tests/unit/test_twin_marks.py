"""Tables of endplates: where their bodies lie, and what is said about tables that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from twin_cases import block_series, column

from phantom.real.ct_series import RealDataError, RealSeries
from phantom.real.mark_files import read_marks
from phantom.real.mark_fitting import fit_marks
from phantom.real.vertebra_marks import COLUMNS, line_z, read_box_marks, read_level

SERIES = RealSeries(
    np.zeros((60, 100, 80), np.int16),
    (2.0, 1.0, 1.0),
    (-40.0, -50.0, 300.0),
    2.0,
    address="/archive/a/b/series-1",
)
HEAD = ",".join(COLUMNS)
ROW = "b/series-1,T7?,41,30,60,10,9,20,19.5"


def table(path: Path, *rows: str, head: str = HEAD) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_row_in_millimetres(tmp_path: Path) -> None:
    (mark,) = read_box_marks(table(tmp_path / "t.csv", ROW, "other,T8,1,2,3,4,5,6,7"), SERIES)
    assert (mark.level, mark.is_level_sure) == ("T7", False)
    assert mark.x_mm == pytest.approx(1)
    assert (mark.y_anterior_mm, mark.y_posterior_mm) == pytest.approx((-20, 10))
    assert mark.upper_yz_mm == ((-20, 280), (10, 282))
    assert mark.lower_yz_mm == ((-20, 260), (10, 261))
    flipped = replace(SERIES, is_flipped_yx=(True, True))
    (mark,) = read_box_marks(table(tmp_path / "t.csv", "b/series-1,L1,38,69,39,10,9,20,19.5"), flipped)
    assert mark.x_mm == pytest.approx(1)
    assert (mark.y_anterior_mm, mark.y_posterior_mm) == pytest.approx((-20, 10))


def test_levels_in_words() -> None:
    assert read_level("vertebrae L1") == ("L1", True)
    assert read_level("t07") == ("T7", True)
    assert read_level("T 12 ?") == ("T12", False)
    assert read_level("sacrum") is None


@pytest.mark.parametrize(
    ("rows", "head", "text"),
    [
        ([ROW], HEAD.replace("level", "name"), "lacks the columns level and has unknown ones: name"),
        (["x,T7,41,30,60,10,9,20,19", "y,T8,41,30,60,22,22,30,30"], HEAD, "no row of the table"),
        ([ROW.replace("T7?", "spine")], HEAD, "row 2 of the marks: no level"),
        ([ROW.replace("41", "left")], HEAD, "row 2 of the marks: a place is no number"),
        ([ROW.replace("60", "160")], HEAD, "T7 is marked outside the volume"),
        ([ROW.replace("19.5", "79")], HEAD, "T7 is marked outside the volume"),
        ([ROW.replace("60", "34")], HEAD, "T7 is marked 4 mm deep"),
        ([ROW, ROW.replace("10,9,20,19.5", "30,29,40,39.5")], HEAD, "T7 is marked more than once"),
        ([ROW, ROW.replace("T7", "T8")], HEAD, "marked at one place"),
        (["b/series-1,T7,41,30,60,20,20,10,10"], HEAD, "mm high"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, rows: list[str], head: str, text: str) -> None:
    with pytest.raises(RealDataError, match=text):
        read_box_marks(table(tmp_path / "t.csv", *rows, head=head), SERIES)


def test_files_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(RealDataError, match="no such file"):
        read_marks(tmp_path / "absent.csv", SERIES)
    other = tmp_path / "marks.txt"
    other.write_text("text")
    with pytest.raises(RealDataError, match=r"read from \.csv"):
        read_marks(other, SERIES)


@pytest.mark.parametrize("spacing_mm", [2.5, 4.0])
def test_endplates_read_badly_are_moved_to_the_disc(spacing_mm: float) -> None:
    true = column(disc_mm=6.0)
    series = block_series(true, spacing_mm=spacing_mm, noise_hu=5.0)
    away = 0.8 * min(spacing_mm, 3.0)
    read = tuple(
        replace(
            mark,
            upper_yz_mm=tuple((y, z + away) for y, z in mark.upper_yz_mm) if k else mark.upper_yz_mm,
            lower_yz_mm=tuple((y, z + away) for y, z in mark.lower_yz_mm) if k < 3 else mark.lower_yz_mm,
        )
        for k, mark in enumerate(true)
    )
    for fitted, mark in zip(fit_marks(series, read), true, strict=True):
        for line in ("upper_yz_mm", "lower_yz_mm"):
            error = line_z(getattr(fitted, line), 0.0) - line_z(getattr(mark, line), 0.0)
            assert abs(float(error)) <= 0.5 * away + 0.25
