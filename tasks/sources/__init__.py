"""The archives that can be read, behind one small interface. A new kind is one module and one line here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tasks.sources.base import ArchiveUnreachable, DirectoryListing, Entry, Problem, Source
from tasks.sources.folder import FolderSource, open_folder


def open_source(archive: str, *, skip: Iterable[Path] = ()) -> Source:
    """The source for a folder or a zip file. `skip`: folders of our own that may lie inside the archive.

    Raises ArchiveUnreachable (exit 11).
    """
    return open_folder(archive, skip)


def local_root(source: Source) -> str | None:
    """The path that every worker must be able to read; None for an archive that is no path."""
    return os.fsdecode(source.root) if isinstance(source, FolderSource) else None


__all__ = [
    "ArchiveUnreachable",
    "DirectoryListing",
    "Entry",
    "Problem",
    "Source",
    "local_root",
    "open_source",
]
