"""Reads the pixels of planned slices as Hounsfield units: only the bytes that are needed, nothing before its size is checked.

Takes a `SeriesPlan` and a source, returns arrays (rows, columns) of float32 HU between -1024 and 3071.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.instance import FileRef
from tasks.plan import PixelFormat, PlannedSlice, SeriesPlan
from warehouse.reasons import message_for

Image = NDArray[np.float32]

AIR_HU = -1024.0  # lowest value kept; padding and everything outside the reconstruction circle becomes this
TOP_HU = 3071.0  # highest value kept: 12 bits from -1024, the range of the stored slab
# Padding is believed only where its value is no tissue. A padding value of 0 HU would punch holes into water.
PADDING_IS_BELOW_HU, PADDING_IS_ABOVE_HU = -900.0, TOP_HU
MAX_SIDE_PIXELS = 4096  # of one image; the largest CT matrix in use is 2048
NATIVE_LITTLE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
NATIVE_BIG = frozenset({"1.2.840.10008.1.2.2"})


class SlabRejected(Exception):  # noqa: N818 - a verdict on a series, not a fault of the program
    """A series that cannot be turned into a slab: a reason code of `warehouse.reasons` and its numbers."""

    def __init__(self, reason: str, /, **numbers: float | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.numbers = numbers

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_rejection, (self.reason, self.numbers))

    @property
    def message(self) -> str:
        """From the reason's fixed template."""
        return message_for(self.reason, **self.numbers)


def _rebuild_rejection(reason: str, numbers: dict[str, float | int]) -> SlabRejected:
    return SlabRejected(reason, **numbers)


class PixelSource(Protocol):
    """What decoding needs of an archive (`tasks.sources.base.Source` has it)."""

    def open(self, ref: FileRef) -> BinaryIO:
        """A seekable stream of the file; OSError when it cannot be read."""

    def local_path(self, ref: FileRef) -> Path | None:
        """A path in the file system, or None for a member of a zip."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: rows first_row…end_row - 1, columns first_column…end_column - 1."""

    first_row: int
    end_row: int
    first_column: int
    end_column: int

    @property
    def shape(self) -> tuple[int, int]:
        return (self.end_row - self.first_row, self.end_column - self.first_column)


class FrameReader:
    """Reads windows of the slices of one plan. Not thread-safe: it reuses its buffer."""

    def __init__(self, plan: SeriesPlan, source: PixelSource) -> None:
        check_declared_sizes(plan)
        self._plan = plan
        self._source = source
        self._buffer = bytearray()

    @property
    def whole(self) -> Window:
        """The window of a whole slice."""
        return Window(0, self._plan.rows, 0, self._plan.columns)

    def read_hu(self, item: PlannedSlice, window: Window | None = None) -> Image:
        """One window of one slice in HU, (rows, columns). SlabRejected when it cannot be decoded; OSError."""
        window = window or self.whole
        words = self._native_words(item, window)
        return to_hu(words, item)

    def _native_words(self, item: PlannedSlice, window: Window) -> NDArray[np.generic]:
        if item.pixel_offset is None:
            raise SlabRejected("decode")
        dtype = stored_dtype(item.pixels)
        row_bytes = self._plan.columns * dtype.itemsize
        start = item.pixel_offset + window.first_row * row_bytes
        n_bytes = window.shape[0] * row_bytes
        view = self._read_into_buffer(item.file, start, n_bytes)
        rows = np.frombuffer(view, dtype).reshape(window.shape[0], self._plan.columns)
        return rows[:, window.first_column : window.end_column]

    def _read_into_buffer(self, file: FileRef, start: int, n_bytes: int) -> memoryview:
        """The bytes start…start + n_bytes of a file. SlabRejected(truncated) when the file is shorter."""
        if len(self._buffer) < n_bytes:
            self._buffer = bytearray(n_bytes)
        view = memoryview(self._buffer)[:n_bytes]
        path = self._source.local_path(file)
        if path is not None:
            n_read = _read_path(path, view, start)
        else:
            with self._source.open(file) as stream:
                stream.seek(start)
                n_read = _read_stream(stream, view)
        if n_read < n_bytes:
            raise SlabRejected("truncated", missing_bytes=n_bytes - n_read)
        return view


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_path(path: Path, view: memoryview, start: int) -> int:
    with _descriptor(path) as descriptor:
        n_read = 0
        while n_read < len(view):
            n_more = os.preadv(descriptor, [view[n_read:]], start + n_read)
            if n_more == 0:
                break
            n_read += n_more
    return n_read


