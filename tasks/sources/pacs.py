"""A PACS as an archive: what it answers to queries, in the form of a walk. Nothing is fetched here but headers.

A study is a directory (`20240131/STUDY`), a series is a file in it whose members are its instances: so the index, the
selection and the conservation of files are those of every other archive. In the place of a time of change stands a
token of what the PACS said; a series whose token is known is not asked about again. Lives on the driver only.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from tasks.checks import SOP_CLASSES
from tasks.dicom.pixels import ENHANCED_CT_CLASSES
from tasks.header import ZipFound, issue, read_instance
from tasks.instance import FileIssue, FileRef, Instance
from tasks.sources.answers import (
    Answer,
    count,
    digest_of,
    instance_of_answer,
    merged,
    pixel_bytes,
    token,
    value,
)
from tasks.sources.base import DirectoryListing, Entry, Problem
from tasks.sources.courtesy import Courtesy, Stopped
from tasks.sources.pacs_client import Found, Keep, PacsClient, PacsError, Span
from tasks.sources.partitions import Part, parts_of

RECHECK_DAYS = (
    14  # late series and corrections come within days; older series are asked about when their token changes
)
MOST_ANSWERS = 500  # studies in one answer that count as cut: PACS limits of 500 and 1,000 are common
KEPT_SERIES = 256  # answers held between listing and reading: those on their way, and some more
_STUDY, _SERIES, _SOP, _DATE = "0020000D", "0020000E", "00080018", "00080020"
_CLASS, _MODALITY, _N_SERIES, _N_INSTANCES = "00080016", "00080060", "00201206", "00201209"
# What the geometry and the pixels of a CT image are judged by: pixel format, place, orientation, pixel size, rescale.
_JUDGED_BY = ("00280100", "00200032", "00200037", "00280030", "00281052", "00281053")
_UID = re.compile(r"[0-9.]{1,64}")
_BAD_UID = Problem("pacs_query", "error=bad_uid")  # of a study or series that so cannot be asked about
_PER_FRAME = "52009230"
_UNDATED = b"undated"
T = TypeVar("T")
_Found = Instance | FileIssue | ZipFound


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a PACS is asked for."""

    span: Span = field(default_factory=Span)
    modality: str | None = "CT"  # of the study; None: studies of any kind
    recheck_days: int = RECHECK_DAYS
    most_answers: int = MOST_ANSWERS


