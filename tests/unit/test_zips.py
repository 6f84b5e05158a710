"""Zips read in place: row T63 of the fault catalogue."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from crawl_tools import Watched, is_conserved, run, studies
from factory import make_ct_series, uid

from tasks.index import Index
from tasks.instance import FileRef
from tasks.sources import DirectoryListing, open_source
from tasks.sources.base import ZipDamaged


def zipped(target: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def members(path: Path) -> list[DirectoryListing]:
    status = path.stat()
    source = open_source(str(path.parent))
    return list(source.members(FileRef(path.name.encode(), None, status.st_size, status.st_mtime_ns)))


def read_all(path: Path) -> dict[bytes, bytes]:
    """Name → bytes of every member that can be read."""
    source = open_source(str(path.parent))
    found = {}
    for listing in members(path):
        for entry in listing.entries:
            with source.open(listing.ref(entry)) as stream:
                found[entry.name.partition(b"/")[2]] = stream.read()
    return found


FILES = {"a/1": b"one" * 1000, "a/2": b"", "b": os.urandom(5000), "ü\n": b"odd"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_are_read_as_they_were_packed(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "x.zip", FILES, method)
    assert read_all(path) == {name.encode(): data for name, data in FILES.items()}


def test_members_can_be_sought(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = zipped(tmp_path / f"{method}.zip", {"x": b"0123456789"}, method)
        listing = members(path)[0]
        with open_source(str(tmp_path)).open(listing.ref(listing.entries[0])) as stream:
            assert stream.seek(-3, os.SEEK_END) == 7
            assert stream.read(10) == b"789"
            assert (stream.seek(2), stream.read(2), stream.tell()) == (2, b"23", 4)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_series_in_zips_are_those_of_folders(tmp_path: Path, method: int) -> None:
    paths = make_ct_series(tmp_path / "files", 4)
    archive = tmp_path / "archive"
    archive.mkdir()
    zipped(archive / "study.ZIP", {path.name: path.read_bytes() for path in paths}, method)
    with Index(tmp_path / "1") as flat, Index(tmp_path / "2") as packed, Index(tmp_path / "3") as alone:
        run(tmp_path / "files", flat)
        run(archive, packed)
        run(archive / "study.ZIP", alone)
        expected = studies(flat)[uid("study", 0)].instances
        for index in (packed, alone):
            found = studies(index)[uid("study", 0)]
            assert found.n_files == 4
            assert [each.content_digest for each in found.instances] == [
                each.content_digest for each in expected
            ]
            assert is_conserved(index)


def test_a_known_zip_is_not_opened_again(tmp_path: Path) -> None:
    paths = make_ct_series(tmp_path / "files", 3)
    archive = tmp_path / "archive"
    archive.mkdir()
    zipped(archive / "x.zip", {path.name: path.read_bytes() for path in paths})
    source = Watched(open_source(str(archive)))
    with Index(tmp_path / "index") as index:
        run(source, index)
        assert source.opened
        source.opened.clear()
        run(source, index)
        assert source.opened == []
        assert index.totals().n_files_vanished == 0
        (archive / "x.zip").unlink()
        run(source, index)
        assert index.totals().n_files_vanished == 3


def test_T63_an_encrypted_member_is_one_row_and_others_are_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a": b"open", "b": b"secret"})
    data = bytearray(path.read_bytes())
    record = data.rindex(b"PK\1\2")
    data[record + 8] |= 1
    path.write_bytes(bytes(data))
    assert [each.problem.reason if each.problem else None for each in members(path)] == ["zip_encrypted"]
    assert read_all(path) == {b"a": b"open"}


def test_T63_a_zip_without_its_directory_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "files", 6)
    archive = tmp_path / "archive"
    archive.mkdir()
    path = zipped(archive / "x.zip", {each.name: each.read_bytes() for each in files})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert index.file_counts() == [("quarantined", "zip_damaged", 1)]
        assert 1 <= studies(index)[uid("study", 0)].n_files < 6
        assert is_conserved(index)
        path.write_bytes(data)  # copied again, whole
        run(archive, index)
        assert index.file_counts() == []
        assert studies(index)[uid("study", 0)].n_files == 6
        assert is_conserved(index)


def test_T63_a_damaged_member_is_a_row_of_its_own(tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "files", 3)
    archive = tmp_path / "archive"
    archive.mkdir()
    path = zipped(archive / "x.zip", {each.name: each.read_bytes() for each in files})
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(bytes(data))
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert index.file_counts() == [("quarantined", "zip_damaged", 1)]
        assert studies(index)[uid("study", 0)].n_files == 2


def test_T63_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(300):
            member.write(b"\0" * (1 << 20))
    assert [each.problem.reason for each in members(path) if each.problem] == ["zip_bomb"]
    assert members(path)[0].entries == ()


def test_T63_members_that_overlap_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a": b"x" * 1000, "b": b"y" * 1000}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\1\2")
    struct.pack_into("<L", data, second + 42, 10)  # into the middle of the first
    path.write_bytes(bytes(data))
    assert [each.problem.reason for each in members(path) if each.problem] == ["zip_bomb"]


def test_T63_too_many_members_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a": b"x"})
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**9, 10**9, 50, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    path.write_bytes(bytes(data[:end]) + wide + locator + bytes(data[end:]))
    assert [each.problem.reason for each in members(path) if each.problem] == ["zip_bomb"]


def test_T63_a_zip_in_a_zip_is_refused(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner", {"x": b"x"}).read_bytes()
    archive = tmp_path / "archive"
    archive.mkdir()
    zipped(archive / "outer.zip", {"inner.zip": inner, "text": b"text"})
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert index.file_counts() == [("excluded", "not_dicom", 1), ("quarantined", "zip_bomb", 1)]


def test_T63_a_member_larger_than_declared_stops_there(tmp_path: Path) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(b"\0" * (100 << 20)) + packed.flush()
    path = zipped(tmp_path / "x.zip", {"a": b"x"})
    path.write_bytes(path.read_bytes() + data)
    offset = path.stat().st_size - len(data)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(data), 1000, 0, 0)
    path.write_bytes(path.read_bytes()[:offset] + local + data)
    locator = f"{offset:x}.{len(data):x}.8.0/a".encode()
    tracemalloc.start()
    with pytest.raises(ZipDamaged):
        open_source(str(tmp_path)).open(FileRef(b"x.zip", locator, 1000, 0))
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_office_files_are_no_archives(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    zipped(archive / "report.docx", {"word/document.xml": b"<xml/>"})
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert index.file_counts() == [("excluded", "not_dicom", 1)]


def test_zip64_members_are_found(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("big", "w", force_zip64=True) as member:
        member.write(b"data")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    assert read_all(tmp_path / "x.zip") == {b"big": b"data"}


class _Pipe(io.BytesIO):
    """Cannot be sought, so that sizes stand behind each member and in the directory alone."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


