"""A folder of any depth and naming, over the file system's own bytes.

Links: one that points inside the archive is left alone (its target is read where it lies); one that leads
outside is followed once per target, never to a folder that holds the archive itself (decision 0002).
"""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tasks.instance import FileRef
from tasks.sources import zips
from tasks.sources.base import ArchiveUnreachable, DirectoryListing, Entry, Problem, error_name, join

NAMES_PER_LISTING = 10_000  # bounds memory per listing and per range query of the index
LONGEST_PATH_BYTES = (
    4000  # PATH_MAX is 4096 on Linux, with room for the last name; longer ones go by folder handles
)
_OPEN_FLAGS = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
)  # never hangs on a FIFO put in a file's place


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The archive under `root`, or the single zip `only` in it."""

    root: bytes
    only: bytes | None = None
    kind: str = "folder"
    skip: tuple[bytes, ...] = ()  # folders of our own (warehouse, slabs) that may lie inside the archive
    names_per_listing: int = NAMES_PER_LISTING
    keeps_vanished: bool = True  # a disk may have been emptied to make room

    def is_gone(self, path: bytes) -> bool:
        """True: a walk names every folder."""
        return True

    def walk(self) -> Iterator[DirectoryListing]:
        """Directories in sorted order, depth first; see `tasks.sources.base.Source`."""
        if self.only is not None:
            found = _stat_entry(self.only, join(self.root, self.only))
            return iter([DirectoryListing(b"", (found,) if found else ())])
        return _Walk(self.root, self.skip, self.names_per_listing).directories()

    def members(self, ref: FileRef) -> Iterator[DirectoryListing]:
        """The members of a zip."""
        return zips.list_members(self._open_file(ref.path), ref)

    def open(self, ref: FileRef) -> BinaryIO:
        """Raises OSError; also for what is no regular file any more."""
        descriptor = self._open_file(ref.path)
        if ref.member is not None:
            return zips.open_member(descriptor, ref)
        return os.fdopen(descriptor, "rb", buffering=0)

    def local_path(self, ref: FileRef) -> Path | None:
        """None for zip members and for paths that are longer than the system takes."""
        path = join(self.root, ref.path)
        return None if ref.member is not None or len(path) > LONGEST_PATH_BYTES else Path(os.fsdecode(path))

    def _open_file(self, path: bytes) -> int:
        descriptor = open_beneath(join(self.root, path), _OPEN_FLAGS)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file")
        return descriptor


def open_folder(archive: str, skip: Iterable[Path] = ()) -> FolderSource:
    """The folder or zip at a path, without the folders to skip. Raises ArchiveUnreachable with what to do."""
    path = os.path.realpath(os.fsencode(archive))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return FolderSource(path, skip=tuple(os.path.realpath(os.fsencode(each)) for each in skip))
        if stat.S_ISREG(mode):
            folder, name = os.path.split(path)
            os.close(os.open(path, _OPEN_FLAGS))
            if not _may_be_archive(path):
                raise ArchiveUnreachable(
                    "the archive is neither a folder nor a zip file: name the folder it lies in"
                )
            return FolderSource(folder, only=name, kind="zip")
    except OSError as error:
        raise ArchiveUnreachable(
            f"the archive cannot be read ({error_name(error)}): check path and mount"
        ) from None
    raise ArchiveUnreachable("the archive is neither a folder nor a zip file")


def _may_be_archive(path: bytes) -> bool:
    """A zip by its end or its beginning (a damaged one says so later), or a DICOM file."""
    with open(path, "rb") as stream:
        start = stream.read(132)
    return start[:2] == b"PK" or start[128:] == b"DICM" or zipfile.is_zipfile(os.fsdecode(path))


def open_beneath(path: bytes, flags: int) -> int:
    """`os.open` that takes paths of any length, in pieces by folder handles. Raises OSError."""
    if len(path) <= LONGEST_PATH_BYTES:
        return os.open(path, flags)
    folder = os.open(b"/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *pieces, last = list(_pieces(path))
    for piece in pieces:
        try:
            deeper = os.open(piece, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        folder = deeper
    try:
        return os.open(last, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _pieces(path: bytes) -> Iterator[bytes]:
    piece = b""
    for name in path.split(b"/"):
        if not name:
            continue
        if len(piece) + len(name) >= LONGEST_PATH_BYTES:
            yield piece
            piece = b""
        piece = join(piece, name)
    yield piece


@dataclass(slots=True)
class _Folder:
    """A directory still to be listed."""

    path: bytes
    is_outside: bool = False  # reached over a link that leads out of the archive
    is_link: bool = False


class _Walk:
    """One walk: remembers the outside targets that links have led to, and the names still to be listed."""

    def __init__(self, root: bytes, skip: tuple[bytes, ...], names_per_listing: int) -> None:
        self.root, self.skip, self.stride = root, frozenset(skip), names_per_listing
        self.followed: dict[tuple[int, int], bytes] = {}  # (st_dev, st_ino) of outside folders → real path

    def directories(self) -> Iterator[DirectoryListing]:
        todo = [_Folder(b"")]
        while todo:
            folder = todo.pop()
            deeper: list[_Folder] = []
            yield from self._list(folder, deeper)
            todo.extend(reversed(deeper))

    def _list(self, folder: _Folder, deeper: list[_Folder]) -> Iterator[DirectoryListing]:
        handle: int | None = None
        try:
            path = join(self.root, folder.path)
            if len(path) > LONGEST_PATH_BYTES:
                handle = open_beneath(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if self._is_seen(folder, path, handle):
                yield DirectoryListing(folder.path, (), problem=Problem("link"))
                return
            yield from self._stretches(folder, path, handle, deeper)
        except OSError as error:
            yield DirectoryListing(folder.path, (), problem=Problem("io", f"error={error_name(error)}"))
        finally:
            if handle is not None:
                os.close(handle)

    def _is_seen(self, folder: _Folder, path: bytes, handle: int | None) -> bool:
        """Whether an outside folder was already walked by way of another link."""
        if not folder.is_outside or folder.is_link:
            return False
        found = os.stat(path if handle is None else handle)
        return (found.st_dev, found.st_ino) in self.followed

    def _stretches(
        self, folder: _Folder, path: bytes, handle: int | None, deeper: list[_Folder]
    ) -> Iterator[DirectoryListing]:
        names = _sorted_entries(path if handle is None else handle)
        after: bytes | None = None
        for start in range(0, max(len(names), 1), self.stride):
            stretch = names[start : start + self.stride]
            until = stretch[-1][0] if start + self.stride < len(names) else None
            entries = [self._entry(folder, name, found, deeper) for name, found in stretch]
            yield DirectoryListing(folder.path, tuple(each for each in entries if each), after, until)
            after = until

    def _entry(
        self,
        folder: _Folder,
        name: bytes,
        found: os.DirEntry[bytes] | os.DirEntry[str],
        deeper: list[_Folder],
    ) -> Entry | None:
        try:
            if found.is_symlink():
                return self._link(folder, name, deeper)
            if found.is_dir(follow_symlinks=False):
                path = join(folder.path, name)
                if join(self.root, path) not in self.skip:
                    deeper.append(_Folder(path, folder.is_outside))
                return None
            return _entry_of(name, found.stat(follow_symlinks=False))
        except FileNotFoundError:
            return None  # gone since it was listed
        except OSError as error:
            return Entry(name, 0, 0, problem=Problem("io", f"error={error_name(error)}"))

    def _link(self, folder: _Folder, name: bytes, deeper: list[_Folder]) -> Entry | None:
        path = join(join(self.root, folder.path), name)
        try:
            target, found = os.path.realpath(path), os.stat(path)
        except OSError as error:
            is_dangling = error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
            problem = Problem("special_file") if is_dangling else Problem("io", f"error={error_name(error)}")
            return Entry(name, 0, 0, problem=problem)
        inode = (found.st_dev, found.st_ino)
        walked = (self.root, *self.followed.values())
        if any(_is_beneath(target, each) for each in walked) or _is_beneath(self.root, target):
            return Entry(name, 0, 0, problem=Problem("link"))
        if stat.S_ISDIR(found.st_mode):
            self.followed[inode] = target
            deeper.append(_Folder(join(folder.path, name), is_outside=True, is_link=True))
            return None
        entry = _entry_of(name, found)
        return entry if entry.problem else entry._replace(inode=inode)


def _sorted_entries(path: bytes | int) -> list[tuple[bytes, os.DirEntry[bytes] | os.DirEntry[str]]]:
    with os.scandir(path) as entries:
        return sorted(((os.fsencode(each.name), each) for each in entries), key=lambda pair: pair[0])


def _entry_of(name: bytes, found: os.stat_result) -> Entry:
    if not stat.S_ISREG(found.st_mode):
        return Entry(name, 0, 0, problem=Problem("special_file"))
    inode = (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
    return Entry(name, found.st_size, found.st_mtime_ns, inode)


def _stat_entry(name: bytes, path: bytes) -> Entry | None:
    try:
        return _entry_of(name, os.stat(path))
    except OSError as error:
        return Entry(name, 0, 0, problem=Problem("io", f"error={error_name(error)}"))


def _is_beneath(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
