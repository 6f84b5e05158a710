"""What an archive of files is to the crawl: a walk that lists, and an open that reads. Nothing else.

A source is picklable and holds no open handle, so that workers get a copy of their own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from tasks.instance import FileRef


class ArchiveUnreachable(Exception):
    """The archive is not there, or is nothing that can be swept."""


class ZipDamaged(OSError):
    """A member cannot be read: the zip is damaged, whatever the disk says."""


class ZipMethod(ZipDamaged):
    """A member is packed in a way that is not read (LZMA, Deflate64, Zstandard); it may well be sound."""


class Problem(NamedTuple):
    """Why an entry is not read: a code of `warehouse.reasons`, with `name=value` for its message."""

    reason: str
    detail: str | None = None


class Entry(NamedTuple):
    """One name of a directory (or one member of a zip), as `stat` sees it."""

    name: bytes
    size_bytes: int
    mtime_ns: int
    inode: tuple[int, int] | None = None  # (st_dev, st_ino) where a file has several names, else None
    problem: Problem | None = None  # set: the entry is a row of its own and never opened


@dataclass(frozen=True, slots=True)
class DirectoryListing:
    """A stretch of one directory in sorted order; large directories come in several stretches.

    It tells of every name in (after, until]; None is open-ended. Names of that range that it does not tell of
    have gone. `problem`: the directory could not be read (nothing is known of its names), or what is wrong with
    the zip as a whole (its other members are told of all the same).
    """

    path: bytes  # relative to the archive root, b"" for the root; the zip's own path for members
    entries: tuple[Entry, ...]
    after: bytes | None = None
    until: bytes | None = None
    is_zip: bool = False
    problem: Problem | None = None

    def ref(self, entry: Entry) -> FileRef:
        """The file reference of an entry of this listing."""
        if self.is_zip:
            return FileRef(self.path, entry.name, entry.size_bytes, entry.mtime_ns)
        return FileRef(join(self.path, entry.name), None, entry.size_bytes, entry.mtime_ns)


class Source(Protocol):
    """An archive of files: folder, zip; later DICOMweb and DIMSE stores."""

    @property
    def kind(self) -> str: ...

    @property
    def keeps_vanished(self) -> bool:
        """Whether what has gone stays known, as vanished; else it is as if it had never been there."""
        ...

    def is_gone(self, path: bytes) -> bool:
        """Whether a directory that a finished walk did not name is not there any more."""
        ...

    def walk(self) -> Iterator[DirectoryListing]:
        """Every directory in sorted order. One unreadable entry becomes a problem, never an exception."""
        ...

    def members(self, ref: FileRef) -> Iterator[DirectoryListing]:
        """The members of the zip at `ref`. A damaged zip yields what is left, with a problem."""
        ...

    def open(self, ref: FileRef) -> BinaryIO:
        """The bytes of a file or member, seekable. Raises OSError (`ZipDamaged` for a broken member)."""
        ...

    def local_path(self, ref: FileRef) -> Path | None:
        """A path that can be mapped into memory; None for members of a zip."""
        ...


def join(directory: bytes, name: bytes) -> bytes:
    """`directory/name`, or `name` in the root."""
    return directory + b"/" + name if directory else name


def split(path: bytes) -> tuple[bytes, bytes]:
    """(directory, name) of a path relative to the root."""
    directory, _, name = path.rpartition(b"/")
    return directory, name


def error_name(error: OSError) -> str:
    """The symbol of an OSError, such as EACCES; it names no path."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
