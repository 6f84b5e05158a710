"""Takes a source and an index, reads every file that is new or changed, and yields waves while it goes.

By UID, never by path. Known files cost one stat (the walk's) and no open. After each wave the studies that were
touched before, and not in this wave, are settled: `index.settled_studies(wave.number)`; at the end, all are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tasks.header import ZipFound, full_digests, issue, read_headers
from tasks.index import Index
from tasks.index_rows import Known, Result
from tasks.instance import FileIssue, FileRef, Instance
from tasks.sources.base import DirectoryListing, Entry, Problem, Source, error_name, join
from tasks.workers import ClusterLost
from warehouse.reasons import Outcome

WAVE_FILES = 20_000  # new files in a wave: about a second of reading on ten cores, 60 studies
BATCH_FILES = 256  # files per call of read_batch: tens of milliseconds of work, 0.3 MB of results
BATCHES_IN_FLIGHT = 16
MAX_YOUNG = 100_000  # files held back until they had time to settle; more than that are read at once
UNREAD = -1  # in the place of a time: what could not be read is never as it was
STABLE_S = 5.0  # a file younger than this may still be being written; exports write a slice in far less
SEEN_EVERY = 500  # directories per note in the index
TWINS_PER_BATCH = 64  # files that are read in full per call of hash_batch: some 30 MB

Found = Instance | FileIssue | ZipFound
_Twin = tuple[str, int, FileRef]  # StudyInstanceUID, row of the index, file
_T_co = TypeVar("_T_co", covariant=True)


class Batch(Protocol[_T_co]):
    """What `read_batch` and `hash_batch` return: a future, or anything with `result`."""

    def result(self) -> _T_co: ...


ReadBatch = Callable[[list[FileRef]], Batch[list[Found]]]
HashBatch = Callable[[list[FileRef]], Batch[list[bytes | None]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Numbers of a running crawl."""

    n_seen: int  # files of folders, and members of zips that were read
    n_read: int  # of them new or changed
    n_bytes: int  # of the files that were read
    n_expected: int | None  # files at the end of the last crawl; None: this is the first


@dataclass(frozen=True, slots=True)
class Wave:
    """A stretch of the crawl that has been written to the index."""

    number: int
    progress: Progress
    is_last: bool


@dataclass(slots=True)
class _Done(Generic[_T_co]):
    """A batch that was worked on the spot."""

    found: _T_co

    def result(self) -> _T_co:
        return self.found


def read_here(source: Source, *, accept_no_meta: bool = False) -> ReadBatch:
    """A `read_batch` without workers, in the calling thread."""
    return lambda refs: _Done(read_headers(source, refs, accept_no_meta=accept_no_meta))


def hash_here(source: Source) -> HashBatch:
    """A `hash_batch` without workers, in the calling thread."""
    return lambda refs: _Done(full_digests(source, refs))


@dataclass(slots=True)
class _Waiting:
    """A name that is to be read."""

    directory: bytes
    entry: Entry
    ref: FileRef
    known: Known | None


@dataclass(slots=True)
class _Crawl:
    """One crawl: what is on its way, and what has been counted."""

    source: Source
    index: Index
    read_batch: ReadBatch
    hash_batch: HashBatch
    batch_files: int
    in_flight: int
    stable_s: float
    clock: Callable[[], float]
    number: int = 0
    wave: int = 0
    retried: frozenset[int] = frozenset()
    waiting: list[_Waiting] = field(default_factory=list)
    flying: deque[tuple[list[_Waiting], Batch[list[Found]]]] = field(default_factory=deque)
    comparing: deque[tuple[list[_Twin], Batch[list[bytes | None]]]] = field(default_factory=deque)
    young: list[_Waiting] = field(default_factory=list)
    zips: list[Result] = field(default_factory=list)  # written after their members
    seen: list[bytes] = field(default_factory=list)
    unread: list[bytes] = field(default_factory=list)  # directories that could not be listed
    n_seen: int = 0
    n_read: int = 0
    n_bytes: int = 0
    n_in_wave: int = 0