@pytest.mark.parametrize("told", [0, 1, 3, 9])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_wrong_number_of_members_loses_none(tmp_path: Path, told: int, is_streamed: bool) -> None:
    path, pipe = tmp_path / "x.zip", _Pipe() if is_streamed else io.BytesIO()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    data = bytearray(pipe.getvalue())
    end = data.rindex(b"PK\5\6")
    data[end + 8 : end + 12] = struct.pack("<2H", told, told)
    path.write_bytes(data)
    assert read_all(path) == {name.encode(): content for name, content in FILES.items()}
    assert [problem.reason for listing in members(path) if (problem := listing.problem)] == ["zip_damaged"]


def test_a_number_of_members_that_wrapped_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.sources.zips.COUNT_WRAPS_AT", 4)
    path = zipped(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    data[end + 8 : end + 12] = bytes(4)
    path.write_bytes(data)
    assert len(read_all(path)) == len(FILES) == 4
    assert not any(listing.problem for listing in members(path))


def test_archives_of_other_kinds_are_told_and_not_taken_for_rubbish(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    [path] = make_ct_series(tmp_path / "files", 1)
    for kind in ("", "gz", "bz2", "xz"):
        with tarfile.open(archive / f"x.tar{kind}", f"w:{kind}") as packed:
            packed.add(path, path.name)
    (archive / "image.dcm.gz").write_bytes(gzip.compress(path.read_bytes()))
    (archive / "disc.iso").write_bytes(bytes(0x8001) + b"CD001" + bytes(2048))
    (archive / "notes.txt").write_text("no archive")
    with Index(tmp_path / "index") as index:
        run(archive, index)
        counts = index.file_counts()
    assert sorted(counts) == [("excluded", "not_dicom", 1), ("quarantined", "archive_format", 6)]


def test_a_zip_packed_otherwise_is_no_damaged_one(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    paths = make_ct_series(tmp_path / "files", 3)
    zipped(archive / "x.zip", {path.name: path.read_bytes() for path in paths}, zipfile.ZIP_LZMA)
    with Index(tmp_path / "index") as index:
        run(archive, index)
        assert index.file_counts() == [("quarantined", "zip_method", 3)]