class _Recent(Generic[T]):
    """The last so many values by key; for several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._values: OrderedDict[bytes, T] = OrderedDict()

    def put(self, key: bytes, recent: T) -> None:
        with self._lock:
            self._values[key] = recent
            self._values.move_to_end(key)
            if len(self._values) > self._most:
                self._values.popitem(last=False)

    def get(self, key: bytes) -> T | None:
        with self._lock:
            return self._values.get(key)


@dataclass(slots=True)
class PacsSource:
    """See the module's text. `today` and `salt` are fixed for one sweep."""

    client: PacsClient
    courtesy: Courtesy
    scope: Scope
    today: dt.date
    salt: str  # differs in every sweep
    keeps_vanished: bool = False  # what a PACS no longer has was deleted or rejected there (T49)
    _pool: ThreadPoolExecutor = field(init=False)
    _told: _Recent[Answer] = field(init=False)  # path of a series → its answer
    _read: _Recent[dict[bytes, Instance | FileIssue]] = field(init=False)  # path of a series → its instances
    _unasked: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.courtesy.manners.parallel, thread_name_prefix="pacs")
        self._told, self._read = _Recent(16 * KEPT_SERIES), _Recent(KEPT_SERIES)

    @property
    def kind(self) -> str:
        """The protocol."""
        return self.client.kind

    def close(self) -> None:
        """End all conversations."""
        self._pool.shutdown(cancel_futures=True)
        self.client.close()

    # ---- the walk

    def walk(self) -> Iterator[DirectoryListing]:
        """Every study with its series. What could not be asked is a problem of its own; nothing below it is gone."""
        self._unasked.clear()
        try:
            for part in parts_of(
                self.scope.span, self._ask_studies, most_answers=self.scope.most_answers, today=self.today
            ):
                yield from self._part(part)
        except Stopped as stopped:
            yield DirectoryListing(b"", (), problem=Problem(stopped.code))

    def _ask_studies(self, span: Span) -> Found:
        return self.courtesy.ask(lambda: self.client.studies(span, self.scope.modality))

    def _part(self, part: Part) -> Iterator[DirectoryListing]:
        if part.problem is not None:
            self._unasked.append(part.span)
            name = f"query/{part.span.dates or 'all'}/{part.span.times or ''}".encode()
            yield DirectoryListing(name, (), problem=Problem("pacs_query", f"error={part.problem}"))
        for study in part.studies:
            yield self._study(study)

    def _study(self, study: Answer) -> DirectoryListing:
        if not _UID.fullmatch(value(study, _STUDY) or ""):
            return DirectoryListing(_UNDATED + b"/" + _bad_name(study), (), problem=_BAD_UID)
        path = _study_path(study)
        try:
            series = self.courtesy.ask(lambda: self.client.series(study))
            entries = {each.name: each for each in (self._entry(path, one) for one in series) if each.name}
        except Stopped:
            raise
        except Exception as error:  # of an odd answer, too: its neighbours go on
            return DirectoryListing(path, (), problem=Problem("pacs_query", f"error={_code(error)}"))
        # An answer that was cut must not look like series that have gone.
        is_short = len(entries) < (count(study, _N_SERIES) or 0)
        problem = Problem("pacs_query", "error=fewer_series_than_announced") if is_short else None
        return DirectoryListing(path, tuple(sorted(entries.values())), problem=problem)

    def _entry(self, path: bytes, series: Answer) -> Entry:
        uid = value(series, _SERIES) or ""
        if uid and not _UID.fullmatch(uid):
            return Entry(_bad_name(series), 0, 0, problem=_BAD_UID)
        name = uid.encode()
        self._told.put(path + b"/" + name, series)
        announced = count(series, _N_INSTANCES)
        is_again = announced is None or self._is_recent(path)
        state = token(digest_of(series), announced, self.salt if is_again else "")
        return Entry(name, announced or 0, state)

    def _is_recent(self, path: bytes) -> bool:
        """Whether a study is young enough to be asked about anew; one without a date always is."""
        day = _day_of(path)
        return day is None or (self.today - day).days <= self.scope.recheck_days

    # ---- series and their instances

    def read(self, refs: Sequence[FileRef]) -> Future[list[_Found]]:
        """As `tasks.header.read_headers`, in threads: a series is asked about here, its members are known then."""
        return self._pool.submit(lambda: [self._read_one(ref) for ref in refs])

    def members(self, ref: FileRef) -> Iterator[DirectoryListing]:
        """The instances of a series that was just asked about."""
        found = self._read.get(ref.path) or {}
        entries = sorted(Entry(sop, each.file.size_bytes, each.file.mtime_ns) for sop, each in found.items())
        yield DirectoryListing(ref.path, tuple(entries), is_zip=True)

    def open(self, ref: FileRef) -> BinaryIO:
        """Nothing lies here to be opened: what is to be read has been fetched (`tasks.pull`)."""
        raise OSError("not fetched")

    def local_path(self, ref: FileRef) -> Path | None:
        """None: see `open`."""
        return None

    def _read_one(self, ref: FileRef) -> _Found:
        if ref.member is not None:
            known = (self._read.get(ref.path) or {}).get(ref.member)
            return known if known is not None else issue(ref, "unstable")
        _, study_uid, series_uid = (part.decode() for part in ref.path.split(b"/"))
        uids = {"study_instance_uid": study_uid, "series_instance_uid": series_uid}
        try:
            self._read.put(ref.path, self._instances(ref, study_uid, series_uid))
        except Stopped as stopped:
            return issue(ref, stopped.code, **uids)
        except Exception as error:  # of an odd answer, too: its neighbours go on
            return issue(ref, "pacs_query", f"error={_code(error)}", **uids)
        return ZipFound(ref)

    def _instances(self, ref: FileRef, study_uid: str, series_uid: str) -> dict[bytes, Instance | FileIssue]:
        """The instances of a series by SOP Instance UID. Raises PacsError, also when fewer are named than announced."""
        told = self._told.get(ref.path) or {}
        is_ct = value(told, _MODALITY) in ("CT", None)
        answers = self.courtesy.ask(lambda: self.client.instances(study_uid, series_uid, in_full=is_ct))
        full = [merged(told, each) for each in answers if value(each, _SOP)]
        if len({value(each, _SOP) for each in full}) < ref.size_bytes:
            raise PacsError("fewer_instances_than_announced")
        if is_ct and _is_poor(full, is_whole_header=self.kind == "dicomweb"):
            return self._from_files(ref, study_uid, series_uid)
        files = [_member(ref, each) for each in full]
        try:
            return {
                file.member or b"": instance_of_answer(each, file)
                for each, file in zip(full, files, strict=True)
            }
        except Exception:  # values that are none: the files may be better
            if not is_ct:
                raise
            return self._from_files(ref, study_uid, series_uid)

    def _from_files(self, ref: FileRef, study_uid: str, series_uid: str) -> dict[bytes, Instance | FileIssue]:
        """For a PACS that tells little of an image: fetch the series once, keep the headers only."""
        found: dict[bytes, Instance | FileIssue] = {}

        def keep(content: bytes) -> None:
            read = read_instance(io.BytesIO(content), ref)
            if isinstance(read, ZipFound) or read.series_instance_uid not in (series_uid, "", None):
                return  # of another series: a late one of an earlier question, or more than was asked for
            sop = (read.sop_instance_uid or f"unnamed-{len(found)}").encode()
            state = token(read.content_digest if isinstance(read, Instance) else read.reason)
            found[sop] = replace(read, file=FileRef(ref.path, sop, len(content), state))

        def question() -> None:
            found.clear()  # of a try that broke off
            self.client.fetch(study_uid, series_uid, keep)

        self.courtesy.ask(question)
        if len(found) < ref.size_bytes:
            raise PacsError("fewer_instances_than_announced")
        return found

    def fetch(self, study_uid: str, series_uid: str, keep: Keep) -> None:
        """Have a series sent. Raises PacsError."""
        self.courtesy.ask(lambda: self.client.fetch(study_uid, series_uid, keep))

    # ---- what has gone

    def is_gone(self, path: bytes) -> bool:
        """Whether a directory that this walk did not name is not there any more: the PACS is asked.

        What lies outside of the range, or does not match any more what was asked for, is not gone.
        """
        parts = path.split(b"/")
        if len(parts) < 2 or parts[0] == b"query":
            return True  # a problem of an earlier walk
        if not self._was_asked(_day_of(path)):
            return False
        try:
            return not self._is_there(path, [part.decode() for part in parts[1:]])
        except PacsError:
            return False

    def _is_there(self, path: bytes, uids: list[str]) -> bool:
        studies = self.courtesy.ask(lambda: self.client.studies(Span(), None, uids[0])).answers
        here = [each for each in studies if path.startswith(_study_path(each))]
        if len(uids) == 1 or not here:
            return bool(here)
        series = self.courtesy.ask(lambda: self.client.series(here[0]))
        return uids[1] in {value(each, _SERIES) for each in series}

    def _was_asked(self, day: dt.date | None) -> bool:
        span = self.scope.span
        if day is None:
            return span == Span() and not self._unasked
        return _is_in(day, span) and not any(_is_in(day, each) for each in self._unasked)


