"""The archives that can be read, behind one small interface. A new kind is one module and one line here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tasks.sources.base import ArchiveUnreachable, DirectoryListing, Entry, Problem, Source
from tasks.sources.folder import open_folder


def open_source(archive: str, *, skip: Iterable[Path] = ()) -> Source:
    """The source for a folder or a zip file. `skip`: folders of our own that may lie inside the archive.

    Raises ArchiveUnreachable (exit 11).
    """
    return open_folder(archive, skip)


__all__ = ["ArchiveUnreachable", "DirectoryListing", "Entry", "Problem", "Source", "open_source"]
