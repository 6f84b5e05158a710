"""The index of an archive on disk: what every file was, and the instances of every study. Owner-only SQLite files.

Memory stays flat whatever the archive's size. Killed at any moment it loses nothing but the last flush: instances are
committed before the files they came from, and taken back when it is opened again (decision 0002). It is opened by one
sweep at a time (the sweep's lease sees to that) and may be used from several threads.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tasks.index_rows import IndexTotals, Known, Result
from tasks.index_studies import StudyPartition, connect, place_of
from tasks.instance import FileIssue, FileRef, StudyInstances, StudyTicket
from tasks.sources.base import DirectoryListing
from warehouse.reasons import Outcome

# Raise it when a table changes, or what the header reader reads of a file: the archive is then read again.
INDEX_VERSION = 1
FLUSH_ROWS = 5_000  # results per transaction; about 5 MB in memory


def _remove(directory: Path) -> None:
    """Remove the files of an index; the one that tells of the others goes last."""
    for path in sorted(directory.glob("*.sqlite*"), reverse=True):
        path.unlink()


class Index:
    """See the module's text. `partitions` counts only when the index is made."""

    def __init__(self, directory: Path, *, partitions: int = 16, flush_rows: int = FLUSH_ROWS) -> None:
        self.directory, self._flush_rows = directory, flush_rows
        self._lock = threading.RLock()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._open(partitions)
        except sqlite3.OperationalError:  # locked, or no space left: nothing is wrong with the index
            self.close()
            raise
        except sqlite3.DatabaseError:
            # Another version, or damaged by a power cut. It holds nothing that the archive does not: begin anew.
            self.close()
            _remove(directory)
            self._open(partitions)
        self._reasons: dict[tuple[str, str], int] = {
            (outcome, reason): reason_id
            for reason_id, outcome, reason in self._files.execute(
                "SELECT reason_id, outcome, reason FROM reasons"
            )
        }
        self._results: list[Result] = []
        self._directory_ids: dict[bytes, int] = {}

    def _open(self, partitions: int) -> None:
        self._parts: list[StudyPartition] = []
        self._files = connect(self.directory / "files.sqlite", "index_files.sql", "NORMAL", INDEX_VERSION)
        n_parts = self._fact("partitions") or partitions
        self._set_fact("partitions", n_parts)
        flush = self._fact("flush") or 0
        for part in range(n_parts):
            path = self.directory / f"studies-{part:03d}.sqlite"
            self._parts.append(StudyPartition(path, part, flush, INDEX_VERSION))

    def close(self) -> None:
        """Close all files. What was not flushed is lost, as after a kill."""
        for part in self._parts:
            part.close()
        if hasattr(self, "_files"):  # not when the first file could not be opened
            self._files.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what the flow asks

    def settled_studies(self, wave: int | None) -> Iterator[StudyTicket]:
        """Dirty studies that this wave did not touch; None: all dirty ones. Each is handed out once per touch."""
        for part in self._parts:
            batches = part.settled(wave, issue=True)
            while batch := self._locked_next(batches):
                yield from batch

    def studies(self, *, batch: int = 500) -> Iterator[list[StudyTicket]]:
        """All studies known, in batches."""
        for part in self._parts:
            batches = part.tickets(batch)
            while tickets := self._locked_next(batches):
                yield tickets

    def instances_of(self, study_uid: str) -> StudyInstances:
        """Everything known of one study. Raises KeyError."""
        with self._lock:
            return self._part_of(study_uid).instances_of(study_uid)

    def set_revision(self, ticket: StudyTicket, revision: str) -> None:
        """Store the revision that the flow landed; clean, unless files came since the ticket was handed out."""
        with self._lock:
            self._part_of(ticket.study_instance_uid).set_revision(ticket, revision)

    def file_counts(self) -> list[tuple[str, str, int]]:
        """(outcome, reason, number) of the files of no study."""
        with self._lock:
            rows = self._files.execute(
                "SELECT outcome, reason, n_files FROM reasons WHERE n_files > 0 ORDER BY outcome, reason"
            )
            return [(str(outcome), str(reason), int(n)) for outcome, reason, n in rows]

    def totals(self) -> IndexTotals:
        """Counts over the whole index."""
        with self._lock:
            counts = zip(*(part.counts() for part in self._parts), strict=True)
            studies, series, instances, vanished = map(sum, counts)
            n_apart = sum(n for _, _, n in self.file_counts())
            return IndexTotals(
                n_files_found=instances + n_apart,
                n_instances=instances,
                n_studies=studies,
                n_series=series,
                n_files_vanished=vanished,
                is_crawl_complete=bool(self._fact("is_complete")),
            )

    def erase(self, study_uids: Iterable[str]) -> int:
        """Remove studies with everything known of them; returns how many files that were.

        For `ovf forget`. Files that are still in the archive are read again by the next crawl.
        """
        n_files = 0
        with self._lock:
            for uid in study_uids:
                part = self._part_of(uid)
                found = part.files_of(uid)
                for _, ref in found:
                    directory, name, _ = place_of(ref)
                    self._delete_file(self._known_directory(directory), name)
                part.erase([instance_id for instance_id, _ in found])
                n_files += len(found)
        return n_files

    # ---- what the crawl does

    def begin_crawl(self) -> tuple[int, int]:
        """(number of this crawl, number of its first wave). Open studies wait for a whole wave again."""
        with self._lock:
            crawl, wave = (self._fact("crawl") or 0) + 1, (self._fact("wave") or 0) + 1
            self._set_fact("crawl", crawl)
            self._set_fact("is_complete", 0)
            self.begin_wave(wave)
            for part in self._parts:
                part.restart(wave)
            return crawl, wave

    def begin_wave(self, wave: int) -> None:
        with self._lock:
            self._set_fact("wave", wave)

    def end_crawl(self) -> None:
        with self._lock:
            self._set_fact("is_complete", 1)

    def known(self, listing: DirectoryListing) -> dict[bytes, Known]:
        """Rows of the names that a listing speaks of, by one range query."""
        with self._lock:
            directory_id = self._known_directory(listing.path)
            if directory_id is None:
                return {}
            rows = self._files.execute(
                "SELECT name, size_bytes, mtime_ns, reason_id, part, instance_id, is_vanished FROM files"
                " WHERE directory_id = ? AND (? IS NULL OR name > ?) AND (? IS NULL OR name <= ?)",
                (directory_id, listing.after, listing.after, listing.until, listing.until),
            )
            return {row[0]: Known(*row[1:]) for row in rows}

    def retried(self, reasons: Iterable[str] = ()) -> frozenset[int]:
        """Ids of the reasons whose files are read again: failed, pending, and those named."""
        with self._lock:
            rows = self._files.execute("SELECT reason_id, outcome, reason FROM reasons").fetchall()
        again = frozenset(reasons)
        return frozenset(
            reason_id
            for reason_id, outcome, reason in rows
            if outcome in (Outcome.FAILED, Outcome.PENDING) or reason.split(":", 1)[0] in again
        )

    def has_any(self, directory: bytes, reason_ids: frozenset[int]) -> bool:
        """Whether a row of this directory (or zip) ended for one of these reasons."""
        with self._lock:
            rows = self._files.execute(
                "SELECT DISTINCT reason_id FROM files WHERE directory_id = ? AND reason_id IS NOT NULL",
                (self._known_directory(directory),),
            )
            return any(row[0] in reason_ids for row in rows)

    def is_same_issue(self, known: Known | None, issue: FileIssue) -> bool:
        """Whether this name already ended so."""
        with self._lock:
            if known is None or known.reason_id is None:
                return False
            return self._reasons.get((issue.outcome, issue.reason)) == known.reason_id

    def write(self, result: Result, wave: int) -> None:
        """Add one result; flushed in transactions of some thousands."""
        with self._lock:
            self._results.append(result)
            if len(self._results) >= self._flush_rows:
                self.flush(wave)

    def flush(self, wave: int) -> None:
        """Commit what was written: first instances, then the files they came from."""
        with self._lock:
            if not self._results:
                return
            flush = (self._fact("flush") or 0) + 1
            stored = self._write_studies(flush, wave)
            self._files.execute("BEGIN IMMEDIATE")
            self._write_files(stored)
            self._set_fact("flush", flush)
            self._files.execute("COMMIT")
            self._results.clear()
            self._directory_ids.clear()

    def settling(self, wave: int | None) -> Iterator[StudyTicket]:
        """As `settled_studies`, without handing them out: their duplicates are compared first."""
        for part in self._parts:
            batches = part.settled(wave, issue=False)
            while batch := self._locked_next(batches):
                yield from batch

    def twins(self, study_uid: str) -> list[tuple[int, FileRef]]:
        with self._lock:
            return self._part_of(study_uid).twins(study_uid)

    def set_full_digest(self, study_uid: str, instance_id: int, full_digest: bytes) -> None:
        with self._lock:
            self._part_of(study_uid).set_full_digest(instance_id, full_digest)

    # ---- names that have gone

    def saw(self, directories: list[bytes], crawl: int) -> None:
        """Note that these directories were listed to their end by this crawl."""
        with self._lock:
            self._files.execute("BEGIN IMMEDIATE")
            self._files.executemany(
                "INSERT INTO directories (path, seen) VALUES (?, ?)"
                " ON CONFLICT (path) DO UPDATE SET seen = excluded.seen",
                [(path, crawl) for path in directories],
            )
            self._files.execute("COMMIT")

    def gone_directories(self, crawl: int, batch: int = 500) -> Iterator[list[bytes]]:
        """Directories that hold rows and were not seen by this crawl."""
        last = -1
        while True:
            with self._lock:
                rows = self._files.execute(
                    "SELECT directory_id, path FROM directories WHERE directory_id > ? AND seen < ?"
                    " ORDER BY directory_id LIMIT ?",
                    (last, crawl, batch),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [bytes(path) for _, path in rows]

    def forget(self, directory: bytes, names: dict[bytes, Known], wave: int, *, keep: bool = True) -> None:
        """Names that are not there any more: instances stay as vanished (`keep`), unless they are found elsewhere."""
        with self._lock:
            directory_id = self._known_directory(directory)
            self._files.execute("BEGIN IMMEDIATE")
            for name, known in names.items():
                self._forget_one(directory_id, name, known, wave, keep)
            self._files.execute("COMMIT")

    def _forget_one(self, directory_id: int | None, name: bytes, known: Known, wave: int, keep: bool) -> None:
        part = None if known.part is None else self._parts[known.part]
        is_last = (
            part is not None and known.instance_id is not None and not part.is_elsewhere(known.instance_id)
        )
        if keep and is_last and part is not None and known.instance_id is not None:
            if not known.is_vanished:
                part.set_vanished(known.instance_id, True)
                self._files.execute(
                    "UPDATE files SET is_vanished = 1 WHERE directory_id = ? AND name = ?",
                    (directory_id, name),
                )
            return
        if part is not None and known.instance_id is not None:
            part.remove(known.instance_id, wave)
        self._count({known.reason_id: -1})
        self._delete_file(directory_id, name)

    def drop_moved(self, study_uid: str, wave: int) -> None:
        """Forget vanished files of a study whose instances were found again under another name."""
        with self._lock:
            part = self._part_of(study_uid)
            for instance_id, ref in part.moved(study_uid):
                part.remove(instance_id, wave)
                directory, name, _ = place_of(ref)
                self._delete_file(self._known_directory(directory), name)

    def _delete_file(self, directory_id: int | None, name: bytes) -> None:
        place = (directory_id, name)
        self._files.execute("DELETE FROM files WHERE directory_id = ? AND name = ?", place)

    def reappeared(self, directory: bytes, name: bytes, known: Known) -> None:
        """A vanished file is there again, unchanged."""
        with self._lock:
            if known.part is not None and known.instance_id is not None:
                self._parts[known.part].set_vanished(known.instance_id, False)
            self._files.execute(
                "UPDATE files SET is_vanished = 0 WHERE directory_id = ? AND name = ?",
                (self._known_directory(directory), name),
            )

    def claim(self, inode: tuple[int, int], directory: bytes, name: bytes, crawl: int) -> bool:
        """Whether this name is the one by which the inode is read: the first that asks in this crawl.

        Walks are sorted, so it is the same name every time, and names that have moved on hold no claim.
        """
        with self._lock:
            mine = (self._directory_id(directory), name)
            self._files.execute(
                "INSERT INTO claims VALUES (?, ?, ?, ?, ?) ON CONFLICT (device, inode) DO UPDATE SET"
                " directory_id = excluded.directory_id, name = excluded.name, crawl = excluded.crawl"
                " WHERE crawl < excluded.crawl",
                (*inode, *mine, crawl),
            )
            owner = self._files.execute(
                "SELECT directory_id, name FROM claims WHERE device = ? AND inode = ?", inode
            ).fetchone()
            return bool(owner == mine)

    # ---- inside

    def _part_of(self, study_uid: str) -> StudyPartition:
        return self._parts[zlib.crc32(study_uid.encode("utf-8", "surrogatepass")) % len(self._parts)]

    def _locked_next(self, batches: Iterator[list[StudyTicket]]) -> list[StudyTicket] | None:
        with self._lock:
            return next(batches, None)

    def _write_studies(self, flush: int, wave: int) -> list[tuple[int, int] | None]:
        """Store instances, partition by partition; where each result went, in order."""
        stored: list[tuple[int, int] | None] = [None] * len(self._results)
        touched = {part.part: part for part in map(self._target, self._results) if part}
        touched |= {
            result.known.part: self._parts[result.known.part]
            for result in self._results
            if result.known is not None and result.known.part is not None
        }
        for part in touched.values():
            part.begin(flush)
        for number, result in enumerate(self._results):
            stored[number] = self._store(result, self._target(result), wave)
        for part in touched.values():
            part.commit()
        return stored

    def _target(self, result: Result) -> StudyPartition | None:
        """The partition of its study; None for files of no series."""
        found = result.found
        if found is None or not found.study_instance_uid or not found.series_instance_uid:
            return None
        return self._part_of(found.study_instance_uid)

    def _store(self, result: Result, target: StudyPartition | None, wave: int) -> tuple[int, int] | None:
        found, known = result.found, result.known
        if known is not None and known.part is not None and known.instance_id is not None:
            before = self._parts[known.part]
            is_same_part = target is before
            if is_same_part and found is not None and before.refresh(known.instance_id, found):
                return known.part, known.instance_id
            before.remove(known.instance_id, wave)
        if target is None or found is None:
            return None
        return target.part, target.add(found, wave)

    def _write_files(self, stored: list[tuple[int, int] | None]) -> None:
        rows = []
        changes: Counter[int | None] = Counter()
        for result, place in zip(self._results, stored, strict=True):
            reason_id = None
            if place is None and isinstance(result.found, FileIssue):
                reason_id = self._reason_id(result.found)
            if result.known is not None:
                changes[result.known.reason_id] -= 1
            changes[reason_id] += 1
            entry = result.entry
            rows.append(
                (
                    self._directory_id(result.directory),
                    entry.name,
                    entry.size_bytes,
                    entry.mtime_ns,
                    reason_id,
                    *(place or (None, None)),
                )
            )
        self._files.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, 0)", rows)
        self._count(changes)

    def _reason_id(self, issue: FileIssue) -> int:
        key = (issue.outcome, issue.reason)
        if key not in self._reasons:
            self._files.execute("INSERT OR IGNORE INTO reasons (outcome, reason) VALUES (?, ?)", key)
            row = self._files.execute("SELECT reason_id FROM reasons WHERE reason = ?", key[1:]).fetchone()
            self._reasons[key] = row[0]
        return self._reasons[key]

    def _count(self, changes: Mapping[int | None, int]) -> None:
        self._files.executemany(
            "UPDATE reasons SET n_files = n_files + ? WHERE reason_id = ?",
            [(change, reason_id) for reason_id, change in changes.items() if reason_id is not None],
        )

    def _known_directory(self, path: bytes) -> int | None:
        row = self._files.execute("SELECT directory_id FROM directories WHERE path = ?", (path,)).fetchone()
        return None if row is None else int(row[0])

    def _directory_id(self, path: bytes) -> int:
        known = self._directory_ids.get(path)
        if known is None:
            self._files.execute("INSERT OR IGNORE INTO directories (path, seen) VALUES (?, 0)", (path,))
            known = self._known_directory(path) or 0
            self._directory_ids[path] = known
        return known

    def _fact(self, name: str) -> int | None:
        row = self._files.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def _set_fact(self, name: str, value: int) -> None:
        self._files.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
