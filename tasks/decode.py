"""Reads the pixels of planned slices as HU: only the bytes needed, and nothing before its size is checked.

Takes a `SeriesPlan` and a source, returns arrays (rows, columns) of float32 HU between -1024 and 3071.
"""

from __future__ import annotations

import errno
import io
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.compressed import decode_frame, item_spans, spans_of_frame
from tasks.instance import FileRef
from tasks.plan import PixelFormat, PlannedSlice, SeriesPlan
from tasks.rejected import SlabRejected

Image = NDArray[np.float32]
Words = NDArray[Any]

AIR_HU = -1024.0  # lowest value kept; padding and everything outside the reconstruction circle becomes this
TOP_HU = 3071.0  # highest value kept: 12 bits from -1024, the range of the stored slab
# Padding is believed only where its value is no tissue. A padding value of 0 HU would punch holes into water.
PADDING_IS_BELOW_HU, PADDING_IS_ABOVE_HU = -900.0, TOP_HU
MAX_SIDE_PIXELS = 4096  # of one image; the largest CT matrix in use is 2048
MAX_SLICES = 20000  # of one series; a whole body at 0.1 mm
NATIVE_LITTLE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
NATIVE_BIG = frozenset({"1.2.840.10008.1.2.2"})
DEFLATED = "1.2.840.10008.1.2.1.99"
# A compressed frame larger than this many times its pixels is no compression.
MOST_COMPRESSED = 2
# Pixels of a whole series against its files. Real CTs reach 4 (20 when lossy); a forged size promises thousands.
MOST_EXPANDED = 200
EXPANSION_FREE_BYTES = 256 << 20  # below this much no ratio is asked for: a second of decoding
HEADER_ROOM_BYTES = 16 << 20  # of a deflated file, beside its pixels


class PixelSource(Protocol):
    """What decoding needs of an archive (`tasks.sources.base.Source` has it)."""

    def open(self, ref: FileRef) -> BinaryIO:
        """A seekable stream of the file; OSError when it cannot be read."""

    def local_path(self, ref: FileRef) -> Path | None:
        """A path in the file system, or None for a member of a zip."""


class Window(NamedTuple):
    """A rectangle of pixels: rows first_row…end_row - 1, columns first_column…end_column - 1."""

    first_row: int
    end_row: int
    first_column: int
    end_column: int


class FrameReader:
    """Reads windows of the slices of one plan. Not thread-safe: it reuses its buffer.

    An image is valid until the next `read_hu`; it is a copy, only the words under it are shared.
    """

    def __init__(self, plan: SeriesPlan, source: PixelSource) -> None:
        check_declared_sizes(plan)
        self._plan = plan
        self._source = source
        self._buffer = bytearray()
        self._spans: tuple[FileRef, list[tuple[int, int]], bytes] | None = None
        self._inflated: tuple[FileRef, bytes] | None = None

    @property
    def whole(self) -> Window:
        """The window of a whole slice."""
        return Window(0, self._plan.rows, 0, self._plan.columns)

    def read_hu(self, item: PlannedSlice, window: Window | None = None) -> Image:
        """One window of one slice in HU, (rows, columns). SlabRejected when it cannot be decoded; OSError."""
        window = window or self.whole
        uid = item.pixels.transfer_syntax_uid
        if uid in NATIVE_LITTLE | NATIVE_BIG:
            words = self._native_words(item, window)
        elif uid == DEFLATED:
            words = self._inflated_words(item, window)
        else:
            frame = self._compressed_frame(item)
            words = decode_frame(frame, self._plan.rows, self._plan.columns, item.pixels, window)
        return to_hu(words, item)

    def _native_words(self, item: PlannedSlice, window: Window) -> Words:
        if item.pixel_offset is None:
            raise SlabRejected("decode")
        dtype = stored_dtype(item.pixels)
        row_bytes = self._plan.columns * dtype.itemsize
        n_rows = window.end_row - window.first_row
        start = item.pixel_offset + window.first_row * row_bytes
        rows = np.frombuffer(self._read(item.file, start, n_rows * row_bytes), dtype)
        return rows.reshape(n_rows, -1)[:, window.first_column : window.end_column]

    def _read(self, file: FileRef, start: int, n_bytes: int) -> memoryview:
        """The bytes start…start + n_bytes of a file. SlabRejected(truncated) when the file is shorter."""
        if len(self._buffer) < n_bytes:
            self._buffer = bytearray(n_bytes)
        view = memoryview(self._buffer)[:n_bytes]
        path = self._source.local_path(file)
        if path is not None:
            # pread, not mmap: 0.06 against 0.12 ms a slice, and a vanishing file is an OSError, not a SIGBUS.
            n_read = _read_path(path, file, view, start)
        else:
            with self._source.open(file) as stream:
                stream.seek(start)
                n_read = _read_stream(stream, view)
        if n_read < n_bytes:
            raise SlabRejected("truncated", missing_bytes=n_bytes - n_read)
        return view

    def _compressed_frame(self, item: PlannedSlice) -> bytes:
        """The bytes of one encapsulated frame, its fragments joined."""
        limit = MOST_COMPRESSED * self._plan.rows * self._plan.columns * 2 + 65536
        if item.pixel_offset is None:
            raise SlabRejected("decode")
        n_rest = item.file.size_bytes - item.pixel_offset
        if item.n_frames == 1 and 0 < n_rest <= limit:
            data = bytes(self._read(item.file, item.pixel_offset, n_rest))
            spans = item_spans(io.BytesIO(data), 0, n_rest)[1:]
            return b"".join(data[start : start + length] for start, length in spans)
        with self._source.open(item.file) as stream:
            spans = self._frame_spans(stream, item)
            if sum(length for _, length in spans) > limit:
                raise SlabRejected("decode")
            return b"".join(_read_span(stream, span) for span in spans)

    def _frame_spans(self, stream: BinaryIO, item: PlannedSlice) -> list[tuple[int, int]]:
        if self._spans is None or self._spans[0] != item.file:
            spans = item_spans(stream, item.pixel_offset or 0, item.file.size_bytes)
            table = _read_span(stream, spans[0]) if spans else b""
            self._spans = (item.file, spans, table)
        return spans_of_frame(self._spans[1], self._spans[2], item.frame, item.n_frames)

    def _inflated_words(self, item: PlannedSlice, window: Window) -> Words:
        if self._inflated is None or self._inflated[0] != item.file:
            with self._source.open(item.file) as stream:
                data = stream.read(item.file.size_bytes + 1)
            n_pixels = self._plan.rows * self._plan.columns * item.n_frames
            self._inflated = (item.file, inflated_pixels(data, 2 * n_pixels))
        dtype = stored_dtype(item.pixels)
        n_frame = self._plan.rows * self._plan.columns
        values = np.frombuffer(self._inflated[1], dtype)
        if values.size < n_frame * item.n_frames:
            raise SlabRejected("size_mismatch", found_bytes=values.nbytes)
        image = values[item.frame * n_frame :][:n_frame].reshape(self._plan.rows, -1)
        return image[window.first_row : window.end_row, window.first_column : window.end_column]


