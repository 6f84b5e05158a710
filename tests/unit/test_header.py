"""One file in, one instance or one reason out: rows T01 to T09, T23, T36, T45 and T61 of the fault catalogue."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from factory import ct_dataset, make_ct_series, make_enhanced_ct, uid, write_dicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from phantom.dicom import item_of
from tasks.header import ZipFound, dataset_offset, read_instance
from tasks.instance import FileIssue, FileRef, Instance


def read(data: bytes, **options: bool) -> Instance | FileIssue | ZipFound:
    return read_instance(io.BytesIO(data), FileRef(b"name"), **options)


def bytes_of(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def image(**options: object) -> bytes:
    return bytes_of(ct_dataset(**options))  # type: ignore[arg-type]


def reason(data: bytes, **options: bool) -> tuple[str, str, str | None]:
    found = read(data, **options)
    assert isinstance(found, FileIssue), found
    return found.outcome, found.reason, found.detail


def instance(data: bytes, **options: bool) -> Instance:
    found = read(data, **options)
    assert isinstance(found, Instance), found
    return found


def test_a_plain_image_is_read_whole() -> None:
    found = instance(image(seed=3))
    assert (found.patient_id, found.modality, found.rows, found.n_frames) == ("PID0003", "CT", 32, 1)
    assert found.position_mm == (-200.0, -200.0, 0.0)
    assert found.pixel_length == 2048
    assert found.pixel_offset is not None
    assert image(seed=3)[found.pixel_offset :] == ct_dataset(seed=3).PixelData


def test_T01_an_empty_file_is_quarantined() -> None:
    assert reason(b"") == ("quarantined", "empty", None)


@pytest.mark.parametrize(
    "data",
    [b"just text\n" * 100, b"\xff\xd8\xff\xe0" + b"\0" * 500, b"x", b"\0" * 4096, b"\xd0\xcf\x11\xe0" * 99],
)
def test_T02_what_is_not_dicom_is_excluded_by_its_magic(data: bytes) -> None:
    assert reason(data) == ("excluded", "not_dicom", None)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_T03_a_bare_data_set_needs_the_option(syntax: str) -> None:
    whole = image(transfer_syntax=syntax)
    bare = whole[dataset_offset(io.BytesIO(whole)) :]
    assert reason(bare) == ("quarantined", "no_meta", None)
    found = instance(bare, accept_no_meta=True)
    assert "no_meta" in found.remarks
    assert found.sop_instance_uid == instance(whole).sop_instance_uid
    assert found.rows == 32


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_T04_a_file_that_ends_in_its_pixels_is_quarantined(syntax: str) -> None:
    found = read(image(transfer_syntax=syntax)[:-100])
    assert isinstance(found, FileIssue)
    assert (found.outcome, found.reason, found.detail) == ("quarantined", "truncated", "missing_bytes=100")
    # It still names its series, which is incomplete without it.
    assert found.series_instance_uid == uid("series", 0)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_T04_encapsulated_pixels_that_end_early_are_quarantined(syntax: str) -> None:
    whole = image(transfer_syntax=syntax)
    assert instance(whole).pixel_length is None
    for cut in (4, 8, 9, 60):
        assert reason(whole[:-cut])[1] == "truncated"
    padded = whole + b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 16) + b"\0" * 16
    assert instance(padded).pixel_length is None


def test_T04_deflated_pixels_that_end_early_are_quarantined() -> None:
    whole = image(transfer_syntax=DeflatedExplicitVRLittleEndian, rows=64, columns=64)
    assert instance(whole).rows == 64
    assert reason(whole[: len(whole) // 2])[1] == "truncated"


def test_T05_a_file_that_ends_in_its_header_names_what_is_missing() -> None:
    whole = image()
    offset = instance(whole).pixel_offset
    assert offset is not None
    assert reason(whole[: offset - 12]) == ("quarantined", "missing_mandatory:7FE00010", None)
    assert reason(whole[:400])[1].startswith("missing_mandatory:00080018,0020000D,0020000E")


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_T05_an_image_needs_the_uids_that_name_it(keyword: str) -> None:
    tags = {"SOPInstanceUID": "00080018", "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E"}
    for value in (None, ""):
        assert reason(image(**{keyword: value}))[1] == f"missing_mandatory:{tags[keyword]}"


def test_T05_every_cut_of_a_file_gets_a_reason() -> None:
    whole = image()
    for end in range(1, len(whole), 7):
        outcome, _, _ = reason(whole[:end])
        assert outcome in ("quarantined", "excluded")


@pytest.mark.parametrize("rows", [33, 31, 16])
def test_T06_T07_rows_that_disagree_with_the_pixels_are_quarantined(rows: int) -> None:
    expected = f"found_bytes=2048 expected_bytes={rows * 64}"
    assert reason(image(Rows=rows)) == ("quarantined", "size_mismatch", expected)


def test_T07_an_odd_length_may_be_padded() -> None:
    ds = ct_dataset(Rows=3, Columns=3, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = b"\1" * 10
    ds["PixelData"].VR = "OW"
    assert instance(bytes_of(ds)).pixel_length == 10


@pytest.mark.parametrize(
    "attributes",
    [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2**31 - 1}, {"Rows": 0}, {"BitsAllocated": 65535}],
)
def test_T08_impossible_sizes_are_quarantined(attributes: dict[str, int]) -> None:
    assert reason(image(**attributes)) == ("quarantined", "dims", None)


def test_T08_rows_of_four_bytes_are_quarantined() -> None:
    short = b"\x28\0\x10\0US\2\0" + struct.pack("<H", 32)
    assert short in image()
    forged = image().replace(short, b"\x28\0\x10\0UL\4\0" + struct.pack("<I", 1 << 20))
    assert reason(forged) == ("quarantined", "dims", None)


def deep_sequence(levels: int, is_undefined: bool) -> bytes:
    """A sequence in a sequence in a sequence, as an explicit element (0008,1140)."""
    inner = b""
    for _ in range(levels):
        undefined = 0xFFFFFFFF
        item = struct.pack("<HHI", 0xFFFE, 0xE000, undefined if is_undefined else len(inner)) + inner
        if is_undefined:
            item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        length = undefined if is_undefined else len(item)
        inner = b"\x08\0\x40\x11SQ\0\0" + struct.pack("<I", length) + item
        if is_undefined:
            inner += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return inner


def with_element(element: bytes, whole: bytes | None = None) -> bytes:
    """An image, or the file given, with one more element at the start of its data set."""
    whole = whole or image()
    at = dataset_offset(io.BytesIO(whole))
    return whole[:at] + element + whole[at:]


@pytest.mark.parametrize("is_undefined", [True, False])
def test_T09_three_thousand_nested_sequences_end_at_once(is_undefined: bool) -> None:
    started_s = time.monotonic()
    found = read(with_element(deep_sequence(3000, is_undefined)))
    assert time.monotonic() - started_s < 5
    if is_undefined:
        assert isinstance(found, FileIssue)
        assert found.reason == "bad_header"
    else:
        assert isinstance(found, Instance)  # stepped over by its length


def test_T09_nesting_of_real_reports_is_read() -> None:
    assert instance(with_element(deep_sequence(30, True))).rows == 32


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", [b"OB", b"UN", b"ZZ"])
def test_T09_a_forged_length_allocates_nothing(vr: bytes, syntax: str) -> None:
    whole = image(transfer_syntax=syntax)
    at = dataset_offset(io.BytesIO(whole))
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    element = struct.pack(f"{order}HH2sHI", 0x0008, 0x0001, vr, 0, 0xFFFFFFF0)
    tracemalloc.start()
    found = read(whole[:at] + element + whole[at:])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, FileIssue)
    assert found.outcome == "quarantined"
    assert peak_bytes < 10 << 20


def test_T09_a_deflate_bomb_is_not_inflated() -> None:
    whole = image(transfer_syntax=DeflatedExplicitVRLittleEndian)
    at = dataset_offset(io.BytesIO(whole))
    bomb = b"\x09\0\x10\0OB\0\0" + struct.pack("<I", 1 << 30)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = b"\0" * (1 << 20)
    deflated = packer.compress(bomb) + b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    started_s = time.monotonic()
    assert reason(whole[:at] + deflated) == ("quarantined", "bad_header", None)
    assert time.monotonic() - started_s < 5
    assert tracemalloc.get_traced_memory()[1] < 200 << 20
    tracemalloc.stop()


def test_T09_a_million_tiny_elements_end_in_time() -> None:
    tiny = b"\x09\0\x10\0LO\0\0"
    started_s = time.monotonic()
    assert reason(with_element(tiny * 1_200_000)) == ("quarantined", "bad_header", None)
    assert time.monotonic() - started_s < 5


def test_T23_frames_of_an_enhanced_object_are_those_of_its_classic_twin(tmp_path: Path) -> None:
    twins = [instance(path.read_bytes()) for path in make_ct_series(tmp_path, 5)]
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        path = make_enhanced_ct(tmp_path / f"{syntax}.dcm", 5, transfer_syntax=syntax)
        found = instance(path.read_bytes())
        assert found.frames is not None
        assert found.n_frames == 5
        for frame, twin in zip(found.frames, twins, strict=True):
            assert (frame.position_mm, frame.orientation) == (twin.position_mm, twin.orientation)
            assert (frame.slope, frame.intercept) == (twin.slope, twin.intercept)
            assert frame.pixel_spacing_mm == twin.pixel_spacing_mm
            assert frame.slice_thickness_mm == twin.slice_thickness_mm
            assert frame.image_type == "ORIGINAL\\PRIMARY\\VOLUME\\NONE"


def test_T23_an_enhanced_object_tells_its_kernel_and_voltage(tmp_path: Path) -> None:
    import pydicom

    ds = pydicom.dcmread(make_enhanced_ct(tmp_path / "e.dcm", 3))
    del ds.ConvolutionKernel, ds.KVP  # as a true one has them: in its groups alone
    [shared] = ds.SharedFunctionalGroupsSequence
    shared.CTReconstructionSequence = [item_of(ConvolutionKernel=["Br40", "3"])]
    shared.CTXRayDetailsSequence = [item_of(KVP=100)]
    found = instance(bytes_of(ds))
    assert (found.convolution_kernel, found.kvp) == ("Br40\\3", 100.0)
    frame = ds.PerFrameFunctionalGroupsSequence[1]
    frame.CTReconstructionSequence = [item_of(ConvolutionKernel="Br59")]
    found = instance(bytes_of(ds))  # frames of two kernels: none is the object's
    assert (found.convolution_kernel, found.kvp) == (None, 100.0)
    del frame.PlanePositionSequence  # told all the same
    found = instance(bytes_of(ds))
    assert (found.frames, found.kvp) == (None, 100.0)


@pytest.mark.parametrize("kind", ["unknown VR", "big endian"])
def test_T23_frames_are_found_where_pydicom_reads_the_header(tmp_path: Path, kind: str) -> None:
    plain = instance(make_enhanced_ct(tmp_path / "e.dcm", 3).read_bytes())
    if kind == "big endian":
        content = make_enhanced_ct(tmp_path / "b.dcm", 3, transfer_syntax=ExplicitVRBigEndian).read_bytes()
    else:
        content = make_enhanced_ct(tmp_path / "z.dcm", 3).read_bytes()
        content = with_element(b"\x09\0\x10\0ZZ\x02\0ab", content)
    found = instance(content)
    assert found.frames is not None
    assert found.frames == plain.frames


def test_T23_a_frame_without_position_leaves_no_geometry(tmp_path: Path) -> None:
    import pydicom

    ds = pydicom.dcmread(make_enhanced_ct(tmp_path / "e.dcm", 3))
    del ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    assert instance(bytes_of(ds)).frames is None
    ds.NumberOfFrames = 2
    ds.PixelData = ds.PixelData[: 2 * 32 * 32 * 2]
    assert instance(bytes_of(ds)).frames is None


def test_a_DICOMDIR_is_excluded() -> None:
    ds = ct_dataset(SOPClassUID=MediaStorageDirectoryStorage)
    assert reason(bytes_of(ds)) == ("excluded", "dicomdir", None)


def test_an_image_without_SOP_class_is_an_instance() -> None:
    assert instance(image(SOPClassUID=None)).sop_class_uid is None


def test_other_objects_are_instances_too() -> None:
    ds = ct_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="SR")
    for keyword in ("PixelData", "Rows", "Columns"):
        del ds[keyword]
    found = instance(bytes_of(ds))
    assert (found.modality, found.pixel_offset) == ("SR", None)


def test_T36_names_in_the_data_are_only_data() -> None:
    evil = "../../etc/passwd\0CON"
    found = instance(image(PatientID=evil))
    assert found.patient_id == evil
    assert found.file.path == b"name"


def test_T45_text_is_decoded_by_its_declared_set_or_guessed_with_a_remark() -> None:
    name = "张伟"
    declared = ct_dataset(SpecificCharacterSet="ISO_IR 192", StudyDescription=name)
    assert instance(bytes_of(declared)).study_description == name
    assert instance(bytes_of(declared)).remarks == ()

    for codec in ("gbk", "utf-8"):
        found = instance(with_description(name.encode(codec)))
        assert (found.study_description, found.remarks) == (name, ("charset_guessed",))


@pytest.mark.parametrize("name", ["Größe", "Müller", "Crâne à vide", "Señal"])
def test_T45_Latin_1_that_is_Latin_1_stays_so(name: str) -> None:
    found = instance(with_description(name.encode("latin-1")))
    assert (found.study_description, found.remarks) == (name, ())


@pytest.mark.parametrize("named", [b"UNDEFINED ", b"ISO\x00IR 100", b"idna      ", b"no such se"])
def test_T45_a_set_that_is_none_costs_the_text_and_not_the_file(named: bytes) -> None:
    content = with_description("Crâne à vide".encode("latin-1"), SpecificCharacterSet="ISO_IR 100")
    found = instance(content.replace(b"ISO_IR 100", named))
    assert (found.study_description, found.remarks) == ("Crâne à vide", ("charset_guessed",))


def test_T45_escapes_of_ISO_2022_are_decoded() -> None:
    raw = b"\x1b$)A" + "王".encode("gb2312")
    found = instance(with_description(raw, SpecificCharacterSet=["", "ISO 2022 IR 58"]))
    assert (found.study_description, found.remarks) == ("王", ())


def with_description(raw: bytes, **attributes: object) -> bytes:
    """An image whose StudyDescription holds exactly these bytes."""
    raw += b" " * (len(raw) % 2)
    element = b"LO" + struct.pack("<H", 4) + b"XXXX"
    whole = image(StudyDescription="XXXX", **attributes)
    assert element in whole
    return whole.replace(element, b"LO" + struct.pack("<H", len(raw)) + raw)


@pytest.mark.parametrize("magic", [b"II*\0", b"MZ\x90\0", b"%PDF-1.4", b"\x7fELF"])
def test_T61_a_preamble_of_another_format_is_remarked(magic: bytes) -> None:
    whole = image()
    assert instance(magic.ljust(128, b"\0") + whole[128:]).remarks == ("preamble_polyglot",)
    assert instance(whole).remarks == ()


def test_the_digest_is_of_the_content_not_of_its_wrapping() -> None:
    whole = image()
    other_meta = ct_dataset()
    other_meta.file_meta.ImplementationVersionName = "ANOTHER"
    assert instance(bytes_of(other_meta)).content_digest == instance(whole).content_digest
    last = whole[:-1] + bytes([whole[-1] ^ 1])
    assert instance(last).content_digest != instance(whole).content_digest
    assert instance(image(KVP=100)).content_digest != instance(whole).content_digest


def test_a_value_representation_that_does_not_exist_goes_to_pydicom() -> None:
    data = image().replace(b"\x08\0\x30\x10LO", b"\x08\0\x30\x10??")
    found = read(data)
    assert isinstance(found, (Instance, FileIssue))
    if isinstance(found, Instance):
        assert found.sop_instance_uid == uid("instance", 0, 0)


def test_numbers_that_are_none_stay_none() -> None:
    data = image().replace(b"\x28\0\x53\x10DS\4\x001.0 ", b"\x28\0\x53\x10DS\4\x000,5 ")
    assert b"0,5" in data
    assert instance(data).slope is None


def test_a_sequence_item_does_not_leak_its_values() -> None:
    ds = ct_dataset()
    item = Dataset()
    item.StudyInstanceUID = "9.9.9"
    ds.ReferencedStudySequence = Sequence([item])
    assert instance(bytes_of(ds)).study_instance_uid == uid("study", 0)


def test_files_are_read_from_disk_as_from_memory(tmp_path: Path) -> None:
    path = write_dicom(ct_dataset(), tmp_path / "image")
    with path.open("rb", buffering=0) as stream:
        assert read_instance(stream, FileRef(b"name")) == read(path.read_bytes())  # type: ignore[arg-type]
