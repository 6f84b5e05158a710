"""Folders as they are found: odd names, links, loops, what cannot be read. Rows T35 to T37 of the fault catalogue."""

from __future__ import annotations

import os
import pickle
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from crawl_tools import as_nobody

from tasks.instance import FileRef
from tasks.sources import ArchiveUnreachable, DirectoryListing, Entry, open_source
from tasks.sources.folder import FolderSource


def listings(root: Path, **options: object) -> list[DirectoryListing]:
    return list(open_source(str(root), **options).walk())  # type: ignore[arg-type]


def found(root: Path, **options: object) -> dict[bytes, str | None]:
    """Path → reason, None for files that are to be read."""
    rows: dict[bytes, str | None] = {}
    for listing in listings(root, **options):
        if listing.problem:
            rows[listing.path + b"/"] = listing.problem.reason
        for entry in listing.entries:
            rows[listing.ref(entry).path] = entry.problem.reason if entry.problem else None
    return rows


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_walk_is_sorted_and_says_size_and_time(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "c/d/e"):
        touch(tmp_path / name, b"12345")
    assert list(found(tmp_path)) == [b"a", b"b/1", b"b/2", b"c/d/e"]
    entry = listings(tmp_path)[0].entries[0]
    assert (entry.size_bytes, entry.mtime_ns) == (5, (tmp_path / "a").stat().st_mtime_ns)


def test_a_large_folder_comes_in_stretches_that_cover_every_name(tmp_path: Path) -> None:
    for number in range(25):
        touch(tmp_path / f"{number:03d}")
    stretches = list(FolderSource(os.fsencode(tmp_path), names_per_listing=10).walk())
    assert [len(each.entries) for each in stretches] == [10, 10, 5]
    bounds = [(each.after, each.until) for each in stretches]
    assert bounds == [(None, b"009"), (b"009", b"019"), (b"019", None)]


def test_an_empty_folder_is_listed_so_that_its_former_files_are_missed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert [(each.path, each.entries) for each in listings(tmp_path)] == [(b"", ()), (b"empty", ())]


@pytest.mark.parametrize(
    "name", [b"line\nbreak", b"\xff\xfe\x80", "张伟".encode(), b"a\\b", b" ", b"-rf", "\u202e".encode()]
)
def test_T35_names_are_bytes(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)
    Path(os.fsdecode(path)).write_bytes(b"data")
    assert list(found(tmp_path)) == [name]
    source = open_source(str(tmp_path))
    with source.open(FileRef(name)) as stream:
        assert stream.read() == b"data"
    assert source.local_path(FileRef(name)) is not None


def test_T35_paths_longer_than_the_system_takes_are_read(tmp_path: Path) -> None:
    depth, name = 25, b"d" * 200
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        deeper = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    file = os.open(b"image", os.O_CREAT | os.O_WRONLY, dir_fd=folder)
    os.write(file, b"deep")
    os.close(file)
    os.close(folder)
    path = b"/".join([name] * depth + [b"image"])
    assert len(path) > 4096
    assert found(tmp_path) == {path: None}
    source = open_source(str(tmp_path))
    with source.open(FileRef(path)) as stream:
        assert stream.read() == b"deep"
    assert source.local_path(FileRef(path)) is None


def test_T35_links_inside_the_archive_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "image")
    (tmp_path / "file").symlink_to("a/image")
    (tmp_path / "folder").symlink_to("a")
    (tmp_path / "a" / "loop").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert found(tmp_path) == {
        b"a/image": None,
        b"a/loop": "link",
        b"dangling": "special_file",
        b"file": "link",
        b"folder": "link",
        b"self": "special_file",
    }


def test_T35_links_that_lead_outside_are_followed_once(tmp_path: Path) -> None:
    archive, outside = tmp_path / "archive", tmp_path / "outside"
    touch(archive / "own")
    touch(outside / "deep" / "image")
    (outside / "deep" / "back").symlink_to(archive)
    (outside / "deep" / "up").symlink_to("..")
    (archive / "1").symlink_to(outside / "deep")
    (archive / "2").symlink_to(outside)
    (archive / "3").symlink_to(outside / "deep")
    (archive / "4").symlink_to(tmp_path)  # holds the archive itself
    rows = found(archive)
    assert [path for path, reason in rows.items() if reason is None] == [b"own", b"1/image"]
    assert {path: reason for path, reason in rows.items() if reason} == {
        b"1/back": "link",
        b"1/up": "link",
        b"2/deep/": "link",
        b"3": "link",
        b"4": "link",
    }


def test_T35_hard_links_tell_their_inode(tmp_path: Path) -> None:
    touch(tmp_path / "a")
    os.link(tmp_path / "a", tmp_path / "b")
    touch(tmp_path / "c")
    inodes = [entry.inode for entry in listings(tmp_path)[0].entries]
    assert inodes[0] is not None
    assert inodes[0] == inodes[1]
    assert inodes[2] is None


def test_special_files_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tmp_path)  # the name of a socket may have 108 bytes only
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        assert found(tmp_path) == {b"pipe": "special_file", b"socket": "special_file"}
    with pytest.raises(OSError, match="regular"):
        open_source(str(tmp_path)).open(FileRef(b"pipe"))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may enter (pytest's own are closed to others)."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_T37_an_unreadable_folder_is_a_row(public_folder: Path) -> None:
    touch(public_folder / "closed" / "image")
    touch(public_folder / "open" / "image")
    os.chmod(public_folder / "closed", 0)
    with as_nobody():
        rows = found(public_folder)
    os.chmod(public_folder / "closed", 0o700)
    assert rows == {b"closed/": "io", b"open/image": None}


def test_folders_of_our_own_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "ovf-warehouse" / "index" / "files.sqlite")
    touch(tmp_path / "image")
    assert list(found(tmp_path, skip=[tmp_path / "ovf-warehouse"])) == [b"image"]


def test_an_archive_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere", "pipe"):
        with pytest.raises(ArchiveUnreachable) as error:
            open_source(str(tmp_path / name))
        assert str(tmp_path) not in str(error.value)


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ArchiveUnreachable, match="neither a folder nor a zip"):
        open_source(str(tmp_path / "notes.txt"))


def test_T37_an_unreadable_archive_is_unreachable(public_folder: Path) -> None:
    (public_folder / "archive").mkdir(mode=0o700)
    with as_nobody(), pytest.raises(ArchiveUnreachable, match="EACCES"):
        open_source(str(public_folder / "archive"))


def test_sources_travel_to_workers(tmp_path: Path) -> None:
    touch(tmp_path / "image", b"data")
    source = pickle.loads(pickle.dumps(open_source(str(tmp_path))))
    with source.open(FileRef(b"image")) as stream:
        assert stream.read() == b"data"


def test_an_entry_that_vanishes_while_it_is_listed_is_no_row(tmp_path: Path) -> None:
    touch(tmp_path / "a")
    walk = open_source(str(tmp_path)).walk()
    (tmp_path / "a").unlink()
    assert [each.entries for each in walk] == [()]
    assert Entry(b"a", 0, 0).problem is None
