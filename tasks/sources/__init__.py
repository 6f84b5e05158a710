"""The archives that can be read, behind one small interface. A new kind is one module and one line here."""

from __future__ import annotations

from tasks.sources.base import ArchiveUnreachable, DirectoryListing, Entry, Problem, Source
from tasks.sources.folder import open_folder


def open_source(archive: str) -> Source:
    """The source for a folder or a zip file. Raises ArchiveUnreachable (exit 11)."""
    return open_folder(archive)


__all__ = ["ArchiveUnreachable", "DirectoryListing", "Entry", "Problem", "Source", "open_source"]
