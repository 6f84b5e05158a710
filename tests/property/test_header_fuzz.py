"""Whatever the bytes, the header reader answers: with an instance or a reason, soon, and without any exception."""

from __future__ import annotations

import io
import pickle
import time

import pytest
from factory import ct_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tasks.header import ZipFound, read_instance
from tasks.instance import FileIssue, FileRef, Instance
from warehouse.reasons import reason_of

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "run length": RLELossless,
}
LONGEST_S = 5.0  # the catalogue's bound for hostile files


def image(syntax: str) -> bytes:
    ds = ct_dataset(transfer_syntax=syntax, rows=16, columns=16)
    item = ct_dataset()
    del item.PixelData, item.file_meta
    ds.ReferencedStudySequence = [item]
    ds["ReferencedStudySequence"].is_undefined_length = True
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


IMAGES = {name: image(syntax) for name, syntax in SYNTAXES.items()}
EDGES = st.sampled_from(
    [b"\xff\xff\xff\xff", b"\xf0\xff\xff\xff", b"\0\0\0\0", b"SQ\0\0", b"UN\0\0", b"\xfe\xff\x00\xe0"]
)
EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.one_of(st.binary(min_size=1, max_size=8), EDGES), st.booleans()),
    max_size=6,
)


def check(data: bytes) -> None:
    started_s = time.monotonic()
    found = read_instance(io.BytesIO(data), FileRef(b"name"), accept_no_meta=True)
    assert time.monotonic() - started_s < LONGEST_S
    assert isinstance(found, (Instance, FileIssue, ZipFound))
    if isinstance(found, FileIssue):
        assert reason_of(found.reason).outcome == found.outcome
    if isinstance(found, Instance):
        assert found.sop_instance_uid
        assert found.series_instance_uid
        assert found.study_instance_uid
    assert pickle.loads(pickle.dumps(found)) == found or "nan" in repr(found)


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(edits=EDITS, cut=st.one_of(st.none(), st.integers(0, 3000)))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gets_an_answer(
    syntax: str, edits: list[tuple[int, bytes, bool]], cut: int | None
) -> None:
    data = bytearray(IMAGES[syntax])
    for position, piece, is_inserted in edits:
        at = 128 + position % len(data)
        data[at : at if is_inserted else at + len(piece)] = piece
    check(bytes(data[:cut]))


@given(st.binary(max_size=600), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_get_an_answer(data: bytes, has_magic: bool) -> None:
    check(b"\0" * 128 + b"DICM" + data if has_magic else data)
