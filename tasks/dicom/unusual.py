"""pydicom as the reader of last resort: big endian, value representations that do not exist, odd sequences.

It only splits the data set into raw elements; the values are converted by `tasks.dicom.values` as always.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

from tasks.dicom.elements import (
    MAX_GROUPS_BYTES,
    MAX_VALUE_BYTES,
    PIXEL_TAGS,
    UNDEFINED,
    WINDOW_BYTES,
    BadHeader,
    Elements,
    ReadAt,
    tag,
)
from tasks.dicom.values import BINARY, TAGS

MAX_READ_BYTES = MAX_GROUPS_BYTES  # by pydicom in one header; a forged length must not allocate more


def scan_with_pydicom(
    read_at: ReadAt,
    start: int,
    size_bytes: int,
    consume: Callable[[bytes], object],
    *,
    sequences: frozenset[bytes],
    is_implicit: bool = False,
    is_big_endian: bool = False,
) -> Elements:
    """As `elements.scan`, for what that does not know; `sequences` are read at once. Raises BadHeader."""
    from pydicom.filereader import read_dataset

    file: Any = _Bounded(read_at, start, size_bytes)  # read, seek and tell are all that pydicom uses
    numbers: list[Any] = [_number(each) for each in TAGS | sequences]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data_set = read_dataset(
                file,
                is_implicit,
                not is_big_endian,
                stop_when=_is_pixels,
                specific_tags=numbers,
            )
            end = file.tell()
            # First: converting a sequence converts what its values depend on, too.
            values = _raw_values(data_set, is_big_endian)
            read = {
                key: list(data_set[number].value) for key in sequences if (number := _number(key)) in data_set
            }
    except BadHeader:
        raise
    except Exception:  # pydicom raises many kinds on broken headers; all mean the same
        raise BadHeader("unusual") from None
    found = Elements(values, sequences=read, end=end)
    _find_pixels(read_at, found, size_bytes, is_implicit, is_big_endian)
    consume(read_at(start, min(found.end - start, WINDOW_BYTES)))
    return found


class _Bounded(io.RawIOBase):
    """The file as pydicom reads it: no read beyond its end, and no more in all than the bound."""

    def __init__(self, read_at: ReadAt, start: int, size_bytes: int) -> None:
        self._read_at, self._at, self._size = read_at, start, size_bytes
        self._left = MAX_READ_BYTES

    def read(self, n_bytes: int = -1) -> bytes:
        rest = max(0, self._size - self._at)
        wanted = rest if n_bytes is None or n_bytes < 0 else min(n_bytes, rest)
        self._left -= wanted
        if self._left < 0:
            raise BadHeader("unusual")
        data = self._read_at(self._at, wanted)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at


def _number(key: bytes) -> int:
    """A tag as pydicom writes it: group and element in one number."""
    return int.from_bytes(key[1::-1] + key[:1:-1], "big")


def _is_pixels(element: Any, _vr: str | None, _length: int) -> bool:
    number = int(element)
    return tag(number >> 16, number & 0xFFFF) in PIXEL_TAGS


def _raw_values(data_set: Any, is_big_endian: bool) -> dict[bytes, bytes]:
    """Raw values by little-endian tag, binary numbers turned to little endian."""
    values: dict[bytes, bytes] = {}
    for number in data_set.keys():  # noqa: SIM118 - iterating a data set yields elements
        raw = data_set.get_item(number, keep_deferred=True)
        key = tag(number.group, number.element)
        if key not in TAGS or not isinstance(raw.value, bytes):
            continue
        if len(raw.value) > MAX_VALUE_BYTES:
            raise BadHeader("value")
        values[key] = raw.value[::-1] if is_big_endian and key in BINARY else raw.value
    return values


def _find_pixels(
    read_at: ReadAt, found: Elements, size_bytes: int, is_implicit: bool, is_big_endian: bool
) -> None:
    """Read the header of the element where pydicom stopped."""
    head = read_at(found.end, 12)
    order = "big" if is_big_endian else "little"
    key = head[1::-1] + head[3:1:-1] if is_big_endian else head[:4]
    if key not in PIXEL_TAGS:
        found.is_cut = found.end > size_bytes
        found.missing_bytes = max(0, found.end - size_bytes)
        return
    header_bytes = 8 if is_implicit else 12
    length = int.from_bytes(head[header_bytes - 4 : header_bytes], order)  # type: ignore[arg-type]
    found.pixel_tag = key
    found.pixel_offset = found.end = found.end + header_bytes
    found.pixel_length = None if length == UNDEFINED else length
