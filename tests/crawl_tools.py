"""Small tools of the crawl tests: crawl once, count opens, settle, and say what the index holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tasks.crawl import Wave, crawl, read_here
from tasks.index import Index
from tasks.instance import FileRef, StudyInstances
from tasks.sources import Source, open_source
from tasks.sources.base import DirectoryListing

NOBODY = 65534


@dataclass
class Watched:
    """A source that notes what is opened, and fails where it is told to."""

    inner: Source
    errors: dict[bytes, OSError] = field(default_factory=dict)
    opened: list[bytes] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def keeps_vanished(self) -> bool:
        return self.inner.keeps_vanished

    def is_gone(self, path: bytes) -> bool:
        return self.inner.is_gone(path)

    def walk(self) -> Iterator[DirectoryListing]:
        return self.inner.walk()

    def members(self, ref: FileRef) -> Iterator[DirectoryListing]:
        self.opened.append(ref.path)
        return self.inner.members(ref)

    def open(self, ref: FileRef) -> BinaryIO:
        self.opened.append(ref.path)
        if ref.path in self.errors:
            raise self.errors[ref.path]
        return self.inner.open(ref)

    def local_path(self, ref: FileRef) -> Path | None:
        return self.inner.local_path(ref)


def run(archive: Path | Watched, index: Index, **options: Any) -> list[Wave]:
    """Crawl to the end. Files count as settled at once, unless `stable_s` says otherwise."""
    source = open_source(str(archive)) if isinstance(archive, Path) else archive
    options.setdefault("stable_s", 0)
    options.setdefault("read_batch", read_here(source))
    return list(crawl(source, index, **options))


def studies(index: Index) -> dict[str, StudyInstances]:
    """All studies by UID."""
    tickets = [ticket for batch in index.studies() for ticket in batch]
    return {each.study_instance_uid: index.instances_of(each.study_instance_uid) for each in tickets}


def land(index: Index, wave: int | None = None) -> list[str]:
    """Take what is settled and store a revision for it, as the flow does."""
    tickets = list(index.settled_studies(wave))
    for ticket in tickets:
        index.set_revision(ticket, "landed")
    return [ticket.study_instance_uid for ticket in tickets]


def contents(index: Index) -> dict[str, Any]:
    """What the index holds, without file names: equal for archives that differ in names and folders only."""
    found = {
        uid: (
            [
                (each.series_instance_uid, each.sop_instance_uid, each.content_digest, each.position_mm)
                for each in study.instances
            ],
            study.n_files,
            study.duplicates,
            study.conflicts,
            sorted((each.reason, each.sop_instance_uid) for each in study.issues),
        )
        for uid, study in studies(index).items()
    }
    return {"studies": found, "files": index.file_counts(), "totals": index.totals()}


def is_conserved(index: Index) -> bool:
    """Every file found is in a study or has a reason."""
    totals = index.totals()
    n_apart = sum(n for _, _, n in index.file_counts())
    n_in_studies = sum(study.n_files for study in studies(index).values())
    return totals.n_files_found == n_apart + n_in_studies and totals.n_instances == n_in_studies


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