def _read_stream(stream: BinaryIO, view: memoryview) -> int:
    n_read = 0
    while n_read < len(view):
        chunk = stream.read(len(view) - n_read)
        if not chunk:
            break
        view[n_read : n_read + len(chunk)] = chunk
        n_read += len(chunk)
    return n_read


def check_declared_sizes(plan: SeriesPlan) -> None:
    """Refuse impossible sizes and formats before anything is allocated. Raises SlabRejected."""
    if not (0 < plan.rows <= MAX_SIDE_PIXELS and 0 < plan.columns <= MAX_SIDE_PIXELS):
        raise SlabRejected("dims")
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


def stored_dtype(pixels: PixelFormat) -> np.dtype[np.generic]:
    """Unsigned words as they lie in the file; sign and unused bits are `to_hu`'s work."""
    if pixels.bits_allocated == 8:
        return np.dtype(np.uint8)
    return np.dtype(">u2" if pixels.transfer_syntax_uid in NATIVE_BIG else "<u2")


def to_hu(words: NDArray[np.generic], item: PlannedSlice) -> Image:
    """Stored words → HU: overlay bits masked, sign, slope and intercept of the slice, padding to air, clipped."""
    pixels = item.pixels
    is_padding = _padding_mask(words, item)
    stored = _stored_values(words, pixels)
    image = stored.astype(np.float32)
    if item.slope != 1:
        image *= np.float32(item.slope)
    image += np.float32(item.intercept)
    if is_padding is not None:
        image[is_padding] = AIR_HU
    return np.clip(image, AIR_HU, TOP_HU, out=image)


def _stored_values(words: NDArray[np.generic], pixels: PixelFormat) -> NDArray[np.generic]:
    """Words → stored values by HighBit and BitsStored, sign-extended when PixelRepresentation is 1."""
    is_signed = pixels.pixel_representation == 1
    size = words.dtype.itemsize
    if pixels.bits_stored == pixels.bits_allocated:
        return words.view(words.dtype.str.replace("u", "i")) if is_signed else words
    lift = pixels.bits_allocated - 1 - pixels.high_bit  # overlay bits above fall off on the left
    drop = pixels.bits_allocated - pixels.bits_stored  # the lower ones on the right; >> keeps the sign
    native = words.astype(f"u{size}")
    shifted = np.left_shift(native, lift) if lift else native
    return np.right_shift(shifted.view(f"i{size}") if is_signed else shifted, drop)


def _padding_mask(words: NDArray[np.generic], item: PlannedSlice) -> NDArray[np.bool_] | None:
    """Which words are pixel padding, or None when there is none to look for."""
    low = item.pixels.padding_value
    if low is None:
        return None
    high = item.pixels.padding_limit if item.pixels.padding_limit is not None else low
    low, high = min(low, high), max(low, high)
    if not (_is_no_tissue(low, item) and _is_no_tissue(high, item)):
        return None
    bits = item.pixels.bits_allocated
    dtype = words.dtype.str
    if item.pixels.pixel_representation == 1:
        low, high = _as_signed(low, bits), _as_signed(high, bits)
        words = words.view(dtype.replace("u", "i"))
    else:
        low, high = low % (1 << bits), high % (1 << bits)
    return np.asarray((words >= low) & (words <= high)) if low != high else np.asarray(words == low)


def _as_signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _is_no_tissue(raw: int, item: PlannedSlice) -> bool:
    if item.pixels.pixel_representation == 1:
        raw = _as_signed(raw, item.pixels.bits_allocated)
    value_hu = raw * item.slope + item.intercept
    return value_hu <= PADDING_IS_BELOW_HU or value_hu > PADDING_IS_ABOVE_HU
