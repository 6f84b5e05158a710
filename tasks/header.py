"""Takes an open file, returns its `Instance`, or the `FileIssue` that says why it is none. Reads headers only.

Our own bounded reader does nearly all files; pydicom splits what it does not know (big endian, odd value
representations) and reads the functional groups of enhanced objects. The values are converted here in one way, whoever
split them, and a property test holds every field against pydicom's own reading.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from tasks.dicom.elements import (
    FIRST_WINDOW_BYTES,
    LONG_VRS,
    SHORT_VRS,
    BadHeader,
    Elements,
    ReadAt,
    Unusual,
    Window,
    scan,
    tag,
)
from tasks.dicom.frames import FUNCTIONAL_GROUPS, NO_GROUPS, read_frames
from tasks.dicom.inflate import Inflated
from tasks.dicom.pixels import DEFLATED, ENHANCED_CT_CLASSES, pixel_problem
from tasks.dicom.unusual import scan_with_pydicom
from tasks.dicom.values import TAG_OF, TAGS, code, instance_of, integer
from tasks.instance import FileIssue, FileRef, Instance
from tasks.sources.base import Problem, Source, ZipDamaged, ZipMethod, error_name
from warehouse.reasons import reason_of

TAIL_BYTES = 4096  # of the pixel data go into the content digest, with the header and the size
DIGEST_BYTES = 16
COMPARE_BYTES = 1 << 20
IMPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # SOP class of a DICOMDIR
MAX_META_BYTES = 1 << 20
# First bytes of other formats, found in the preamble of files that are both (CVE-2019-11687; PS3.10, section 7.1).
POLYGLOTS = (
    b"MZ",
    b"\x7fELF",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"%PDF",
    b"PK\3\4",
    b"GIF8",
    b"\x89PNG",
    b"#!",
    b"<",
)
ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")
# gzip, bzip2, xz, 7-Zip, RAR, Zstandard; ISO 9660, section 8.4.
PACKED_MAGIC = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",
)
DISC_MAGIC, DISC_MAGIC_AT = b"CD001", 0x8001
# Formats that are zips, but no archive of files.
NO_ARCHIVES = (
    b".docx",
    b".xlsx",
    b".pptx",
    b".odt",
    b".ods",
    b".odp",
    b".jar",
    b".apk",
    b".epub",
    b".whl",
    b".npz",
)
_META_SYNTAX, _META_CLASS = tag(2, 0x10), tag(2, 2)


@dataclass(frozen=True, slots=True)
class ZipFound:
    """A file that holds files: its members are to be listed and read."""

    file: FileRef


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the data set of a file begins, and in which syntax it is written."""

    offset: int
    transfer_syntax_uid: str
    is_media_directory: bool
    remarks: tuple[str, ...]


class _Rejected(Exception):
    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.problem = Problem(reason, detail)


def read_headers(
    source: Source, refs: list[FileRef], *, accept_no_meta: bool = False
) -> list[Instance | FileIssue | ZipFound]:
    """Read one batch of files; every file gives one result, in order. Never raises for a file."""
    return [_read_one(source, ref, accept_no_meta) for ref in refs]


def _read_one(source: Source, ref: FileRef, accept_no_meta: bool) -> Instance | FileIssue | ZipFound:
    if not ref.size_bytes:
        return issue(ref, "empty")
    try:
        with source.open(ref) as stream:
            if _is_changing(stream, ref):
                return issue(ref, "unstable")
            return read_instance(stream, ref, accept_no_meta=accept_no_meta)
    except ZipMethod:
        return issue(ref, "zip_method")
    except ZipDamaged:
        return issue(ref, "zip_damaged")
    except OSError as error:
        return issue(ref, "io", f"error={error_name(error)}")
    except (MemoryError, RecursionError):
        return issue(ref, "bad_header")


