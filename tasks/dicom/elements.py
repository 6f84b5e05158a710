"""Splits a DICOM header into raw elements: bounded, iterative, and blind to what it does not need.

It reads the elements asked for and steps over all others (private ones, long ones, sequences of any depth) without
looking inside. It stops at the pixel data. Little endian only; whatever it does not know raises `Unusual`, and the
caller asks pydicom instead. Layout: DICOM PS3.5, section 7.1 (explicit and implicit VR) and 7.5 (sequences).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ReadAt = Callable[[int, int], bytes]  # (offset, number of bytes) → at most so many bytes, fewer at the end

FIRST_WINDOW_BYTES = 16 << 10  # holds the whole header of most CT slices (2-12 kB)
WINDOW_BYTES = 64 << 10
MAX_VALUE_BYTES = (
    16 << 10
)  # of an element that is asked for; the longest text VR among them (ST) has 1024 characters
MAX_GROUPS_BYTES = 64 << 20  # functional groups of an enhanced object: about 10 kB a frame
MAX_NESTING = 64  # real structured reports reach about 20
MAX_STEPS = 1_000_000  # elements walked in one file, about a second; enhanced CTs need about 100 a frame
UNDEFINED = 0xFFFFFFFF


def _vrs(names: str) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names.split())


SHORT_VRS = _vrs("AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US")  # length in 2 bytes
LONG_VRS = _vrs("OB OD OF OL OV OW SQ SV UC UN UR UT UV")  # length in 4 bytes, after 2 reserved ones
_SHORT = struct.Struct("<4s2sH")
_IMPLICIT = struct.Struct("<4sI")
_LENGTH = struct.Struct("<I")
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"


def tag(group: int, element: int) -> bytes:
    """The four bytes of a tag as they stand in a little-endian file."""
    return struct.pack("<HH", group, element)


PIXEL_TAGS = frozenset({tag(0x7FE0, 0x0010), tag(0x7FE0, 0x0008), tag(0x7FE0, 0x0009)})


class Unusual(Exception):
    """Valid or not, this reader does not know it."""


class BadHeader(Exception):
    """The header breaks a bound: nesting, steps or the size of one value."""


class _Cut(Exception):
    """The file ends inside its header."""


@dataclass(slots=True)
class Elements:
    """What a header holds of the elements asked for."""

    values: dict[bytes, bytes]  # tag → raw value
    spans: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # tag → (start, end) of a whole element
    # Tag → items of a sequence that pydicom has read already, where this reader could not find its place.
    sequences: dict[bytes, list[Any]] = field(default_factory=dict)
    pixel_tag: bytes | None = None
    pixel_offset: int | None = None  # of the first byte of the value
    pixel_length: int | None = None  # None: undefined, so encapsulated
    end: int = 0  # where the header ends: at the pixel data, or at the end of the file
    is_cut: bool = False  # the file ends inside an element
    missing_bytes: int = 0  # of that element


class Window:
    """A moving view of the file. `consume` sees every byte of the header that was read, in order."""

    def __init__(self, read_at: ReadAt, start: int, first: bytes, consume: Callable[[bytes], object]) -> None:
        self.read_at, self.consume = read_at, consume
        self.base, self.buffer = start, first

    def move(self, position: int, n_bytes: int = WINDOW_BYTES) -> bytes:
        """View the bytes from `position` on; earlier ones are done with."""
        self.consume(self.buffer[: max(0, position - self.base)])
        self.base, self.buffer = position, self.read_at(position, n_bytes)
        return self.buffer

    def finish(self, position: int) -> None:
        """Done with everything before `position`."""
        self.consume(self.buffer[: max(0, position - self.base)])


def scan(
    window: Window, *, is_implicit: bool, wanted: frozenset[bytes], located: frozenset[bytes], size_bytes: int
) -> Elements:
    """Walk the elements of a data set from the start of the window.

    `wanted` are kept as raw bytes, of `located` only the place is kept. A file that ends early gives what was read,
    with `is_cut`. Raises Unusual, BadHeader.
    """
    found = Elements({})
    walk = _scan_implicit if is_implicit else _scan_explicit
    try:
        found.end = walk(window, found, wanted, located)
        if found.end > size_bytes:
            found.is_cut, found.missing_bytes = True, found.end - size_bytes
    except _Cut:
        found.is_cut, found.end = True, size_bytes
    window.finish(found.end)
    return found


def _scan_explicit(
    window: Window, found: Elements, wanted: frozenset[bytes], located: frozenset[bytes]
) -> int:
    buffer, limit, at = window.buffer, len(window.buffer), 0
    values, unpack, steps = found.values, _SHORT.unpack_from, 0
    while True:
        if at + 12 > limit:
            buffer, at = window.move(window.base + at), 0
            limit = len(buffer)
            if limit < 8:
                return _at_end(window, limit)
        tag_bytes, vr, length = unpack(buffer, at)
        start = at + 8
        if vr not in SHORT_VRS:
            if vr not in LONG_VRS:
                raise Unusual("value representation")
            if at + 12 > limit:
                raise _Cut
            length = _LENGTH.unpack_from(buffer, start)[0]
            start += 4
            if tag_bytes in PIXEL_TAGS:
                return _pixels(window, found, tag_bytes, start, length)
            if length == UNDEFINED or tag_bytes in located:
                place = window.base + at
                is_implicit = vr == b"UN"  # PS3.5 section 6.2.2, note 4
                end = _end_of(window, window.base + start, length, is_implicit)
                if tag_bytes in located:
                    found.spans[tag_bytes] = (place, end)
                buffer, at = window.move(end), 0
                limit = len(buffer)
                continue
        if tag_bytes in wanted:
            if start + length > limit:
                buffer, at, start = _widen(window, at, start, length)
                limit = len(buffer)
            values[tag_bytes] = buffer[start : start + length]
        at = start + length
        steps += 1
        if steps > MAX_STEPS:
            raise BadHeader("elements")


def _scan_implicit(
    window: Window, found: Elements, wanted: frozenset[bytes], located: frozenset[bytes]
) -> int:
    buffer, limit, at = window.buffer, len(window.buffer), 0
    values, unpack, steps = found.values, _IMPLICIT.unpack_from, 0
    while True:
        if at + 8 > limit:
            buffer, at = window.move(window.base + at), 0
            limit = len(buffer)
            if limit < 8:
                return _at_end(window, limit)
        tag_bytes, length = unpack(buffer, at)
        start = at + 8
        if tag_bytes in PIXEL_TAGS:
            return _pixels(window, found, tag_bytes, start, length)
        if length == UNDEFINED or tag_bytes in located:
            place = window.base + at
            end = _end_of(window, window.base + start, length, True)
            if tag_bytes in located:
                found.spans[tag_bytes] = (place, end)
            buffer, at = window.move(end), 0
            limit = len(buffer)
            continue
        if tag_bytes in wanted:
            if start + length > limit:
                buffer, at, start = _widen(window, at, start, length)
                limit = len(buffer)
            values[tag_bytes] = buffer[start : start + length]
        at = start + length
        steps += 1
        if steps > MAX_STEPS:
            raise BadHeader("elements")


def _at_end(window: Window, n_left: int) -> int:
    """The position of the end; a few stray bytes there are a cut."""
    if n_left:
        raise _Cut
    return window.base


def _pixels(window: Window, found: Elements, tag_bytes: bytes, start: int, length: int) -> int:
    found.pixel_tag = tag_bytes
    found.pixel_offset = window.base + start
    found.pixel_length = None if length == UNDEFINED else length
    return found.pixel_offset


def _widen(window: Window, at: int, start: int, length: int) -> tuple[bytes, int, int]:
    """Move the window so that the whole value lies in it: (buffer, start of element, start of value)."""
    if length > MAX_VALUE_BYTES:
        raise BadHeader("value")
    header_bytes = start - at
    buffer = window.move(window.base + at)
    if len(buffer) < header_bytes + length:
        raise _Cut
    return buffer, 0, header_bytes


def _end_of(window: Window, position: int, length: int, is_implicit: bool) -> int:
    """Where a sequence ends whose value starts at `position`."""
    return position + length if length != UNDEFINED else _skip_sequence(window, position, is_implicit)


def _skip_sequence(window: Window, position: int, is_implicit: bool) -> int:
    """Step over a sequence of undefined length, level by level, without recursion."""
    levels = [_Level(is_item=False, is_implicit=is_implicit)]
    for _ in range(MAX_STEPS):
        at = position - window.base
        if not 0 <= at <= len(window.buffer) - 12:
            window.move(position)
            at = 0
        if len(window.buffer) - at < 8:
            raise _Cut
        position = _step(window.buffer, at, position, levels)
        if not levels:
            return position
        if len(levels) > MAX_NESTING:
            raise BadHeader("nesting")
    raise BadHeader("elements")


@dataclass(slots=True)
class _Level:
    is_item: bool  # inside an item of undefined length, else inside a sequence of undefined length
    is_implicit: bool


def _step(buffer: bytes, at: int, position: int, levels: list[_Level]) -> int:
    """One element or item further; opens and closes levels."""
    level = levels[-1]
    tag_bytes, length = _IMPLICIT.unpack_from(buffer, at)
    if tag_bytes in (_ITEM_END, _SEQUENCE_END):
        levels.pop()
        return position + 8
    if not level.is_item:
        if tag_bytes != _ITEM:
            raise Unusual("no item")
        if length != UNDEFINED:
            return position + 8 + int(length)
        levels.append(_Level(is_item=True, is_implicit=level.is_implicit))
        return position + 8
    header_bytes, is_implicit = 8, True
    if not level.is_implicit:
        header_bytes, length, is_implicit = _explicit_length(buffer, at)
    if length != UNDEFINED:
        return position + header_bytes + int(length)
    levels.append(_Level(is_item=False, is_implicit=is_implicit))
    return position + header_bytes


def _explicit_length(buffer: bytes, at: int) -> tuple[int, int, bool]:
    """(bytes before the value, length of the value, whether what is inside is implicit)."""
    _, vr, length = _SHORT.unpack_from(buffer, at)
    if vr in SHORT_VRS:
        return 8, length, False
    if vr not in LONG_VRS:
        raise Unusual("value representation")
    if len(buffer) - at < 12:
        raise _Cut
    return 12, _LENGTH.unpack_from(buffer, at + 8)[0], vr == b"UN"
