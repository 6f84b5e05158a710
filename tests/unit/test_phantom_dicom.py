"""Series written by the factory read back as they were meant, in every transfer syntax."""

from __future__ import annotations

from pathlib import Path

import libjpeg
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from phantom.dicom import outside_circle, write_ct_series
from phantom.files import jpeg_lossless
from phantom.files.names import Person, TextHabit, patient_name
from phantom.files.private_tags import draw_private
from phantom.files.vendors import LINES, Storage

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLossless,
)
STORAGES = sorted({storage for line in LINES for storage in line.storages}, key=str)
WANG = Person("1", "P1", "", True, "王^小东", "Wang^XiaoDong", "M")


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


@pytest.mark.parametrize("selection", range(1, 8))
def test_jpeg_lossless_codes_every_difference(selection: int) -> None:
    values = np.array([[0, 65535, 0, 32768, 0, 1, 3], [40000, 7232, 65535, 65534, 30000, 5, 0]], np.uint16)
    assert np.array_equal(libjpeg.decode(jpeg_lossless.encode(values, selection=selection)), values)


@pytest.mark.parametrize(("syntax", "limit"), [(JPEGLSNearLossless, 2), (JPEG2000, 250)])
def test_T30_lossy_syntaxes_lose_little(tmp_path: Path, volume: np.ndarray, syntax: str, limit: int) -> None:
    path = write_ct_series(tmp_path, volume, spacing_mm=(1, 1, 1), transfer_syntax=syntax, bits_stored=12)[0]
    ds = pydicom.dcmread(path)
    lost = np.abs(ds.pixel_array.astype(int) + int(ds.RescaleIntercept) - volume[0])
    assert 0 < lost.max() <= limit


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_T25_every_storage_of_a_maker_keeps_the_hu(
    tmp_path: Path, volume: np.ndarray, storage: Storage
) -> None:
    path = write_ct_series(
        tmp_path,
        volume,
        spacing_mm=(1, 1, 1),
        slope=storage.slope,
        intercept=storage.intercept,
        is_signed=storage.is_signed,
        bits_stored=storage.bits_stored,
        padding=storage.padding,
        tags={"PixelPaddingValue": storage.padding_tag, "RescaleType": storage.rescale_type},
    )[0]
    ds = pydicom.dcmread(path)
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    inside = ~outside_circle(32, 40) if storage.padding is not None else np.ones((32, 40), bool)
    assert np.abs(hu - volume[0])[inside].max() <= max(0.0, storage.slope - 1)
    assert ds.get("PixelPaddingValue") == storage.padding_tag
    assert (ds.BitsStored, ds.HighBit) == (storage.bits_stored, storage.bits_stored - 1)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("maker", sorted({line.private for line in LINES} - {""}))
def test_private_blocks_are_read_back_by_their_creators(
    tmp_path: Path, volume: np.ndarray, maker: str, syntax: str
) -> None:
    elements = draw_private(np.random.default_rng(7), maker)
    path = write_ct_series(tmp_path, volume, spacing_mm=(1, 1, 1), transfer_syntax=syntax, private=elements)[
        0
    ]
    ds = pydicom.dcmread(path)
    assert elements
    for one in elements:
        read = ds.private_block(one.group, one.creator)[one.offset]
        if syntax != ImplicitVRLittleEndian:
            assert one.vr == read.VR
            assert str(read.value) == str(one.value)
    assert np.array_equal(ds.pixel_array.astype(int) - 1024, volume[0])


@pytest.mark.parametrize(
    "habit",
    [
        TextHabit("GB18030"),
        TextHabit("GBK"),
        TextHabit("ISO_IR 192"),
        TextHabit(["", "ISO 2022 IR 58"]),
        TextHabit("ISO_IR 100", "gbk"),
    ],
    ids=lambda habit: habit.label,
)
@pytest.mark.parametrize("form", range(4))
def test_T45_chinese_names_and_descriptions_come_back(
    tmp_path: Path, volume: np.ndarray, habit: TextHabit, form: int
) -> None:
    tags = {
        "SpecificCharacterSet": habit.declared,
        "PatientName": patient_name(WANG, habit, form),
        "StudyDescription": habit.written("胸部CT平扫"),
    }
    ds = pydicom.dcmread(write_ct_series(tmp_path, volume, spacing_mm=(1, 1, 1), tags=tags)[0])
    name, description = str(ds.PatientName), ds.StudyDescription
    if habit.lies_in:
        name, description = (text.encode("latin-1").decode(habit.lies_in) for text in (name, description))
    name, description = (text.replace("\x1b$)A", "") for text in (name, description))  # pydicom leaves these
    forms = ("王^小东", "Wang^XiaoDong=王^小东", "WANG XIAODONG", "王小东")
    assert name == forms[form]
    assert description == "胸部CT平扫"


def test_T45_latin_names_keep_their_accents_where_the_set_has_them(
    tmp_path: Path, volume: np.ndarray
) -> None:
    person = Person("1", "P1", "", False, "Sørensen^Åsa", "", "F")
    for number, (habit, expected) in enumerate(
        [
            (TextHabit("ISO_IR 100"), "Sørensen^Åsa"),
            (TextHabit("ISO_IR 192"), "Sørensen^Åsa"),
            (TextHabit("ISO_IR 6"), "Sorensen^Asa"),
        ]
    ):
        tags = {"SpecificCharacterSet": habit.declared, "PatientName": patient_name(person, habit, 0)}
        path = write_ct_series(tmp_path / str(number), volume, spacing_mm=(1, 1, 1), tags=tags)[0]
        assert str(pydicom.dcmread(path).PatientName) == expected


def test_T26_padding_lies_outside_the_circle(tmp_path: Path, volume: np.ndarray) -> None:
    paths = write_ct_series(
        tmp_path, volume, spacing_mm=(1, 1, 1), is_signed=True, intercept=0, padding=-2000
    )
    ds = pydicom.dcmread(paths[0])
    assert ds.PixelPaddingValue == -2000
    assert np.all(ds.pixel_array[outside_circle(32, 40)] == -2000)
    assert not np.any(ds.pixel_array[~outside_circle(32, 40)] == -2000)


def test_T26_a_shifted_circle_puts_padding_inside(tmp_path: Path, volume: np.ndarray) -> None:
    shift = (0.1, -0.1)
    path = write_ct_series(
        tmp_path, volume, spacing_mm=(1, 1, 1), is_signed=True, padding=-3024, padding_shift=shift
    )[0]
    ds = pydicom.dcmread(path)
    assert np.array_equal(ds.pixel_array == -3024, outside_circle(32, 40, shift))
    assert np.any(ds.pixel_array[~outside_circle(32, 40)] == -3024)


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