def _is_changing(stream: BinaryIO, ref: FileRef) -> bool:
    """Whether a plain file differs from what the walk saw of it a moment ago."""
    if ref.member is not None:
        return False
    now = os.fstat(stream.fileno())
    return (now.st_size, now.st_mtime_ns) != (ref.size_bytes, ref.mtime_ns)


def issue(ref: FileRef, reason: str, detail: str | None = None, **uids: str | None) -> FileIssue:
    """The row of a file that is no instance."""
    return FileIssue(ref, reason_of(reason).outcome.value, reason, detail, **uids)


def read_instance(
    stream: BinaryIO, file: FileRef, *, accept_no_meta: bool = False
) -> Instance | FileIssue | ZipFound:
    """Read one header. `stream` is seekable; `file` is only passed on. Raises OSError."""
    read_at, size_bytes = _reader(stream)
    head = read_at(0, FIRST_WINDOW_BYTES)
    if not head:
        return issue(file, "empty")
    try:
        if head[:4] in ZIP_MAGIC and head[128:132] != b"DICM":
            return _zip(file)
        start = _find_start(head, read_at, accept_no_meta)
        if start.is_media_directory:
            return issue(file, "dicomdir")
        return _read_data_set(read_at, size_bytes, head, start, file)
    except _Rejected as rejected:
        return issue(file, *rejected.problem)
    except (BadHeader, RecursionError):
        return issue(file, "bad_header")


def dataset_offset(stream: BinaryIO) -> int:
    """Where the data set begins: what lies before it (preamble, file meta) is no part of the content."""
    read_at, _ = _reader(stream)
    try:
        return _find_start(read_at(0, FIRST_WINDOW_BYTES), read_at, True).offset
    except _Rejected:
        return 0


def _reader(stream: BinaryIO) -> tuple[ReadAt, int]:
    """(read_at, size): by position on plain files, by seeking elsewhere."""
    try:
        descriptor = stream.fileno()
    except OSError:
        pass
    else:
        return lambda offset, n: os.pread(descriptor, n, offset), os.fstat(descriptor).st_size

    def read_at(offset: int, n_bytes: int) -> bytes:
        stream.seek(offset)
        return stream.read(n_bytes)

    return read_at, stream.seek(0, os.SEEK_END)


def _zip(file: FileRef) -> ZipFound | FileIssue:
    if file.path.lower().endswith(NO_ARCHIVES) and file.member is None:
        return issue(file, "not_dicom")
    return ZipFound(file) if file.member is None else issue(file, "zip_bomb")  # one level of depth


def _find_start(head: bytes, read_at: ReadAt, accept_no_meta: bool) -> _Start:
    """Where the data set begins.

    Raises _Rejected(not_dicom, archive_format, no_meta, bad_header, missing_mandatory).
    """
    if head[128:132] == b"DICM":
        remarks = ("preamble_polyglot",) if head[:128].lstrip(b"\0").startswith(POLYGLOTS) else ()
        return _read_meta(head, read_at, 132, remarks)
    if head[:4] == b"DICM":  # no preamble, but its magic
        return _read_meta(head, read_at, 4, ())
    if not _is_bare_data_set(head):
        raise _Rejected("archive_format" if _is_other_archive(head, read_at) else "not_dicom")
    if not accept_no_meta:
        raise _Rejected("no_meta")
    if head[:2] == b"\2\0":
        return _read_meta(head, read_at, 0, ("no_meta",))
    return _Start(0, IMPLICIT_LITTLE, False, ("no_meta",))


def _is_other_archive(head: bytes, read_at: ReadAt) -> bool:
    """A tar, what gzip and the like pack, or the image of a disc: whole examinations may lie in one."""
    is_packed = head.startswith(PACKED_MAGIC) or head[257:262] == b"ustar"
    return is_packed or read_at(DISC_MAGIC_AT, len(DISC_MAGIC)) == DISC_MAGIC


