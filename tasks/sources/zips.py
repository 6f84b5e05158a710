"""Zips read in place: a bounded reader of the central directory, and members as seekable streams.

A member is named by a locator that holds all that is needed to read it (offset, packed size, method, CRC), so
that one member is opened without reading the directory again. Limits follow the known attacks: a million members,
members that overlap or unpack to far more than the zip holds (Fifield 2019, "A better zip bomb").
"""

from __future__ import annotations

import bz2
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from tasks.instance import FileRef
from tasks.sources.base import DirectoryListing, Entry, Problem, ZipDamaged, ZipMethod

_CENTRAL_MARK, COUNT_WRAPS_AT = b"PK\1\2", 65_536
MAX_MEMBERS = 250_000  # 100 MB in memory while the zip is listed
MAX_UNPACKED_MEMBER_BYTES = (
    1 << 30
)  # a packed member is unpacked into memory; the largest CT series is about 1 GB
MAX_RATIO = 200  # of all unpacked bytes to the zip's size; real CTs reach 4, an empty 512² slice alone 500
RATIO_FREE_BYTES = 256 << 20  # below this much unpacked, no ratio is asked for
MEMBERS_PER_LISTING = 10_000

STORED, DEFLATED, BZIP2 = 0, 8, 12
_ENCRYPTED = 0x1
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_READ_BYTES = 1 << 20


class _Member(NamedTuple):
    name: bytes
    offset: int  # of the local header
    packed_bytes: int
    size_bytes: int
    method: int
    crc: int
    flags: int

    @property
    def locator(self) -> bytes:
        packed = f"{self.offset:x}.{self.packed_bytes:x}.{self.method:x}.{self.crc:x}/"
        return packed.encode() + self.name