def _study_path(study: Answer) -> bytes:
    day = (value(study, _DATE) or "").encode()
    return (day if day.isdigit() else _UNDATED) + b"/" + (value(study, _STUDY) or "").encode()


def _day_of(path: bytes) -> dt.date | None:
    try:
        return dt.datetime.strptime(path.split(b"/")[0].decode(), "%Y%m%d").date()
    except ValueError:
        return None


def _is_in(day: dt.date, span: Span) -> bool:
    return (span.since or day) <= day <= (span.until or day)


def _member(series: FileRef, answer: Answer) -> FileRef:
    sop = (value(answer, _SOP) or "").encode()
    return FileRef(series.path, sop, pixel_bytes(answer), token(digest_of(answer)))


def _bad_name(answer: Answer) -> bytes:
    """A name for what has no UID that could be one."""
    return b"bad-uid-" + digest_of(answer).encode()


def _code(error: Exception) -> str:
    """A word for what went wrong that names nobody."""
    return error.code if isinstance(error, PacsError) else type(error).__name__


def _is_poor(answers: Sequence[Answer], *, is_whole_header: bool) -> bool:
    """Whether CT images cannot be judged by what was told: no class, no frames, no pixel format, place or rescale.

    What a whole header does not hold, the file does not hold either; the keys of a C-FIND may be left out at will.
    """
    images = [each for each in answers if value(each, _CLASS) in (*SOP_CLASSES, None)]
    if any(value(each, _CLASS) in ENHANCED_CT_CLASSES for each in images):
        return not all(_PER_FRAME in each for each in images)
    if is_whole_header:
        return bool(images) and not any(value(each, _JUDGED_BY[0]) for each in images)
    return not all(value(each, tag) for each in images for tag in _JUDGED_BY)