def _is_bare_data_set(head: bytes) -> bool:
    """Whether the file begins like a data set or file meta: three ascending elements of sane length."""
    at, last = 0, (0, 0)
    if head[:2] not in (b"\2\0", b"\x08\0"):
        return False
    for _ in range(3):
        if len(head) < at + 12:
            return False
        here = (int.from_bytes(head[at : at + 2], "little"), int.from_bytes(head[at + 2 : at + 4], "little"))
        if here <= last and at:
            return False
        last = here
        vr = head[at + 4 : at + 6]
        if vr in SHORT_VRS:
            at += 8 + int.from_bytes(head[at + 6 : at + 8], "little")
        elif vr in LONG_VRS:
            at += 12 + int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(head[at + 4 : at + 8], "little")
        if at + 12 > len(head):
            return at < 4096
    return True


def _read_meta(head: bytes, read_at: ReadAt, at: int, remarks: tuple[str, ...]) -> _Start:
    """Walk the elements of group 2 (always explicit little endian), whatever group length they declare."""
    values: dict[bytes, bytes] = {}
    base = 0
    while True:
        if at - base + 12 > len(head):
            base, head = at, read_at(at, FIRST_WINDOW_BYTES)
        element = head[at - base : at - base + 12]
        if element[:2] != b"\2\0":
            break
        header_bytes, length = 8, int.from_bytes(element[6:8], "little")
        if element[4:6] in LONG_VRS:
            header_bytes, length = 12, int.from_bytes(element[8:12], "little")
        elif element[4:6] not in SHORT_VRS:
            raise _Rejected("bad_header")
        if length > MAX_META_BYTES or at > MAX_META_BYTES:
            raise _Rejected("bad_header")
        if element[:4] in (_META_SYNTAX, _META_CLASS):
            inside = at - base + header_bytes
            value = head[inside : inside + min(length, 64)]
            values[element[:4]] = (
                value if len(value) == min(length, 64) else read_at(at + header_bytes, min(length, 64))
            )
        at += header_bytes + length
    syntax = values.get(_META_SYNTAX, b"").decode("ascii", "replace").strip(" \0")
    is_directory = values.get(_META_CLASS, b"").strip(b" \0") == MEDIA_DIRECTORY.encode()
    if not syntax and not is_directory:
        raise _Rejected("missing_mandatory:00020010")
    return _Start(at, syntax, is_directory, remarks)


def _read_data_set(
    read_at: ReadAt, size_bytes: int, head: bytes, start: _Start, file: FileRef
) -> Instance | FileIssue:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(f"{start.transfer_syntax_uid} {size_bytes - start.offset} ".encode())
    scanned = _scan(read_at, size_bytes, head, start, digest.update)
    found = scanned.found
    tail_at = max(0 if scanned.inflated else found.end, size_bytes - TAIL_BYTES)
    tail = read_at(tail_at, TAIL_BYTES) if tail_at < size_bytes else b""
    digest.update(tail)
    problem = _problem(scanned, read_at, size_bytes, start, tail)
    if problem is not None:
        return issue(file, problem.reason, problem.detail, **_uids(found.values))
    return _instance(scanned, start, file, digest.hexdigest())


@dataclass(slots=True)
class _Scanned:
    """A data set split into elements, and how to read more of it."""

    found: Elements
    read_at: ReadAt  # offsets are those of `found`
    is_implicit: bool = False
    inflated: Inflated | None = None  # set for the deflated syntax


def _scan(
    read_at: ReadAt, size_bytes: int, head: bytes, start: _Start, consume: Callable[[bytes], object]
) -> _Scanned:
    """Split the data set by the reader that fits its syntax. Raises BadHeader."""
    if start.transfer_syntax_uid == DEFLATED:
        inflated = Inflated(read_at, start.offset, size_bytes)
        found = _split(inflated.read_at, 0, inflated.size_limit, b"", consume, is_implicit=False)
        return _Scanned(found, inflated.read_at, inflated=inflated)
    if start.transfer_syntax_uid == EXPLICIT_BIG:
        return _Scanned(
            scan_with_pydicom(
                read_at, start.offset, size_bytes, consume, sequences=FUNCTIONAL_GROUPS, is_big_endian=True
            ),
            read_at,
        )
    first = head[start.offset :] or read_at(start.offset, FIRST_WINDOW_BYTES)
    is_implicit = _is_implicit(first, start.transfer_syntax_uid)
    found = _split(read_at, start.offset, size_bytes, first, consume, is_implicit=is_implicit)
    return _Scanned(found, read_at, is_implicit)


