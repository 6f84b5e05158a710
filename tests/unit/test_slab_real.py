"""The slab stage on real CTs: the spine is in the picture, upright, and every transfer syntax gives one image."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
from slab_cases import FolderSource

from tasks.decode import FrameReader, Window
from tasks.instance import FileRef
from tasks.jpeg2000 import read_slab, write_slab
from tasks.plan import PixelFormat, PlannedSlice, SeriesPlan
from tasks.slab import Slab, build_slab

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def planned(path: Path, root: Path) -> tuple[PlannedSlice, pydicom.Dataset]:
    """One file as a planned slice, by pydicom: the project's own reader is tested elsewhere."""
    ds = pydicom.dcmread(path, defer_size=1024)
    uid = str(ds.file_meta.TransferSyntaxUID)
    raw = ds.get_item("PixelData")
    offset = getattr(raw, "value_tell", None)
    offset = raw.file_tell if offset is None else offset
    position = [float(value) for value in ds.get("ImagePositionPatient", (0, 0, 0))]
    orientation = [float(value) for value in ds.get("ImageOrientationPatient", (1, 0, 0, 0, 1, 0))]
    pixels = PixelFormat(
        uid, 1, ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit,
        ds.PixelRepresentation, ds.get("PixelPaddingValue"), None,
    )  # fmt: skip
    ref = FileRef(str(path.relative_to(root)).encode(), None, path.stat().st_size)
    return PlannedSlice(
        file=ref,
        frame=0,
        n_frames=1,
        position_mm=(position[0], position[1], position[2]),
        along_normal_mm=float(np.cross(orientation[:3], orientation[3:]) @ position),
        slope=float(ds.RescaleSlope),
        intercept=float(ds.RescaleIntercept),
        pixel_offset=offset,
        pixel_length=ds.Rows * ds.Columns * 2 if uid in NATIVE else None,
        pixels=pixels,
    ), ds


def plan_of_files(paths: list[Path], root: Path, plane: str = "axial") -> tuple[SeriesPlan, FolderSource]:
    found = [planned(path, root) for path in paths]
    slices = tuple(sorted((item for item, _ in found), key=lambda item: item.along_normal_mm))
    ds = found[0][1]
    gaps = np.diff([item.along_normal_mm for item in slices])
    orientation = tuple(float(value) for value in ds.get("ImageOrientationPatient", (1, 0, 0, 0, 1, 0)))
    spacing = [float(value) for value in ds.get("PixelSpacing", (1, 1))]
    return SeriesPlan(
        "study", "series", "revision", plane, None, ds.Rows, ds.Columns, spacing[0], spacing[1],
        orientation, float(ds.get("SliceThickness", 1)),  # type: ignore[arg-type]
        float(np.median(gaps)) if len(gaps) else None, 0.0, 0.0, False, (), slices, 0,
    ), FolderSource(root)  # fmt: skip


def volume_slab(real_data: Path, name: str) -> Slab:
    paths = sorted((real_data / "ct" / name).glob("*.dcm"))
    return build_slab(*plan_of_files(paths, real_data))


@pytest.mark.parametrize("name", ["acrin_flt_ap_4p25mm", "cmb_crc_chest_2p5mm"])
def test_vertebrae_lie_where_a_reader_saw_them(real_data: Path, name: str, tmp_path: Path) -> None:
    """Bodies marked by eye hold bone in the slab's middle: it is upright, unmirrored and in place."""
    slab = volume_slab(real_data, name)
    record = slab.record
    assert record.midline_method == "skin"
    assert record.spine_mm is not None
    assert record.spine_mm > 200
    paths = sorted((real_data / "ct" / name).glob("*.dcm"))
    plan, _ = plan_of_files(paths, real_data)
    top_down = sorted(plan.slices, key=lambda item: -item.position_mm[2])
    with (real_data / "labels" / "vertebra_boxes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if name in " ".join(row.values())]
    assert rows
    middle = slab.slab_xzy_hu[9:12].mean(axis=0)
    for row in rows:
        inside = _body_of(row, top_down, plan, slab, middle)
        assert inside.size > 100
        assert np.median(inside) > 100, row
    write_slab(tmp_path / "slab.jp2", slab)
    bone = slab.slab_xzy_hu > 150
    error = read_slab(tmp_path / "slab.jp2").slab_xzy_hu[bone].astype(float) - slab.slab_xzy_hu[bone]
    assert np.sqrt(np.mean(error**2)) < 10


def _body_of(
    row: dict[str, str], top_down: list[PlannedSlice], plan: SeriesPlan, slab: Slab, middle: np.ndarray
) -> np.ndarray:
    """The part of the middle image inside a marked vertebral body, its outer fifth left out."""
    ends = [
        (float(row[f"{end}_anterior_slice"]) + float(row[f"{end}_posterior_slice"])) / 2
        for end in ("top", "bottom")
    ]
    z_mm = np.interp(ends, np.arange(len(top_down)), [item.position_mm[2] for item in top_down])
    first_y = top_down[0].position_mm[1]
    y_mm = [first_y + float(row[f"y_{side}_px"]) * plan.row_spacing_mm for side in ("anterior", "posterior")]
    record = slab.record
    rows = [round((record.top_z_mm - float(z)) / record.pixel_mm) for z in z_mm]
    columns = [round((y - record.anterior_y_mm) / record.pixel_mm) for y in y_mm]
    dr, dc = (rows[1] - rows[0]) // 5, (columns[1] - columns[0]) // 5
    return middle[rows[0] + dr : rows[1] - dr, columns[0] + dc : columns[1] - dc]


def test_native_sagittal_reformats_show_their_spine(real_data: Path) -> None:
    paths = sorted((real_data / "sagittal_nysbu").glob("*/sagittal/*.dcm"))
    assert len(paths) >= 10
    for path in paths:
        record = build_slab(*plan_of_files([path], real_data, "sagittal")).record
        assert record.midline_method == "native"
        assert record.spine_mm is not None
        assert record.spine_mm > 200


def test_T28_T29_one_slice_in_many_transfer_syntaxes(real_data: Path) -> None:
    folder = real_data / "edge" / "cornerstone"
    plain = next(folder.glob("*LittleEndianExplicit*1.2.1.dcm"))
    plan, source = plan_of_files([plain], real_data)
    expected = FrameReader(plan, source).read_hu(plan.slices[0])
    lossless = [*folder.glob("*ImplicitTransfer*"), *folder.glob("*BigEndian*"), *folder.glob("*Deflated*")]
    lossless += [*folder.glob("*RLE*"), *folder.glob("*Process14*"), *folder.glob("*JPEGLSLossless*")]
    lossless += [*folder.glob("*JPEG2000LosslessOnly*")]
    assert len(lossless) == 8
    window = Window(100, 400, 190, 330)
    for path in lossless:
        plan, source = plan_of_files([path], real_data)
        reader = FrameReader(plan, source)
        assert np.array_equal(reader.read_hu(plan.slices[0]), expected), path.name
        assert np.array_equal(reader.read_hu(plan.slices[0], window), expected[100:400, 190:330]), path.name


def test_T30_lossy_frames_are_decoded_as_pydicom_does(real_data: Path) -> None:
    folder = real_data / "edge" / "cornerstone"
    for uid in (
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91",
    ):
        path = next(folder.glob(f"*{uid}.dcm"))
        plan, source = plan_of_files([path], real_data)
        ds = pydicom.dcmread(path)
        expected = np.clip(ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept), -1024, 3071)
        assert np.abs(FrameReader(plan, source).read_hu(plan.slices[0]) - expected).max() <= 1, uid
