"""DICOM files at the level of bytes: what does not change within a series is encoded once.

pydicom encodes the unchanging stretches and the odd changing element; the few usual changing elements, the
pixels and the file meta information are written here (PS3.5 section 7, PS3.10 section 7.1).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    RLELossless,
)

from phantom.files import jpeg_lossless

Pixels = npt.NDArray[np.uint16] | npt.NDArray[np.int16]
PIXEL_DATA = 0x7FE00010
_IMPLEMENTATION_UID = "2.25.80614915398061491539"
NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
LOSSY = (JPEGLSNearLossless, JPEG2000)
# What the lossy syntaxes may change: so many stored values at most, or so much smaller.
_LOSSY_OPTIONS: dict[str, dict[str, Any]] = {
    JPEGLSNearLossless: {"jls_error": 2},
    JPEG2000: {"j2k_cr": [8.0]},
}
P14_SELECTION = 7  # of JPEG lossless without selection value 1: the mean of left and upper neighbour


def make_uid(*parts: object) -> str:
    """A UID under 2.25 (PS3.5 B.2) that depends on its parts alone."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') | (1 << 127)}"


def element(tag: int, vr: bytes, value: bytes, transfer_syntax: str) -> bytes:
    """One short element of a text VR, padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if transfer_syntax != ImplicitVRLittleEndian:
        return head + vr + struct.pack(order + "H", len(value)) + value
    return head + struct.pack(order + "I", len(value)) + value


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information."""
    body = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")
    for tag, text in (
        (2, sop_class),
        (3, sop_instance),
        (0x10, transfer_syntax),
        (0x12, _IMPLEMENTATION_UID),
    ):
        body += element(0x00020000 | tag, b"UI", text.encode(), ExplicitVRLittleEndian)
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body))
    return b"\0" * 128 + b"DICM" + length + body


def encode_dataset(dataset: Dataset, transfer_syntax: str) -> bytes:
    """The elements of a dataset as bytes, by pydicom."""
    return _encode(dataset, transfer_syntax, charset_of(dataset))


def charset_of(dataset: Dataset) -> str | list[str]:
    """Specific Character Set as pydicom's encoder takes it."""
    declared = dataset.get("SpecificCharacterSet") or "ISO_IR 6"
    return declared if isinstance(declared, str) else [str(term) for term in declared]


def _encode(dataset: Dataset, transfer_syntax: str, charset: str | list[str]) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian = transfer_syntax != ExplicitVRBigEndian
    stream.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
    write_dataset(stream, dataset, convert_encodings(charset))
    return bytes(stream.getvalue())


def encode_frame(frame: Pixels, transfer_syntax: str, bits_stored: int) -> bytes:
    """One compressed frame; lossless but in the syntaxes of LOSSY."""
    if transfer_syntax in (JPEGLosslessSV1, JPEGLossless):
        return jpeg_lossless.encode(
            frame, selection=1 if transfer_syntax == JPEGLosslessSV1 else P14_SELECTION
        )
    encoder = get_encoder(transfer_syntax)
    plugin = "pylibjpeg" if transfer_syntax == RLELossless else ""
    encoded = encoder.encode(
        frame.tobytes(),
        encoding_plugin=plugin,
        rows=frame.shape[0],
        columns=frame.shape[1],
        number_of_frames=1,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=bits_stored,
        pixel_representation=int(frame.dtype.kind == "i"),
        photometric_interpretation="MONOCHROME2",
        **_LOSSY_OPTIONS.get(transfer_syntax, {}),
    )
    return bytes(encoded)


def pixel_element(frames: Pixels, transfer_syntax: str, bits_stored: int) -> bytes:
    """Pixel data of one frame (rows, columns) or of many (frames, rows, columns)."""
    if transfer_syntax in NATIVE:
        return _native_pixels(frames, transfer_syntax)
    head = struct.pack("<HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF)
    stack = frames if frames.ndim == 3 else frames[None]
    items = [struct.pack("<HHI", 0xFFFE, 0xE000, 0)]  # an empty basic offset table
    for frame in stack:
        data = encode_frame(frame, transfer_syntax, bits_stored)
        data += b"\0" * (len(data) % 2)
        items += [struct.pack("<HHI", 0xFFFE, 0xE000, len(data)), data]
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return head + b"OB\0\0" + struct.pack("<I", 0xFFFFFFFF) + b"".join(items) + end


def _native_pixels(frames: Pixels, transfer_syntax: str) -> bytes:
    is_big = transfer_syntax == ExplicitVRBigEndian
    order = ">" if is_big else "<"
    raw = frames.astype(frames.dtype.newbyteorder(">")).tobytes() if is_big else frames.tobytes()
    raw += b"\0" * (len(raw) % 2)
    head = struct.pack(order + "HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF)
    vr = b"" if transfer_syntax == ImplicitVRLittleEndian else b"OW\0\0"
    return head + vr + struct.pack(order + "I", len(raw)) + raw


def deflate(body: bytes) -> bytes:
    """Raw deflate of everything behind the file meta information, of even length."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(body) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


@dataclass(frozen=True)
class SeriesBytes:
    """The unchanging stretches of a series, to be joined with each instance's own elements."""

    transfer_syntax: str
    changing: tuple[int, ...]
    stretches: tuple[bytes, ...]

    def instance(self, values: Mapping[int, bytes], pixels: bytes) -> bytes:
        """A whole dataset; `values` holds the encoded elements of this instance by tag."""
        parts = [self.stretches[0]]
        for tag, stretch in zip(self.changing, self.stretches[1:], strict=True):
            parts += [values.get(tag, b""), stretch]
        body = b"".join(parts) + pixels
        return deflate(body) if self.transfer_syntax == DeflatedExplicitVRLittleEndian else body


def freeze_series(header: Dataset, changing: Sequence[int], transfer_syntax: str) -> SeriesBytes:
    """Encode what a series shares, cut at the tags that change."""
    cuts = sorted(changing)
    charset = charset_of(header)
    stretches = []
    for low, high in zip([0, *cuts], [*cuts, PIXEL_DATA], strict=True):
        part = Dataset()
        for one in header:
            if low <= one.tag < high and one.tag not in cuts:
                part.add(one)
        stretches.append(_encode(part, transfer_syntax, charset))
    return SeriesBytes(transfer_syntax, tuple(cuts), tuple(stretches))


def encode_values(values: Mapping[str, Any], header: Dataset, transfer_syntax: str) -> dict[int, bytes]:
    """Elements by keyword, each encoded by pydicom; None leaves an element out."""
    encoded: dict[int, bytes] = {}
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError("slice_tags holds a keyword that DICOM does not know")
        if value is None:
            encoded[tag] = b""
            continue
        one = Dataset()
        for needed in ("SpecificCharacterSet", "PixelRepresentation"):
            if needed in header:
                setattr(one, needed, header[needed].value)
        alone = set(one.keys()) - {tag}
        setattr(one, keyword, value)
        whole = encode_dataset(one, transfer_syntax)
        for other in alone:
            rest = Dataset()
            rest.add(one[other])
            whole = whole.replace(encode_dataset(rest, transfer_syntax), b"", 1)
        encoded[tag] = whole
    return encoded