def _split(
    read_at: ReadAt,
    offset: int,
    size_bytes: int,
    first: bytes,
    consume: Callable[[bytes], object],
    *,
    is_implicit: bool,
) -> Elements:
    """By our own reader, or by pydicom where that does not know what it sees. `first`: what was read already."""
    window = Window(read_at, offset, first or read_at(offset, FIRST_WINDOW_BYTES), consume)
    try:
        return scan(
            window, is_implicit=is_implicit, wanted=TAGS, located=FUNCTIONAL_GROUPS, size_bytes=size_bytes
        )
    except Unusual:
        return scan_with_pydicom(
            read_at, offset, size_bytes, consume, sequences=FUNCTIONAL_GROUPS, is_implicit=is_implicit
        )


def _is_implicit(first: bytes, transfer_syntax_uid: str) -> bool:
    """What the first element shows, for the file meta is wrong in some files; an empty data set goes by it."""
    if len(first) < 8:
        return transfer_syntax_uid == IMPLICIT_LITTLE
    vr = first[4:6]
    return not (vr.isalpha() and vr.isupper())


def _problem(
    scanned: _Scanned, read_at: ReadAt, size_bytes: int, start: _Start, tail: bytes
) -> Problem | None:
    found = scanned.found
    problem = pixel_problem(found, start.transfer_syntax_uid, read_at, size_bytes, tail)
    if problem is None and scanned.inflated is not None:
        missing_bytes = scanned.inflated.missing_pixel_bytes(found)
        return Problem("truncated", f"missing_bytes={missing_bytes}") if missing_bytes else None
    return problem


def _uids(values: dict[bytes, bytes]) -> dict[str, str | None]:
    return {
        "study_instance_uid": code(values.get(TAG_OF["StudyInstanceUID"])),
        "series_instance_uid": code(values.get(TAG_OF["SeriesInstanceUID"])),
        "sop_instance_uid": code(values.get(TAG_OF["SOPInstanceUID"])),
    }


def _instance(scanned: _Scanned, start: _Start, file: FileRef, content_digest: str) -> Instance:
    found = scanned.found
    groups = NO_GROUPS
    if code(found.values.get(TAG_OF["SOPClassUID"])) in ENHANCED_CT_CLASSES:
        n_frames = integer(found.values.get(TAG_OF["NumberOfFrames"])) or 1
        groups = read_frames(scanned.read_at, found, n_frames, is_implicit=scanned.is_implicit)
    return instance_of(
        groups.beside(found.values),
        file=file,
        content_digest=content_digest,
        transfer_syntax_uid=start.transfer_syntax_uid,
        pixel_offset=found.pixel_offset,
        pixel_length=found.pixel_length,
        frames=groups.planes,
        remarks=start.remarks,
    )


def full_digests(source: Source, refs: list[FileRef]) -> list[bytes | None]:
    """A digest of all bytes of each data set, to tell copies from conflicts; None where a file cannot be read."""
    return [_full_digest(source, ref) for ref in refs]


def _full_digest(source: Source, ref: FileRef) -> bytes | None:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    try:
        with source.open(ref) as stream:
            stream.seek(dataset_offset(stream))
            while chunk := stream.read(COMPARE_BYTES):
                digest.update(chunk)
    except OSError:
        return None  # gone or unreadable: the walk says so by itself
    return digest.digest()


__all__ = ["ZipFound", "dataset_offset", "full_digests", "issue", "read_headers", "read_instance"]