def _read_path(path: Path, file: FileRef, view: memoryview, start: int) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _check_unchanged(os.fstat(descriptor), file)
        n_read = 0
        while n_read < len(view):
            n_more = os.preadv(descriptor, [view[n_read:]], start + n_read)
            if n_more == 0:
                break
            n_read += n_more
        return n_read
    finally:
        os.close(descriptor)


def _check_unchanged(found: os.stat_result, file: FileRef) -> None:
    """Another file under the same name would give pixels from the wrong place. OSError: the next run reads it."""
    is_touched = file.mtime_ns not in (0, found.st_mtime_ns)  # 0: not known
    if found.st_size != file.size_bytes or is_touched:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _read_stream(stream: BinaryIO, view: memoryview) -> int:
    n_read = 0
    while n_read < len(view):
        chunk = stream.read(len(view) - n_read)
        if not chunk:
            break
        view[n_read : n_read + len(chunk)] = chunk
        n_read += len(chunk)
    return n_read


def _read_span(stream: BinaryIO, span: tuple[int, int]) -> bytes:
    stream.seek(span[0])
    data = stream.read(span[1])
    if len(data) < span[1]:
        raise SlabRejected("truncated", missing_bytes=span[1] - len(data))
    return data


def inflated_pixels(data: bytes, n_pixel_bytes: int) -> bytes:
    """PixelData of a deflated file, never inflating more than its pixels and a header (PS3.5 A.5)."""
    from pydicom.filereader import read_dataset

    from tasks.header import dataset_offset

    start = dataset_offset(io.BytesIO(data))
    if not start:
        raise SlabRejected("bad_header")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data[start:], n_pixel_bytes + HEADER_ROOM_BYTES)
    except zlib.error as error:
        raise SlabRejected("decode") from error
    if inflater.unconsumed_tail:
        raise SlabRejected("size_mismatch", expected_bytes=n_pixel_bytes)
    try:
        found = read_dataset(io.BytesIO(plain), is_implicit_VR=False, is_little_endian=True)
        pixels = bytes(found.PixelData)
    except Exception as error:  # a damaged dataset raises whatever it likes
        raise SlabRejected("decode") from error
    if not n_pixel_bytes // 2 <= len(pixels) <= n_pixel_bytes + 1:
        raise SlabRejected("size_mismatch", found_bytes=len(pixels), expected_bytes=n_pixel_bytes)
    return pixels[: len(pixels) // 2 * 2]


def check_declared_sizes(plan: SeriesPlan) -> None:
    """Refuse impossible sizes and formats before anything is allocated. Raises SlabRejected."""
    sides_fit = 0 < plan.rows <= MAX_SIDE_PIXELS and 0 < plan.columns <= MAX_SIDE_PIXELS
    if not sides_fit or not 0 < len(plan.slices) <= MAX_SLICES:
        raise SlabRejected("dims")
    n_expected = 2 * plan.rows * plan.columns * len(plan.slices)
    n_found = sum({item.file: item.file.size_bytes for item in plan.slices}.values())
    if n_expected > max(EXPANSION_FREE_BYTES, MOST_EXPANDED * n_found):
        raise SlabRejected("size_mismatch", found_bytes=n_found, expected_bytes=n_expected)
    for item in plan.slices:
        _check_slice(plan, item)


def _check_slice(plan: SeriesPlan, item: PlannedSlice) -> None:
    pixels = item.pixels
    if pixels.samples_per_pixel != 1 or pixels.photometric != "MONOCHROME2":
        raise SlabRejected("photometric")
    if pixels.bits_allocated not in (8, 16) or not 0 < pixels.bits_stored <= pixels.bits_allocated:
        raise SlabRejected("bits")
    if not pixels.bits_stored - 1 <= pixels.high_bit < pixels.bits_allocated:
        raise SlabRejected("bits")
    if not (np.isfinite(item.slope) and np.isfinite(item.intercept)) or item.slope == 0:
        raise SlabRejected("bad_rescale")
    if pixels.transfer_syntax_uid in NATIVE_LITTLE | NATIVE_BIG:
        expected = plan.rows * plan.columns * pixels.bits_allocated // 8
        found = expected if item.pixel_length is None else item.pixel_length
        if not expected <= found <= expected + 1:  # a byte of padding to even length
            raise SlabRejected("size_mismatch", found_bytes=found, expected_bytes=expected)


def stored_dtype(pixels: PixelFormat) -> np.dtype[Any]:
    """Unsigned words as they lie in the file; sign and unused bits are `to_hu`'s work."""
    if pixels.bits_allocated == 8:
        return np.dtype(np.uint8)
    return np.dtype(">u2" if pixels.transfer_syntax_uid in NATIVE_BIG else "<u2")


def to_hu(words: Words, item: PlannedSlice) -> Image:
    """Stored words → HU: overlay bits masked, sign, the slice's own rescale, padding to air, clipped."""
    is_padding = _padding_mask(words, item)
    image = stored_values(words, item.pixels).astype(np.float32)
    if item.slope != 1:
        image *= np.float32(item.slope)
    image += np.float32(item.intercept)
    if is_padding is not None:
        image[is_padding] = AIR_HU
    return np.clip(image, AIR_HU, TOP_HU, out=image)


def stored_values(words: Words, pixels: PixelFormat) -> Words:
    """Words → stored values by HighBit and BitsStored, sign-extended when PixelRepresentation is 1."""
    if words.dtype.kind == "i":  # a signed codestream: the decoder has done it
        return words
    is_signed = pixels.pixel_representation == 1
    n_bits = 8 * words.dtype.itemsize  # a decoder may return one byte where two were allocated
    lift = max(0, n_bits - 1 - pixels.high_bit)  # overlay bits above fall off on the left
    drop = max(0, n_bits - pixels.bits_stored)  # the lower ones on the right; >> keeps the sign
    if not drop:
        return words.view(words.dtype.str.replace("u", "i")) if is_signed else words
    shifted = np.left_shift(words, lift, dtype=f"u{n_bits // 8}")
    return np.asarray(np.right_shift(shifted.view(f"i{n_bits // 8}") if is_signed else shifted, drop))


def _padding_mask(words: Words, item: PlannedSlice) -> NDArray[np.bool_] | None:
    """Which words are pixel padding, or None when there is none to look for."""
    low = item.pixels.padding_value
    if low is None:
        return None
    high = low if item.pixels.padding_limit is None else item.pixels.padding_limit
    bits = item.pixels.bits_allocated
    is_signed = item.pixels.pixel_representation == 1 or words.dtype.kind == "i"
    low, high = sorted(_as_word(value, bits, is_signed) for value in (low, high))
    if not all(_is_no_tissue(value, item) for value in (low, high)):
        return None
    if is_signed and words.dtype.kind == "u":
        words = words.view(words.dtype.str.replace("u", "i"))
    return np.asarray((words >= low) & (words <= high) if low != high else words == low)


def _as_word(value: int, bits: int, is_signed: bool) -> int:
    """A padding value in the range of the stored words: 63536 and -2000 are the same 16 bits."""
    value %= 1 << bits
    return value - (1 << bits) if is_signed and value >= 1 << (bits - 1) else value


def _is_no_tissue(raw: int, item: PlannedSlice) -> bool:
    value_hu = raw * item.slope + item.intercept
    return value_hu <= PADDING_IS_BELOW_HU or value_hu > PADDING_IS_ABOVE_HU
