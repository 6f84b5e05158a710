"""`ovf demo --slabs-only`: slabs with dense truth that open without pickles, and a page that needs nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import run
from flows.errors import Exit
from phantom.slab_sets import ARRAYS

PATIENTS = 5
MOST_PAGE_BYTES = 15 << 20
HEIGHT_TOLERANCE_MM = 2.0  # of a column of labels against the middle height: dishes and rounded rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slabs") / "demo"
    arguments = ["demo", str(folder), "--patients", str(PATIENTS), "--seed", "4", "--slabs-only"]
    assert run([*arguments, "--family", "severe-fractures"]) == Exit.OK
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def bodies_of(made: Path, slab: str) -> list[dict[str, str]]:
    return [row for row in rows(made / "truth_vertebrae.csv") if row["slab"] == slab]


def arrays(made: Path, slab: str) -> Mapping[str, np.ndarray]:
    with np.load(made / "slabs" / f"{slab}.npz", allow_pickle=False) as bundle:
        return {name: bundle[name] for name in bundle.files}


def test_slabs_open_without_pickles_and_have_their_geometry(made: Path) -> None:
    names = [row["slab"] for row in rows(made / "truth.csv")]
    assert names == sorted(path.stem for path in (made / "slabs").iterdir())
    assert len(names) == PATIENTS
    for name in names:
        found = arrays(made, name)
        assert set(found) == set(ARRAYS)
        assert found["slab_xzy_hu"].dtype == np.int16
        assert found["vertebra_label_xzy"].dtype == np.uint8
        assert found["slab_xzy_hu"].shape == found["vertebra_label_xzy"].shape
        assert found["slab_xzy_hu"].shape == tuple(len(found[axis]) for axis in ("x_mm", "z_mm", "y_mm"))
        assert np.allclose(np.diff(found["z_mm"]), -float(found["pixel_mm"]), atol=1e-3)
        assert np.allclose(np.diff(found["x_mm"]), float(found["slice_spacing_mm"]), atol=1e-3)


def test_rows_of_truth_agree_with_each_other(made: Path) -> None:
    for row in rows(made / "truth.csv"):
        shown = [body for body in bodies_of(made, row["slab"]) if body["is_visible"] == "1"]
        fractured = [body for body in shown if body["cause"] == "osteoporotic"]
        assert row["family"] == "severe-fractures"
        assert int(row["has_fracture"]) == bool(fractured)
        assert int(row["worst_grade"]) == max((int(body["grade"]) for body in fractured), default=0)
        assert row["fractured_levels"].split() == [body["level"] for body in fractured]
        assert (row["first_level"], row["last_level"]) == (shown[0]["level"], shown[-1]["level"])
    assert any(row["has_fracture"] == "1" for row in rows(made / "truth.csv"))


def test_labels_have_the_heights_of_the_truth(made: Path) -> None:
    """Pixels of a label against millimetres of truth, at the middle of every body shown whole."""
    n_checked = 0
    for row in rows(made / "truth.csv"):
        found = arrays(made, row["slab"])
        labels, pixel_mm = found["vertebra_label_xzy"], float(found["pixel_mm"])
        for body in bodies_of(made, row["slab"]):
            mask = labels == int(body["label"])
            if body["is_visible"] == "0":
                continue
            where = np.argwhere(mask)
            assert len(where)
            plane = mask[round(float(where[:, 0].mean()))]
            shown = np.flatnonzero(plane.any(axis=1))
            assert shown[0] >= int(body["row_start"]) - 4
            assert shown[-1] < int(body["row_stop"]) + 4
            height_mm = height_of(plane) * pixel_mm
            assert abs(height_mm - float(body["middle_mm"])) < 0.12 * height_mm + HEIGHT_TOLERANCE_MM
            n_checked += 1
    assert n_checked > 8 * PATIENTS


def height_of(mask: np.ndarray) -> float:
    """Height in pixels of a body in a plane (rows, columns) at its middle, along its own axis."""
    columns = np.flatnonzero(mask.any(axis=0))
    middle = columns[len(columns) // 4 : -(len(columns) // 4)]
    rows = np.arange(len(mask)) @ mask[:, middle] / mask[:, middle].sum(axis=0)
    slope = np.polyfit(middle, rows, 1)[0]  # of the line half way between the endplates
    return float(np.median(mask[:, middle].sum(axis=0)) / np.hypot(1, slope))


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """Two patients of the same seed: the first slabs of any number of patients are the same."""
    arguments = ["demo", str(tmp_path / "again"), "--patients", "2", "--seed", "4", "--slabs-only"]
    assert run([*arguments, "--family", "severe-fractures"]) == Exit.OK
    for path in (tmp_path / "again" / "slabs").iterdir():
        assert _digest(path) == _digest(made / "slabs" / path.name)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_page_holds_everything_it_shows(made: Path) -> None:
    page = (made / "index.html").read_text(encoding="utf-8")
    assert len(page) < MOST_PAGE_BYTES
    assert not re.findall(r"https?://|<link|src=\"(?!data:)|url\(", page)
    pictures = re.findall(r'src="data:image/webp;base64,([^"]+)" width="(\d+)" height="(\d+)"', page)
    assert len(pictures) == PATIENTS
    for data, width, height in pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert picture.size == (int(width), int(height))
        assert np.ptp(np.asarray(picture.convert("L"))) > 100
    fractured = [row for row in rows(made / "truth.csv") if row["has_fracture"] == "1"]
    assert page.count('<polygon class="grade-') >= len(fractured)
    assert 'data-family="severe-fractures"' in page


def test_an_unknown_family_is_answered_with_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", str(tmp_path / "x"), "--family", "tall"]) == Exit.SETTINGS
    assert "no family is called tall; there are: base, " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