def crawl(
    source: Source,
    index: Index,
    *,
    read_batch: ReadBatch,
    hash_batch: HashBatch | None = None,
    wave_files: int = WAVE_FILES,
    batch_files: int = BATCH_FILES,
    in_flight: int = BATCHES_IN_FLIGHT,
    stable_s: float = STABLE_S,
    retry_reasons: Iterable[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Wave]:
    """Bring the index up to date with the source. Raises only what the index raises.

    `read_batch` reads headers (`read_headers`), `hash_batch` compares copies (`full_digests`); both may run anywhere.
    Failed and pending files are read again, and those that ended for one of `retry_reasons` (such as `no_meta` when
    that is accepted now).
    """
    state = _Crawl(
        source, index, read_batch, hash_batch or hash_here(source), batch_files, in_flight, stable_s, clock
    )
    n_before = index.totals().n_files_found
    state.number, state.wave = index.begin_crawl()
    state.retried = index.retried(
        (*retry_reasons, "duplicate")
    )  # a second name of a file may become its only one

    def progress() -> Progress:
        return Progress(state.n_seen, state.n_read, state.n_bytes, n_before or None)

    for listing in source.walk():
        _take(state, listing)
        if on_progress is not None:
            on_progress(progress())
        if state.n_in_wave >= wave_files:
            yield _end_wave(state, progress, is_last=False)
    _read_young(state, sleep)
    _finish(state)
    _forget_gone(state)
    index.end_crawl()
    if on_progress is not None:
        on_progress(progress())
    yield _end_wave(state, progress, is_last=True)


def _end_wave(state: _Crawl, progress: Callable[[], Progress], *, is_last: bool) -> Wave:
    _finish(state)
    _compare_copies(state, None if is_last else state.wave)
    done = Wave(state.wave, progress(), is_last)
    if not is_last:
        state.wave += 1
        state.n_in_wave = 0
        state.index.begin_wave(state.wave)
    return done


def _finish(state: _Crawl) -> None:
    """Read and write all that is on its way. A zip is written last: killed before, all of it is read again."""
    _submit(state)
    _drain(state, 0)
    for result in state.zips:
        state.index.write(result, state.wave)
    state.zips.clear()
    state.index.flush(state.wave)


# ---- deciding what is read


def _take(state: _Crawl, listing: DirectoryListing) -> None:
    """Compare a listing with what is known of it, and queue what is new or changed."""
    known = state.index.known(listing)
    if listing.problem is not None:
        _take_problem(state, listing, known)
    for entry in listing.entries:
        state.n_seen += 1
        before = known.pop(entry.name, None)
        if not _is_settled(state, listing.path, entry, before):
            _queue(state, _Waiting(listing.path, entry, listing.ref(entry), before))
    if listing.problem is None or listing.is_zip:
        if known:
            state.index.forget(listing.path, known, state.wave, keep=state.source.keeps_vanished)
        _saw(state, listing.path)


def _take_problem(state: _Crawl, listing: DirectoryListing, known: dict[bytes, Known]) -> None:
    """The row of a folder that cannot be read, or of a zip that is damaged: its name is empty."""
    if listing.problem is None:
        return
    if not listing.is_zip:
        state.unread.append(listing.path)
    found = issue(FileRef(listing.path), listing.problem.reason, listing.problem.detail)
    _note(state, listing.path, Entry(b"", 0, 0), found, known.pop(b"", None))


def _note(state: _Crawl, directory: bytes, entry: Entry, found: FileIssue, before: Known | None) -> None:
    """Write the row of a name that is not opened, unless it stands already."""
    is_transient = found.outcome == Outcome.FAILED and before is not None and before.part is not None
    if not is_transient and not state.index.is_same_issue(before, found):
        state.index.write(Result(directory, entry, found, before), state.wave)


def _saw(state: _Crawl, directory: bytes) -> None:
    state.seen.append(directory)
    if len(state.seen) >= SEEN_EVERY:
        state.index.saw(state.seen, state.number)
        state.seen.clear()


def _is_settled(state: _Crawl, directory: bytes, entry: Entry, before: Known | None) -> bool:
    """Whether this name needs no reading: it is as it was, or a row of its own without being opened."""
    problem = entry.problem
    if (
        problem is None
        and entry.inode
        and not state.index.claim(entry.inode, directory, entry.name, state.number)
    ):
        problem = Problem("duplicate")
    if problem is not None:
        _note(state, directory, entry, issue(FileRef(directory), problem.reason, problem.detail), before)
        return True
    if (
        before is None
        or (before.size_bytes, before.mtime_ns) != entry[1:3]
        or before.reason_id in state.retried
    ):
        return False
    if before.is_vanished:
        state.index.reappeared(directory, entry.name, before)
    is_zip = before.reason_id is None and before.part is None
    return not is_zip or _is_settled_zip(state, join(directory, entry.name))


def _is_settled_zip(state: _Crawl, path: bytes) -> bool:
    """A zip as it was: its members stand, unless one of them is to be tried again."""
    if state.index.has_any(path, state.retried):
        return False
    _saw(state, path)
    return True


def _queue(state: _Crawl, name: _Waiting) -> None:
    age_s = state.clock() - name.entry.mtime_ns / 1e9
    if age_s < state.stable_s and name.ref.member is None and len(state.young) < MAX_YOUNG:
        state.young.append(name)
        return
    _read(state, name)


def _read(state: _Crawl, name: _Waiting) -> None:
    state.waiting.append(name)
    if len(state.waiting) >= state.batch_files:
        _submit(state)
        _drain(state, state.in_flight)


# ---- reading


def _submit(state: _Crawl) -> None:
    if state.waiting:
        names, state.waiting = state.waiting, []
        state.flying.append((names, state.read_batch([name.ref for name in names])))


def _drain(state: _Crawl, until: int) -> None:
    """Write finished batches, in order, until only `until` are on their way. Zips add batches of their own."""
    while len(state.flying) > until or (until == 0 and state.waiting):
        if not state.flying:
            _submit(state)
        names, batch = state.flying.popleft()
        for name, found in zip(names, _results(state, names, batch), strict=True):
            _write(state, name, found)


def _results(state: _Crawl, names: list[_Waiting], batch: Batch[list[Found]]) -> list[Found]:
    """What a batch found. When its worker died it is tried once more; after that its files have failed."""
    try:
        return batch.result()
    except ClusterLost:
        raise
    except Exception:
        try:
            return state.read_batch([name.ref for name in names]).result()
        except ClusterLost:
            raise
        except Exception:
            return [issue(name.ref, "worker_died") for name in names]


def _write(state: _Crawl, name: _Waiting, found: Found) -> None:
    state.n_read += 1
    state.n_in_wave += 1
    state.n_bytes += name.ref.size_bytes
    if isinstance(found, ZipFound):
        state.zips.append(Result(name.directory, name.entry, None, name.known))
        _read_zip(state, name.ref)
        return
    entry = name.entry
    if isinstance(found, FileIssue) and found.outcome in (Outcome.FAILED, Outcome.PENDING):
        if _stands(state, name, found):
            return
        entry = entry._replace(mtime_ns=UNREAD)
    state.index.write(Result(name.directory, entry, found, name.known), state.wave)


def _stands(state: _Crawl, name: _Waiting, found: FileIssue) -> bool:
    """Whether what is known of a name stands until it can be read again; a container then says so in its own row."""
    if name.known is None:
        return False
    if name.known.part is None and name.known.reason_id is None:
        path = join(name.directory, name.entry.name)
        known = state.index.known(DirectoryListing(path, (), is_zip=True)).get(b"")
        _note(state, path, Entry(b"", 0, 0), issue(name.ref, found.reason, found.detail), known)
        _saw(state, path)
        return True
    return name.known.part is not None


def _read_zip(state: _Crawl, ref: FileRef) -> None:
    try:
        for listing in state.source.members(ref):
            _take(state, listing)
    except OSError as error:
        problem = Problem("io", f"error={error_name(error)}")
        _take(state, DirectoryListing(ref.path, (), is_zip=True, problem=problem))


def _read_young(state: _Crawl, sleep: Callable[[float], None]) -> None:
    """Files that were written a moment ago: wait once until all had time to settle, then look again."""
    _submit(state)
    _drain(state, 0)
    if not state.young:
        return
    newest_s = max(name.entry.mtime_ns for name in state.young) / 1e9
    sleep(min(state.stable_s, max(0.0, newest_s + state.stable_s - state.clock())))
    young, state.young = state.young, []
    for name in young:
        _read(state, name)  # the reader compares size and time with what the walk saw, and says `unstable`
    _submit(state)


# ---- copies


def _compare_copies(state: _Crawl, before_wave: int | None) -> None:
    """Read files of equal SOP UID and content digest in full, so that only identical ones count as copies."""
    todo: list[_Twin] = []
    for ticket in state.index.settling(before_wave):
        uid = ticket.study_instance_uid
        state.index.drop_moved(uid, state.wave)
        todo += [(uid, instance_id, ref) for instance_id, ref in state.index.twins(uid)]
        while len(todo) >= TWINS_PER_BATCH:
            _compare(state, todo[:TWINS_PER_BATCH])
            del todo[:TWINS_PER_BATCH]
    _compare(state, todo)
    _note_digests(state, 0)


def _compare(state: _Crawl, twins: list[_Twin]) -> None:
    if twins:
        state.comparing.append((twins, state.hash_batch([ref for _, _, ref in twins])))
        _note_digests(state, state.in_flight)


def _note_digests(state: _Crawl, until: int) -> None:
    while len(state.comparing) > until:
        twins, batch = state.comparing.popleft()
        for (uid, instance_id, _), digest in zip(twins, batch.result(), strict=True):
            if digest is not None:
                state.index.set_full_digest(uid, instance_id, digest)


# ---- names that have gone


def _forget_gone(state: _Crawl) -> None:
    """Directories that were not seen, unless they lie below one that could not be listed."""
    state.index.saw(state.seen, state.number)
    state.seen.clear()
    for paths in state.index.gone_directories(state.number):
        for path in paths:
            if not _is_below(path, state.unread) and state.source.is_gone(path):
                known = state.index.known(DirectoryListing(path, ()))
                state.index.forget(path, known, state.wave, keep=state.source.keeps_vanished)


def _is_below(path: bytes, folders: Iterable[bytes]) -> bool:
    return any(not each or path == each or path.startswith(each + b"/") for each in folders)
