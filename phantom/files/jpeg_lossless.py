"""JPEG lossless, process 14 (ITU-T T.81 annex H): a small encoder for 16-bit frames, any selection value.

pydicom and its plugins decode these transfer syntaxes but none encodes them. One fixed Huffman table serves every
frame: short codes for the differences that CT noise makes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

# Categories of differences (T.81 table H.2) in the order of their code lengths below; a complete prefix code
# that leaves the all-ones word unused, as the standard asks.
_CATEGORIES = (4, 5, 3, 6, 2, 7, 1, 0, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_LENGTHS = (3, 3, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 8, 8, 8)


def _codes() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Code word and length of every category, canonical as T.81 annex C builds them."""
    words, lengths = np.zeros(17, np.uint32), np.zeros(17, np.int64)
    word, last = 0, _LENGTHS[0]
    for category, length in zip(_CATEGORIES, _LENGTHS, strict=True):
        word <<= length - last
        words[category], lengths[category] = word, length
        word, last = word + 1, length
    return words, lengths


_WORDS, _WORD_LENGTHS = _codes()


# T.81 table H.1: prediction from the left, upper and upper left sample.
_Ints = npt.NDArray[np.int32]
_PREDICTORS: dict[int, Callable[[_Ints, _Ints, _Ints], _Ints]] = {
    1: lambda left, _above, _corner: left,
    2: lambda _left, above, _corner: above,
    3: lambda _left, _above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, _corner: (left + above) >> 1,
}


def _predicted(values: _Ints, selection: int) -> _Ints:
    """First row from the left, first column from above, all else by the selected predictor."""
    predicted = np.empty_like(values)
    predicted[0, 1:] = values[0, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << 15
    predicted[1:, 1:] = _PREDICTORS[selection](values[1:, :-1], values[:-1, 1:], values[:-1, :-1])
    return predicted


def _differences(frame: npt.NDArray[np.uint16], selection: int) -> npt.NDArray[np.int32]:
    """Each sample less its prediction; modulo 2^16, as -32767..32768."""
    values = frame.astype(np.int32)
    difference = (values - _predicted(values, selection)) & 0xFFFF
    return np.where(difference > 32768, difference - 65536, difference).ravel()


def _entropy_coded(difference: npt.NDArray[np.int32]) -> bytes:
    """Huffman code of the category, then the category's extra bits; padded with ones and byte-stuffed."""
    size = np.frexp(np.abs(difference).astype(np.float32))[1].astype(np.int64)  # bits of |difference|
    extra_length = np.where(size == 16, 0, size)  # the one difference of category 16 has no extra bits
    extra = np.where(difference < 0, difference + (1 << size) - 1, difference).astype(np.uint32)
    extra = np.where(size == 16, 0, extra).astype(np.uint32)
    field = (_WORDS[size] << extra_length.astype(np.uint32)) | extra
    length = _WORD_LENGTHS[size] + extra_length
    ends = np.cumsum(length)
    left = np.repeat(ends, length) - 1 - np.arange(int(ends[-1]))  # bits still to come within each field
    bits = ((np.repeat(field, length) >> left.astype(np.uint32)) & 1).astype(np.uint8)
    fill = np.ones(-len(bits) % 8, np.uint8)
    return np.packbits(np.concatenate([bits, fill])).tobytes().replace(b"\xff", b"\xff\x00")


def encode(frame: npt.NDArray[np.uint16 | np.int16], *, selection: int = 1) -> bytes:
    """One frame (rows, columns) of 16-bit samples as a JPEG lossless stream; signed samples keep their bits.

    `selection` is the predictor 1-7 (T.81 table H.1); the usual transfer syntax asks for 1.
    """
    rows, columns = frame.shape
    counts = bytes(_LENGTHS.count(n) for n in range(1, 17))
    table = b"\x00" + counts + bytes(_CATEGORIES)
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, rows, columns, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">H", 2 + len(table)) + table,
            b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, selection, 0, 0),
            _entropy_coded(_differences(np.ascontiguousarray(frame).view(np.uint16), selection)),
            b"\xff\xd9",
        )
    )
