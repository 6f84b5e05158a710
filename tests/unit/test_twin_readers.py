"""Reading what twins are made from: CT series, sagittal images, NIfTI label maps, DICOM segmentations."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from phantom.dicom import SAGITTAL, write_ct_series
from phantom.real.ct_series import RealDataError, read_ct_series, read_sagittal_image
from phantom.real.mask_marks import TOTALSEGMENTATOR, VERSE, marks_of_labels, marks_of_masks, scheme_of
from phantom.real.nifti import _HEADER, PlacedArray, read_ct_volume, read_nifti
from phantom.real.scan_files import read_real_scan
from phantom.real.segmentations import SEGMENTATION, is_segmentation, read_segmentation

RAMP = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


@pytest.mark.parametrize(
    ("orientation", "stored", "origin"),
    [
        ((1, 0, 0, 0, 1, 0), np.s_[:, :, :], (10, 20, 30)),
        ((-1, 0, 0, 0, 1, 0), np.s_[:, :, ::-1], (10 + 6 * 0.8, 20, 30)),
        ((-1, 0, 0, 0, -1, 0), np.s_[:, ::-1, ::-1], (10 + 6 * 0.8, 20 + 5 * 0.7, 30)),
    ],
)
def test_a_series_is_turned_to_the_patient(tmp_path: Path, orientation, stored, origin) -> None:
    write_ct_series(
        tmp_path, RAMP[stored], spacing_mm=(2.0, 0.7, 0.8), origin_xyz_mm=origin, orientation=orientation,
        step_xyz_mm=(0, 0, -2.0),
    )  # fmt: skip
    series = read_ct_series(tmp_path)
    assert np.array_equal(series.volume_zyx_hu, RAMP)
    assert series.origin_xyz_mm == pytest.approx((10, 20, 30))
    assert series.spacing_mm == pytest.approx((2.0, 0.7, 0.8))
    assert series.is_flipped_yx == (orientation[4] < 0, orientation[0] < 0)
    assert series.z_mm[-1] == pytest.approx(22)


def test_what_is_no_usable_series_says_why(tmp_path: Path) -> None:
    def refused(name: str, text: str) -> None:
        with pytest.raises(RealDataError, match=text):
            read_ct_series(tmp_path / name)

    refused("absent", "there is no folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("not an image")
    refused("empty", "no CT series")
    for seed in (1, 2):
        write_ct_series(tmp_path / "two" / str(seed), RAMP, spacing_mm=(2.0, 1.0, 1.0), seed=seed)
    refused("two", r"2 CT series in one folder \(of 5, 5 images\)")
    write_ct_series(tmp_path / "gap", RAMP, spacing_mm=(2.0, 1.0, 1.0))[2].unlink()
    refused("gap", "unevenly spaced")
    write_ct_series(
        tmp_path / "lean", RAMP, spacing_mm=(2.0, 1.0, 1.0), orientation=(1, 0, 0, 0, 0.94, 0.342)
    )
    refused("lean", "lean by more than 5 degrees")


def test_a_sagittal_image_has_one_column(tmp_path: Path) -> None:
    (path,) = write_ct_series(
        tmp_path, RAMP[:1], spacing_mm=(3.0, 0.9, 1.1), origin_xyz_mm=(4, -50, 100), orientation=SAGITTAL
    )
    image = read_sagittal_image(path)
    assert image.volume_zyx_hu.shape == (6, 7, 1)
    assert np.array_equal(image.volume_zyx_hu[:, :, 0], RAMP[0])
    assert image.spacing_mm == pytest.approx((0.9, 1.1, 3.0))
    assert image.z_mm[1] == pytest.approx(99.1)
    assert image.y_mm[1] == pytest.approx(-48.9)
    (axial,) = write_ct_series(tmp_path / "axial", RAMP[:1], spacing_mm=(3.0, 1.0, 1.0))
    with pytest.raises(RealDataError, match="not sagittal"):
        read_sagittal_image(axial)


def nifti_bytes(values: np.ndarray, srow: np.ndarray | None, order: str = "<", **changes: object) -> bytes:
    header = np.zeros((), _HEADER.newbyteorder(order))
    header["sizeof_hdr"], header["magic"], header["vox_offset"] = 348, b"n+1\0", 352
    header["dim"][:4], header["dim"][4:] = (3, *values.shape), 1
    header["datatype"], header["bitpix"] = {"uint8": (2, 8), "int16": (4, 16)}[values.dtype.name]
    header["pixdim"][:4] = (1, 1, 1, 1)
    if srow is not None:
        header["sform_code"], header["srow"] = 1, srow
    for name, value in changes.items():
        header[name] = value
    data = values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")
    return header.tobytes() + b"\0" * 4 + data


TO_RAS = np.array([[-2.0, 0, 0, 30], [0, 3.0, 0, -40], [0, 0, 4.0, 50]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_nifti_values_and_places(tmp_path: Path, order: str, is_packed: bool) -> None:
    content = nifti_bytes(RAMP, TO_RAS, order)
    path = tmp_path / "mask.nii"
    path.write_bytes(gzip.compress(content) if is_packed else content)
    placed = read_nifti(path)
    assert np.array_equal(placed.values_ijk, RAMP)
    # RAS (30 - 2, -40 + 3, 50 + 4) of index (1, 1, 1) is LPS (-28, 37, 54).
    assert placed.to_lps_mm @ [1, 1, 1, 1] == pytest.approx([-28, 37, 54, 1])


def test_nifti_by_quaternion_and_scale(tmp_path: Path) -> None:
    # A quarter turn about z: index i runs along +y of RAS, j along -x.
    half = np.sqrt(0.5)
    content = nifti_bytes(
        RAMP, None, qform_code=1, quatern=(0, 0, half), qoffset=(5, 6, 7), pixdim=(1, 2, 3, 4, 0, 0, 0, 0),
        scl_slope=2.0, scl_inter=1.0,
    )  # fmt: skip
    path = tmp_path / "mask.nii"
    path.write_bytes(content)
    placed = read_nifti(path)
    assert np.array_equal(placed.values_ijk, 2.0 * RAMP + 1)
    assert placed.to_lps_mm @ [1, 0, 0, 1] == pytest.approx([-5, -8, 7, 1])
    assert placed.to_lps_mm @ [0, 1, 0, 1] == pytest.approx([-2, -6, 7, 1])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"short", "no NIfTI-1 file"),
        (nifti_bytes(RAMP, TO_RAS)[:-5], "cut short"),
        (nifti_bytes(RAMP, None), "does not say where"),
        (nifti_bytes(RAMP, np.zeros((3, 4))), "broken place"),
        (nifti_bytes(RAMP, TO_RAS, datatype=128), "numbers of a kind"),
        (nifti_bytes(RAMP, TO_RAS, dim=(3, 30000, 30000, 30000, 1, 1, 1, 1)), "too large"),
        (nifti_bytes(RAMP, TO_RAS, dim=(4, 5, 6, 7, 3, 1, 1, 1)), "one three-dimensional"),
        (b"\x1f\x8b" + b"\0" * 40, "cannot be read"),
    ],
)
def test_broken_nifti_says_why(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(content)
    with pytest.raises(RealDataError, match=text):
        read_nifti(path)


@pytest.mark.parametrize(
    "to_ras",
    [
        TO_RAS,
        np.array([[2.0, 0, 0, 30], [0, -3.0, 0, -40], [0, 0, -4.0, 50]]),
        np.array([[0, 0, -2.0, 30], [3.0, 0, 0, -40], [0, 4.0, 0, 50]]),  # stored as sagittal slices
    ],
)
def test_every_voxel_of_a_nifti_ct_keeps_its_place(tmp_path: Path, to_ras: np.ndarray) -> None:
    hu = (RAMP - 1000).astype(np.int16)
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(hu, to_ras))
    series = read_ct_volume(path)
    to_index = np.linalg.inv(np.vstack([to_ras, [0, 0, 0, 1]]))
    for (z, y, x), value in np.ndenumerate(series.volume_zyx_hu):
        ras = (-series.x_mm[x], -series.y_mm[y], series.z_mm[z], 1)
        index = np.rint(to_index @ ras)[:3].astype(int)
        assert hu[tuple(index)] == value
    assert (np.diff(series.z_mm) < 0).all()
    assert series.thickness_mm == series.spacing_mm[0] == 4.0


def test_a_nifti_that_is_no_ct_says_why(tmp_path: Path) -> None:
    path = tmp_path / "mask.nii"
    path.write_bytes(nifti_bytes(RAMP, TO_RAS))
    with pytest.raises(RealDataError, match="no CT in HU"):
        read_ct_volume(path)
    leaning = np.array([[2.0, 0.5, 0, 30], [-0.5, 3.0, 0, -40], [0, 0, 4.0, 50]])
    path.write_bytes(nifti_bytes((RAMP - 1000).astype(np.int16), leaning))
    with pytest.raises(RealDataError, match="lean"):
        read_ct_volume(path)


def test_a_real_scan_is_read_from_whatever_holds_it(tmp_path: Path) -> None:
    folder, volume = tmp_path / "series", tmp_path / "CT.NII.GZ"
    write_ct_series(
        folder, RAMP, spacing_mm=(2.0, 0.7, 0.8), origin_xyz_mm=(0, 0, 0), orientation=(1, 0, 0, 0, 1, 0),
        step_xyz_mm=(0, 0, -2.0),
    )  # fmt: skip
    volume.write_bytes(gzip.compress(nifti_bytes((RAMP - 1000).astype(np.int16), TO_RAS)))
    assert read_real_scan(folder).spacing_mm == (2.0, 0.7, 0.8)
    assert read_real_scan(volume).spacing_mm == (4.0, 3.0, 2.0)
    with pytest.raises(RealDataError, match="there is no folder"):
        read_real_scan(tmp_path / "nothing.dcm")


def vertebra_mask() -> np.ndarray:
    """A body and its spinous process on a grid of 2 mm (z down, y back, x left), the canal between them."""
    mask = np.zeros((30, 50, 30), bool)
    mask[8:20, 5:20, 4:26] = True  # 24 mm high, 30 deep, 44 wide
    mask[12:26, 30:46, 13:17] = True
    return mask


TO_LPS = np.array([[0, 0, 2.0, -29], [0, 2.0, 0, 100], [-2.0, 0, 0, 500], [0, 0, 0, 1]])


def check_the_vertebra(mark) -> None:
    assert mark.level == "L1"
    assert mark.x_mm == pytest.approx(0, abs=0.1)
    assert (mark.y_anterior_mm, mark.y_posterior_mm) == pytest.approx((109, 139))
    assert [z for _, z in mark.upper_yz_mm] == pytest.approx([485] * 7)
    assert [z for _, z in mark.lower_yz_mm] == pytest.approx([461] * 7)


def test_marks_of_a_label_map_however_it_lies() -> None:
    mask = vertebra_mask()
    placed = PlacedArray((mask * 31).astype(np.uint8), TO_LPS)
    (mark,) = marks_of_labels(placed)
    check_the_vertebra(mark)
    flipped = TO_LPS.copy()
    flipped[:3, 3] += flipped[:3, 0] * 29
    flipped[:3, 0] *= -1
    turned = PlacedArray((mask[::-1].transpose(2, 0, 1) * 20).astype(np.int16), flipped[:, [2, 0, 1, 3]])
    (mark,) = marks_of_labels(turned)
    check_the_vertebra(mark)
    cut = PlacedArray(placed.values_ijk[10:], TO_LPS)
    with pytest.raises(RealDataError, match="no vertebra"):
        marks_of_labels(cut)


def test_numberings_of_labels() -> None:
    assert TOTALSEGMENTATOR[31] == VERSE[20] == "L1"
    assert TOTALSEGMENTATOR[43] == VERSE[8] == "T1"
    assert TOTALSEGMENTATOR[27] == VERSE[24] == "L5"
    assert scheme_of(np.array([0, 19, 20, 26])) is VERSE
    assert scheme_of(np.array([0, 26, 27, 31])) is TOTALSEGMENTATOR
    assert scheme_of(np.array([0, 26])) is TOTALSEGMENTATOR


def segmentation_of(mask: np.ndarray, labels: tuple[str, ...]) -> Dataset:
    """A binary DICOM SEG with one segment a label, all of the same mask; frames without it are left out."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SEGMENTATION
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.Modality, ds.SegmentationType = "SEG", "BINARY"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = mask.shape[1:]
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    segments, frames, pixels = [], [], []
    for number, text in enumerate(labels, start=1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, text
        segments.append(segment)
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            frame, place, own = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [-29, 100, 500 - 2 * float(k)]
            own.ReferencedSegmentNumber = number
            frame.PlanePositionSequence = Sequence([place])
            frame.SegmentIdentificationSequence = Sequence([own])
            frames.append(frame)
            pixels.append(mask[k])
    shared, direction, measures = Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [2, 2], 2
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = (
        Sequence([direction]),
        Sequence([measures]),
    )
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.SegmentSequence, ds.PerFrameFunctionalGroupsSequence = Sequence(segments), Sequence(frames)
    ds.NumberOfFrames = len(frames)
    ds.PixelData = pack_bits(np.stack(pixels).astype(np.uint8))
    return ds


def test_marks_of_a_dicom_segmentation(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    segmentation_of(vertebra_mask(), ("liver", "vertebrae_L1", "rib_left_12")).save_as(
        path, enforce_file_format=True
    )
    assert is_segmentation(path)
    found = list(read_segmentation(path))
    assert [level for level, _ in found] == ["L1"]
    (mark,) = marks_of_masks(iter(found))
    check_the_vertebra(mark)


def test_a_segmentation_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    ds = segmentation_of(vertebra_mask(), ("Vertebra T12",))
    ds.SegmentationType = "FRACTIONAL"
    ds.save_as(path, enforce_file_format=True)
    with pytest.raises(RealDataError, match="fractional"):
        list(read_segmentation(path))
    ds.SegmentationType = "BINARY"
    del ds.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    ds.save_as(path, enforce_file_format=True)
    with pytest.raises(RealDataError, match="no place"):
        list(read_segmentation(path))
    path.write_text("no DICOM")
    assert not is_segmentation(path)
    with pytest.raises(RealDataError, match="no DICOM"):
        list(read_segmentation(path))
