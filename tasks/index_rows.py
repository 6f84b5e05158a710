"""The records in which crawl and index speak of files. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tasks.instance import FileIssue, Instance
from tasks.sources.base import Entry


@dataclass(frozen=True, slots=True)
class IndexTotals:
    """What the index holds. `n_files_found` = files of studies + files of no study (`Index.file_counts`)."""

    n_files_found: int
    n_instances: int  # files of studies: duplicates, broken and vanished ones included
    n_studies: int
    n_series: int  # by UID
    n_files_vanished: int  # kept instances whose files have gone
    is_crawl_complete: bool


class Known(NamedTuple):
    """What the index knows of a name."""

    size_bytes: int
    mtime_ns: int
    reason_id: int | None
    part: int | None
    instance_id: int | None
    is_vanished: int


class Result(NamedTuple):
    """The outcome of one name, to be written. `found` None: a zip whose members have rows of their own."""

    directory: bytes
    entry: Entry
    found: Instance | FileIssue | None
    known: Known | None
