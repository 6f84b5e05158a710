"""The header reader against pydicom: every field equal, whatever stands in the file."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from dicom_oracle import differences
from factory import ct_dataset, write_dicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tasks.crawl import read_here
from tasks.header import read_headers
from tasks.instance import FileRef, Instance
from tasks.sources import open_source

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _"

code_strings = st.text(LETTERS, max_size=16)
# Pairs of accented letters and no single one: declared as Latin-1 they may be taken for Chinese (tasks/dicom/text.py).
READS_AS_CHINESE = re.compile("[^äöüß]*(?:[äöüß]{2}[^äöüß]*){2,}")
latin_text = st.text(st.sampled_from(LETTERS + "abcäöüß^-.,"), max_size=40).filter(
    lambda text: not READS_AS_CHINESE.fullmatch(text)
)
integers = st.integers(-(2**31), 2**31 - 1)
decimals = st.floats(-9999, 9999, allow_nan=False).map(lambda x: round(x, 4))
words = st.integers(0, 2**16 - 1)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


ATTRIBUTES = st.fixed_dictionaries(
    {
        "ImageType": st.lists(code_strings.filter(str.strip), min_size=1, max_size=5),
        "PatientID": maybe(latin_text),
        "IssuerOfPatientID": maybe(latin_text),
        "AccessionNumber": maybe(st.text(LETTERS, max_size=16)),
        "StudyDate": maybe(st.dates().map(lambda day: f"{day:%Y%m%d}".zfill(8))),
        "AcquisitionDate": maybe(st.just("20240229")),
        "ContentDate": maybe(st.just("20240301")),
        "SeriesDate": maybe(st.just("20240302")),
        "PatientAge": maybe(st.integers(0, 999).map(lambda n: f"{n:03d}Y")),
        "PatientSex": maybe(st.sampled_from(["M", "F", "O", ""])),
        "SeriesDescription": maybe(latin_text),
        "StudyDescription": maybe(latin_text),
        "ProtocolName": maybe(latin_text),
        "ConvolutionKernel": maybe(st.lists(code_strings.filter(str.strip), min_size=1, max_size=2)),
        "ContrastBolusAgent": maybe(latin_text),
        "SeriesNumber": maybe(integers),
        "AcquisitionNumber": maybe(integers),
        "InstanceNumber": maybe(integers),
        "TemporalPositionIdentifier": maybe(integers),
        "KVP": maybe(decimals),
        "GantryDetectorTilt": maybe(decimals),
        "SliceThickness": maybe(decimals),
        "RescaleSlope": maybe(decimals),
        "RescaleIntercept": maybe(decimals),
        "ImagePositionPatient": maybe(st.lists(decimals, min_size=3, max_size=3)),
        "ImageOrientationPatient": maybe(st.lists(decimals, min_size=6, max_size=6)),
        "PixelSpacing": maybe(st.lists(decimals, min_size=2, max_size=2)),
        "PixelRepresentation": st.sampled_from([0, 1]),
        "HighBit": words,
        "BitsStored": words,
        "LossyImageCompression": maybe(st.sampled_from(["00", "01"])),
        "BurnedInAnnotation": maybe(st.sampled_from(["YES", "NO"])),
        "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", "ISO_IR 192"]),
    }
)


@st.composite
def clutter(draw: st.DrawFn) -> Dataset:
    """Elements that the reader steps over: private ones, long ones, nested sequences of both kinds of length."""
    ds = Dataset()
    block = ds.private_block(0x0009, "OVF TEST", create=True)
    block.add_new(1, "OB", draw(st.binary(max_size=64).map(lambda b: b + b"\0" * (len(b) % 2))))
    block.add_new(2, draw(st.sampled_from(["UN", "UT"])), draw(st.sampled_from([b"", b"ab", b"x" * 30_000])))
    for keyword in ("ReferencedImageSequence", "RequestAttributesSequence", "OtherPatientIDsSequence"):
        if draw(st.booleans()):
            setattr(ds, keyword, draw(sequences(3)))
            ds[keyword].is_undefined_length = draw(st.booleans())
    return ds


def sequences(depth: int) -> st.SearchStrategy[Sequence]:
    @st.composite
    def build(draw: st.DrawFn) -> Sequence:
        items = []
        for _ in range(draw(st.integers(0, 2))):
            item = Dataset()
            item.ReferencedSOPInstanceUID = "1.2.3"
            # The same attributes as outside: those of an item must not be taken for the image's own.
            item.PatientID, item.Rows = "inside", 7
            if depth and draw(st.booleans()):
                item.ReferencedSeriesSequence = draw(sequences(depth - 1))
                item["ReferencedSeriesSequence"].is_undefined_length = draw(st.booleans())
            item.is_undefined_length_sequence_item = draw(st.booleans())
            items.append(item)
        return Sequence(items)

    return build()


@given(
    ATTRIBUTES,
    clutter(),
    st.sampled_from(SYNTAXES),
    st.integers(0, 2**16 - 1),
)
@settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
def test_every_field_is_what_pydicom_reads(
    tmp_path: Path, attributes: dict[str, Any], extra: Dataset, syntax: str, padding: int
) -> None:
    if attributes["PixelRepresentation"]:
        padding -= 2**15
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that real scanners write, too
        ds = ct_dataset(transfer_syntax=syntax, rows=4, columns=4, **attributes)
        ds.PixelPaddingValue = padding
        ds.update(extra)
        path = write_dicom(ds, tmp_path / "image")
    with path.open("rb") as stream:
        found = read_headers(open_source(str(tmp_path)), [_ref(path)])[0]
        assert stream
    assert isinstance(found, Instance), found
    assert differences(found, path) == []
    assert found.pixel_length == 32


def _ref(path: Path) -> FileRef:
    status = path.stat()
    return FileRef(path.name.encode(), None, status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize("folder", ["shared", "pydicom"])
def test_real_files_are_read_as_pydicom_reads_them(folder: str, request: pytest.FixtureRequest) -> None:
    if folder == "shared":
        root = request.getfixturevalue("real_data")
    else:
        import pydicom.data

        root = Path(pydicom.data.__file__).parent / "test_files"
    source = open_source(str(root))
    refs = [listing.ref(entry) for listing in source.walk() for entry in listing.entries if not entry.problem]
    found = [each for each in read_here(source)(refs).result() if isinstance(each, Instance)]
    assert len(found) > 20
    wrong = {}
    for instance in found:
        path = source.local_path(instance.file)
        assert path is not None
        lines = differences(instance, path)
        if lines:
            wrong[path.name] = lines
    assert wrong == {}