def list_members(descriptor: int, ref: FileRef) -> Iterator[DirectoryListing]:
    """The readable members in sorted order; the first stretch says what is wrong with the zip. Closes it."""
    try:
        members, problem = _checked_members(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    # Hexadecimal locators do not sort like offsets; the listing promises sorted bytes.
    entries = sorted(Entry(each.locator, each.size_bytes, ref.mtime_ns) for each in members)
    after: bytes | None = None
    for start in range(0, max(len(entries), 1), MEMBERS_PER_LISTING):
        stretch = tuple(entries[start : start + MEMBERS_PER_LISTING])
        is_last = start + MEMBERS_PER_LISTING >= len(entries)
        until = None if is_last else stretch[-1].name
        yield DirectoryListing(ref.path, stretch, after, until, True, None if start else problem)
        after = until


def open_member(descriptor: int, ref: FileRef) -> BinaryIO:
    """A member as a seekable stream; takes over the descriptor. Raises ZipDamaged, OSError."""
    try:
        member = _from_locator(ref)
        local = os.pread(descriptor, _LOCAL.size, member.offset)
        if len(local) < _LOCAL.size or local[:4] != b"PK\3\4":
            raise ZipDamaged("no member where the zip's directory says")
        *_, name_bytes, extra_bytes = _LOCAL.unpack(local)
        start = member.offset + _LOCAL.size + name_bytes + extra_bytes
        if member.method == STORED:
            return _Span(descriptor, start, member.size_bytes)  # type: ignore[return-value]  # reads and seeks
        packed_end = start + member.packed_bytes
        data = _unpack(member, _chunks(descriptor, start, packed_end))
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return io.BytesIO(data)


class _Span(io.RawIOBase):
    """A stretch of an open file, read in place."""

    def __init__(self, descriptor: int, start: int, size_bytes: int) -> None:
        self._descriptor, self._start, self._size, self._at = descriptor, start, size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _chunks(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        chunk = os.pread(descriptor, min(_READ_BYTES, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def _unpack(member: _Member, chunks: Iterator[bytes]) -> bytes:
    """The unpacked bytes: never more than the declared size, and its CRC must agree. Raises ZipDamaged."""
    if member.size_bytes > MAX_UNPACKED_MEMBER_BYTES:
        raise ZipDamaged("the member is too large to unpack")
    decompress = _decompressor(member.method)
    data = bytearray()
    try:
        for chunk in chunks:
            data += decompress(chunk, member.size_bytes + 1 - len(data))
            if len(data) > member.size_bytes:
                raise ZipDamaged("the member is larger than declared")
    except (zlib.error, OSError, EOFError, ValueError):
        raise ZipDamaged("the member cannot be unpacked") from None
    if len(data) != member.size_bytes or zlib.crc32(data) != member.crc:
        raise ZipDamaged("the member differs from its checksum")
    return bytes(data)


def _decompressor(method: int) -> Callable[[bytes, int], bytes]:
    if method == DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress
    if method == BZIP2:
        return bz2.BZ2Decompressor().decompress
    raise ZipMethod("the packing method is not read")


def _from_locator(ref: FileRef) -> _Member:
    numbers, _, name = (ref.member or b"").partition(b"/")
    offset, packed, method, crc = (int(each, 16) for each in numbers.split(b"."))
    return _Member(name, offset, packed, ref.size_bytes, method, crc, 0)


def _checked_members(descriptor: int, zip_bytes: int) -> tuple[list[_Member], Problem | None]:
    """The members that may be read, and what is wrong with the zip as a whole."""
    found: dict[int, _Member] = {}  # by its place
    problem: Problem | None = None
    try:
        for member in _central_directory(descriptor, zip_bytes):
            if member.offset in found:
                return [], Problem("zip_bomb")
            found[member.offset] = member
    except _TooMany:
        return [], Problem("zip_bomb")
    except (ZipDamaged, struct.error):
        problem = Problem("zip_damaged")
        found = {member.offset: member for member in _salvage(descriptor, zip_bytes)} | found
    members: list[_Member] = []
    unpacked_bytes, last_end = 0, 0
    for _, member in sorted(found.items()):
        if member.flags & _ENCRYPTED:
            problem = problem or Problem("zip_encrypted")
            continue
        unpacked_bytes += member.size_bytes
        if member.offset < last_end or unpacked_bytes > max(RATIO_FREE_BYTES, MAX_RATIO * zip_bytes):
            return [], Problem("zip_bomb")
        last_end = member.offset + _LOCAL.size + len(member.name) + member.packed_bytes
        if last_end > zip_bytes:
            problem = Problem("zip_damaged")
        elif not member.name.endswith(b"/"):
            members.append(member)
    return members, problem


class _TooMany(Exception):
    """More members than any archive has."""


def _central_directory(descriptor: int, zip_bytes: int) -> Iterator[_Member]:
    """Every record of the central directory, read in stretches. Raises ZipDamaged, _TooMany.

    To the directory's end, whatever number of members it tells: some writers count modulo 65,536, without zip64.
    """
    n_told, size_bytes, start = _find_directory(descriptor, zip_bytes)
    if n_told > MAX_MEMBERS:
        raise _TooMany
    n_members, n_read, buffer, at = 0, 0, b"", 0
    chunks = _chunks(descriptor, start, start + size_bytes)
    while n_members < n_told or size_bytes - n_read >= _CENTRAL.size:
        if n_members >= MAX_MEMBERS:
            raise _TooMany
        while len(buffer) - at < _CENTRAL.size or len(buffer) - at < _record_bytes(buffer, at):
            more = next(chunks, b"")
            if not more:
                raise ZipDamaged("the zip's directory is cut")
            buffer, at = buffer[at:] + more, 0
        if n_members >= n_told and buffer[at : at + 4] != _CENTRAL_MARK:
            break  # a signature may follow the members
        yield _central_record(buffer, at)
        n_members += 1
        n_read += _record_bytes(buffer, at)
        at += _record_bytes(buffer, at)
    if (n_members - n_told) % COUNT_WRAPS_AT:
        raise ZipDamaged("the zip's directory holds another number of members than it tells")


def _record_bytes(buffer: bytes, at: int) -> int:
    name_bytes, extra_bytes, comment_bytes = struct.unpack_from("<3H", buffer, at + 28)
    return int(_CENTRAL.size + name_bytes + extra_bytes + comment_bytes)


def _central_record(buffer: bytes, at: int) -> _Member:
    values = _CENTRAL.unpack_from(buffer, at)
    if values[0] != _CENTRAL_MARK:
        raise ZipDamaged("a record of the zip's directory is damaged")
    flags, method, crc, packed, size = values[3], values[4], values[7], values[8], values[9]
    name_bytes, extra_bytes, offset = values[10], values[11], values[16]
    name_at = at + _CENTRAL.size
    extra = buffer[name_at + name_bytes : name_at + name_bytes + extra_bytes]
    size, packed, offset = _with_zip64(extra, size, packed, offset)
    return _Member(buffer[name_at : name_at + name_bytes], offset, packed, size, method, crc, flags)


def _with_zip64(extra: bytes, *values: int) -> list[int]:
    """Replace each 0xFFFFFFFF by the next number of the zip64 extra field."""
    at, numbers = 0, b""
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            numbers = extra[at + 4 : at + 4 + length]
        at += 4 + length
    wide = iter(struct.unpack(f"<{len(numbers) // 8}Q", numbers[: len(numbers) // 8 * 8]))
    return [next(wide, value) if value == 0xFFFFFFFF else value for value in values]


def _find_directory(descriptor: int, zip_bytes: int) -> tuple[int, int, int]:
    """(members, bytes, offset) of the central directory. Raises ZipDamaged."""
    tail_at = max(0, zip_bytes - 65536 - _END.size)
    tail = os.pread(descriptor, zip_bytes - tail_at, tail_at)
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        raise ZipDamaged("the zip's directory is missing")
    end = _END.unpack_from(tail, found)
    n_members, size_bytes, start = end[4], end[5], end[6]
    if found >= 20 and tail[found - 20 : found - 16] == b"PK\6\7":
        wide_at = struct.unpack_from("<Q", tail, found - 12)[0]
        if wide_at >= zip_bytes:
            raise ZipDamaged("the zip's directory lies outside of it")
        wide = _END_64.unpack(os.pread(descriptor, _END_64.size, wide_at))
        n_members, size_bytes, start = wide[7], wide[8], wide[9]
    if start + size_bytes > zip_bytes:
        raise ZipDamaged("the zip's directory lies outside of it")
    return n_members, size_bytes, start


def _salvage(descriptor: int, zip_bytes: int) -> Iterator[_Member]:
    """Members of a zip without a directory, one after the other from its start, as far as sizes are known."""
    at = 0
    for _ in range(MAX_MEMBERS):
        local = os.pread(descriptor, _LOCAL.size, at)
        if len(local) < _LOCAL.size or local[:4] != b"PK\3\4":
            return
        _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(local)
        body_at = at + _LOCAL.size + name_bytes + extra_bytes
        is_unknown = flags & 0x8 or 0xFFFFFFFF in (packed, size)
        if is_unknown or body_at + packed > zip_bytes or flags & _ENCRYPTED:
            return
        name = os.pread(descriptor, name_bytes, at + _LOCAL.size)
        if not name.endswith(b"/") and size <= MAX_RATIO * max(packed, 1):
            yield _Member(name, at, packed, size, method, crc, flags)
        at = body_at + packed
