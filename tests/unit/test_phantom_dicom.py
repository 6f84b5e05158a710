"""Series written by the factory read back as they were meant, in every transfer syntax."""

from __future__ import annotations

from pathlib import Path

import libjpeg
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from phantom import jpeg_lossless
from phantom.dicom import outside_circle, write_ct_series

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)


@pytest.fixture
def volume() -> np.ndarray:
    rng = np.random.default_rng(3)
    ramp = np.linspace(-1000, 1400, 40)[None, None, :] + rng.normal(0, 25, (3, 32, 40))
    return np.rint(np.maximum(ramp, -1024)).astype(np.int16)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_T28_every_transfer_syntax_gives_the_same_hu(
    tmp_path: Path, volume: np.ndarray, syntax: str, is_signed: bool
) -> None:
    intercept = 0.0 if is_signed else -1024.0
    paths = write_ct_series(
        tmp_path,
        volume,
        spacing_mm=(2.5, 0.7, 0.8),
        origin_xyz_mm=(-10.0, -20.0, 300.0),
        transfer_syntax=syntax,
        intercept=intercept,
        is_signed=is_signed,
    )
    assert len(paths) == 3
    for k, path in enumerate(paths):
        ds = pydicom.dcmread(path)
        assert ds.file_meta.TransferSyntaxUID == syntax
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert np.array_equal(ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept), volume[k])
        assert [float(v) for v in ds.ImagePositionPatient] == [-10.0, -20.0, 300.0 + 2.5 * k]
        assert [float(v) for v in ds.PixelSpacing] == [0.7, 0.8]
        assert int(ds.InstanceNumber) == k + 1


def test_jpeg_lossless_codes_every_difference() -> None:
    values = np.array([[0, 65535, 0, 32768, 0, 1, 3], [40000, 7232, 65535, 65534, 30000, 5, 0]], np.uint16)
    assert np.array_equal(libjpeg.decode(jpeg_lossless.encode(values)), values)


def test_T26_padding_lies_outside_the_circle(tmp_path: Path, volume: np.ndarray) -> None:
    paths = write_ct_series(
        tmp_path, volume, spacing_mm=(1, 1, 1), is_signed=True, intercept=0, padding=-2000
    )
    ds = pydicom.dcmread(paths[0])
    assert ds.PixelPaddingValue == -2000
    assert np.all(ds.pixel_array[outside_circle(32, 40)] == -2000)
    assert not np.any(ds.pixel_array[~outside_circle(32, 40)] == -2000)


def test_tags_and_slice_tags_override_and_remove(tmp_path: Path, volume: np.ndarray) -> None:
    paths = write_ct_series(
        tmp_path,
        volume,
        spacing_mm=(1, 1, 1),
        tags={"PatientName": "张^伟", "SpecificCharacterSet": "GB18030", "KVP": None},
        slice_tags=lambda k: (
            {"RescaleSlope": "2"} if k == 1 else {"ConvolutionKernel": None} if k == 2 else {}
        ),
        names="{:d}.dcm",
    )
    read = [pydicom.dcmread(p) for p in paths]
    assert [p.name for p in paths] == ["1.dcm", "2.dcm", "3.dcm"]
    assert str(read[0].PatientName) == "张^伟"
    assert [float(d.RescaleSlope) for d in read] == [1, 2, 1]
    assert ["ConvolutionKernel" in d for d in read] == [True, True, False]
    assert all("KVP" not in d for d in read)


def test_slope_and_step_are_kept(tmp_path: Path, volume: np.ndarray) -> None:
    paths = write_ct_series(
        tmp_path, volume, spacing_mm=(3, 1, 1), slope=2.0, step_xyz_mm=(0.0, 1.0, -3.0), names="a{:02d}"
    )
    read = [pydicom.dcmread(p) for p in paths]
    hu = read[1].pixel_array * float(read[1].RescaleSlope) + float(read[1].RescaleIntercept)
    assert np.abs(hu - volume[1]).max() <= 1
    assert [float(v) for v in read[2].ImagePositionPatient] == [0, 2, -6]
    with pytest.raises(ValueError, match="axes"):
        write_ct_series(tmp_path, volume[0], spacing_mm=(1, 1, 1))
