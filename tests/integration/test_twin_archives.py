"""Twins on disk, from a simulated patient as if it were a real one: DICOM files, slabs, truth, and the command."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from scipy.interpolate import RegularGridInterpolator
from twin_cases import scanned_patient

from flows.errors import SettingsError
from flows.explain import slab_of_files
from flows.verbs.twins import twins
from phantom.dicom import write_ct_series
from phantom.from_real import make_twins
from phantom.real.ct_series import RealSeries, read_ct_series
from phantom.real.twin_archives import MADE_FROM, write_dicom, write_twins
from phantom.real.vertebra_marks import COLUMNS, VertebraMark, line_z

SECRETS = {
    "PatientName": "ZHANG^SECRET",
    "PatientID": "SECRET77",
    "AccessionNumber": "SECRETACC",
    "StationName": "S9",
}


@pytest.fixture(scope="module")
def patient() -> tuple[RealSeries, tuple[VertebraMark, ...]]:
    return scanned_patient()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_dicom_files_show_the_twins(
    tmp_path: Path, patient: tuple[RealSeries, tuple[VertebraMark, ...]]
) -> None:
    series, marks = replace(patient[0], technical={"KVP": "100", "ConvolutionKernel": "B30f"}), patient[1]
    made = write_twins(tmp_path, series, marks, 1, 5)
    rows = {row["scan"]: row for row in rows_of(tmp_path / "truth.csv")}
    assert made.n_scans == len(rows) == 2
    assert sorted(row["kind"] for row in rows.values()) == ["sham", "twin"]
    assert made.n_with_fracture == sum(int(row["has_fracture"]) for row in rows.values())
    expected = {(twin.pair, twin.kind): twin for twin in make_twins(series, marks, 1, 5)}
    for scan, row in rows.items():
        folder = tmp_path / "archive" / "0000" / scan
        again, twin = read_ct_series(folder), expected[int(row["pair"]), row["kind"]]
        assert np.array_equal(again.volume_zyx_hu, twin.series.volume_zyx_hu)
        assert again.origin_xyz_mm == pytest.approx(twin.series.origin_xyz_mm, abs=1e-4)
        ds = dcmread(next(folder.iterdir()), stop_before_pixels=True)
        assert (ds.StudyInstanceUID, ds.SeriesInstanceUID) == (
            row["study_instance_uid"],
            row["series_instance_uid"],
        )
        assert list(ds.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert ds.DerivationDescription == ds.ImageComments == MADE_FROM
        assert (str(ds.KVP), ds.ConvolutionKernel) == ("100", "B30f")
        assert "twin" not in str(ds.SeriesDescription).lower()
    shown = rows_of(tmp_path / "truth_vertebrae.csv")
    assert {row["level"] for row in shown} == {mark.level for mark in marks}


def test_slabs_alone(tmp_path: Path, patient: tuple[RealSeries, tuple[VertebraMark, ...]]) -> None:
    write_twins(tmp_path, *patient, 2, 5, slabs_only=True)
    paths = sorted((tmp_path / "slabs").iterdir())
    assert [path.name for path in paths] == [f"{k:06d}.npz" for k in range(1, 5)]
    labels = {row["scan"]: set() for row in rows_of(tmp_path / "truth.csv")}
    for row in rows_of(tmp_path / "truth_vertebrae.csv"):
        labels[row["scan"]].add(int(row["label"]))
    for path in paths:
        with np.load(path, allow_pickle=False) as slab:
            assert slab["slab_xzy_hu"].shape == slab["vertebra_label_xzy"].shape
            assert len(slab["slab_xzy_hu"]) == 21
            assert set(np.unique(slab["vertebra_label_xzy"])) <= labels[path.stem] | {0}
            assert float(slab["lateral_extent_mm"]) > 200


def test_a_sweep_cuts_the_same_slab(
    tmp_path: Path, patient: tuple[RealSeries, tuple[VertebraMark, ...]]
) -> None:
    """The slab of a twin agrees, where its bodies are, with the one that a sweep cuts from its DICOM files."""
    twin = next(make_twins(*patient, 1, 8, losses=(0.3, 0.5)))
    write_dicom(tmp_path, 1, twin)
    swept, own = slab_of_files(tmp_path), twin.slab()
    record = swept.record
    assert abs(record.middle_x_mm - float(own.x_mm.mean())) < 5
    at = own.x_mm[8:13] - record.middle_x_mm
    axes = (
        (np.arange(len(swept.slab_xzy_hu)) - 10) * 3.0,
        -(record.top_z_mm - np.arange(record.rows) * record.pixel_mm),
        record.anterior_y_mm + np.arange(record.columns) * record.pixel_mm,
    )
    read = RegularGridInterpolator(axes, swept.slab_xzy_hu.astype(float), bounds_error=False)
    expected = read(np.stack(np.meshgrid(at, -own.z_mm, own.y_mm, indexing="ij"), axis=-1))
    near = np.isfinite(expected) & (own.vertebra_label_xzy[8:13] > 0)
    assert near.sum() > 20_000
    difference = (own.slab_xzy_hu[8:13] - expected)[near]
    assert np.sqrt(np.mean(difference**2)) < 15
    assert abs(float(np.median(difference))) < 2


def write_source(folder: Path, series: RealSeries, **tags: str) -> None:
    write_ct_series(
        folder, series.volume_zyx_hu, spacing_mm=series.spacing_mm, origin_xyz_mm=series.origin_xyz_mm,
        step_xyz_mm=(0, 0, -series.spacing_mm[0]), tags=SECRETS | tags, seed="source",
    )  # fmt: skip


def write_table(path: Path, series: RealSeries, marks: tuple[VertebraMark, ...]) -> None:
    lines = [",".join(COLUMNS)]
    for mark in marks:
        x = (mark.x_mm - series.origin_xyz_mm[0]) / series.spacing_mm[2]
        y = [
            (v - series.origin_xyz_mm[1]) / series.spacing_mm[1]
            for v in (mark.y_anterior_mm, mark.y_posterior_mm)
        ]
        z = [
            (series.origin_xyz_mm[2] - float(line_z(line, at))) / series.spacing_mm[0]
            for line in (mark.upper_yz_mm, mark.lower_yz_mm)
            for at in (mark.y_anterior_mm, mark.y_posterior_mm)
        ]
        lines.append(f"one,{mark.level}," + ",".join(f"{v:.2f}" for v in (x, *y, *z)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_command(
    tmp_path: Path, patient: tuple[RealSeries, tuple[VertebraMark, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    series, marks = patient
    source, table, out = tmp_path / "one", tmp_path / "marks.csv", tmp_path / "out"
    write_source(source, series)
    write_table(table, series, marks)
    twins(source, table, out, number=1, seed=2, slabs_only=False, labels=None)
    assert "1 twins and as many shams" in capsys.readouterr().out
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) > 20
    for path in written:
        content = path.read_bytes()
        assert not any(text.encode() in content for text in ("SECRET", "ZHANG")), path.name
    with pytest.raises(SettingsError, match="not empty"):
        twins(source, table, out, number=1, seed=2, slabs_only=True, labels=None)
    write_source(source / "second", series, SeriesInstanceUID="1.2.3")
    with pytest.raises(SettingsError, match="2 CT series"):
        twins(source, table, tmp_path / "more", number=1, seed=2, slabs_only=True, labels=None)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(SettingsError, match="unknown ones: a, b"):
        twins(source / "second", table, tmp_path / "more", number=1, seed=2, slabs_only=True, labels=None)
    assert not (tmp_path / "more").exists()
