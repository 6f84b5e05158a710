"""Takes a study as a PACS tells of it, has its best series sent, returns the selection with what the files say.

Only the series that selection puts first is fetched; when its files are broken, selection is asked again and puts
another one first. Revisions stay those of the query, so that a decision is found again by the next sweep. The files lie
in a spool, named by pseudonyms, until their study has landed.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.header import ZipFound, read_headers
from tasks.instance import FileIssue, FileRef, Instance, StudyInstances
from tasks.plan import SeriesPlan
from tasks.select import StudySelection
from tasks.sources.courtesy import Stopped
from tasks.sources.folder import FolderSource
from tasks.sources.pacs import PacsSource
from tasks.sources.pacs_client import Broken, PacsError

ROOM_CHECK_S = 0.2
Select = Callable[[StudyInstances], StudySelection]
_File = Instance | FileIssue


@dataclass(slots=True)
class Pull:
    """One study on its way: what the PACS told of it, and what its files said so far."""

    told: StudyInstances
    selection: StudySelection  # by what was told
    answered: frozenset[str]  # keys of series that ended for good before
    files: dict[str, tuple[_File, ...]] = field(default_factory=dict)  # SeriesInstanceUID → its files
    on_disk: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)  # keys of series that were sent to a worker, or failed

    @property
    def key(self) -> str:
        """Pseudonym of the study."""
        return self.selection.study.study_key


@dataclass(frozen=True, slots=True)
class Pulled:
    """The study after its files were read. `selection.plans` can be scored now; none: nothing is left to try."""

    pull: Pull
    selection: StudySelection
    is_left: bool = False  # the window closed before it was asked for: the next sweep begins with it
    failed: SeriesPlan | None = None  # this series was not sent
    reason: str | None = None  # why: a code of warehouse.reasons
    detail: dict[str, str | int] = field(default_factory=dict)  # for the reason's message


class Spool:
    """A bounded folder of fetched files. A study that is larger than all of it is let in alone."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self._most = folder, most_bytes
        self._held: dict[str, int] = {}
        self._room = threading.Condition()
        self.n_waiting = 0  # fetches that wait for room
        self.clear()  # of a sweep that was killed
        folder.mkdir(parents=True, mode=0o700)

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def source(self) -> FolderSource:
        """The spool as an archive that workers read."""
        return FolderSource(bytes(self.folder.resolve()))

    def reserve(self, key: str, n_bytes: int, stopped: Callable[[], str | None]) -> bool:
        """Wait for room. Returns whether what the study held had to go for it: who waits holds nothing, so that two
        studies never wait for each other, nor one for itself. Raises Stopped when the sweep ends meanwhile.
        """
        is_emptied = False
        with self._room:
            self.n_waiting += 1
            try:
                while any(self._held.values()) and sum(self._held.values()) + n_bytes > self._most:
                    if code := stopped():
                        raise Stopped(code)
                    if key in self._held:
                        self._empty(key)
                        is_emptied = True
                        continue
                    self._room.wait(ROOM_CHECK_S)
                self._held[key] = self._held.get(key, 0) + n_bytes
            finally:
                self.n_waiting -= 1
        return is_emptied

    def release(self, key: str) -> None:
        """Delete what was fetched of a study."""
        with self._room:
            self._empty(key)

    def _empty(self, key: str) -> None:
        shutil.rmtree(self.folder / key, ignore_errors=True)
        self._held.pop(key, None)
        self._room.notify_all()


def pull_study(pull: Pull, source: PacsSource, spool: Spool, select: Select) -> Pulled:
    """Fetch until the series that selection puts first is there. Raises Stopped at the end of the window."""
    while True:
        selection = _as_told(select(_with_files(pull)), pull.selection)
        left = [plan for plan in selection.plans if plan.series_key not in pull.answered | pull.tried]
        if not left:
            return Pulled(pull, replace(selection, plans=[]))
        uids = {each.series_key: each.series_instance_uid for each in selection.series_identities}
        if uids[left[0].series_key] in pull.on_disk:
            ready = [plan for plan in left if uids[plan.series_key] in pull.on_disk]
            return Pulled(pull, replace(selection, plans=ready))
        try:
            _fetch_series(pull, left[0], uids[left[0].series_key], source, spool)
        except Stopped as stopped:
            if stopped.code != "pacs_unreachable":
                raise
            return _failed(pull, selection, left[0], stopped.code)
        except Incomplete as error:
            return _failed(
                pull, selection, left[0], "pacs_incomplete", found=error.found, expected=error.expected
            )
        except PacsError as error:
            return _failed(pull, selection, left[0], "pacs_pull", error=error.code)
        except OSError as error:
            reason = "disk_full" if error.errno == errno.ENOSPC else "io"
            return _failed(pull, selection, left[0], reason, error=errno.errorcode.get(error.errno or 0, "?"))
        except Exception as error:  # of a library, over what one PACS sends: its neighbours go on
            return _failed(pull, selection, left[0], "pacs_pull", error=type(error).__name__)


class Incomplete(Broken):
    """Fewer instances came than were announced."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__("incomplete")
        self.found, self.expected = found, expected

    def __reduce__(self) -> tuple[type[Incomplete], tuple[int, int]]:  # type: ignore[override]
        return Incomplete, (self.found, self.expected)


def _failed(
    pull: Pull, selection: StudySelection, plan: SeriesPlan, reason: str, **detail: str | int
) -> Pulled:
    pull.tried.add(plan.series_key)
    return Pulled(pull, replace(selection, plans=[]), False, plan, reason, detail)


def _fetch_series(pull: Pull, plan: SeriesPlan, uid: str, source: PacsSource, spool: Spool) -> None:
    """Fetch one series into the spool and read its headers. A broken file is asked for once more."""
    told = {i.sop_instance_uid: i for i in pull.told.instances if i.series_instance_uid == uid}
    if spool.reserve(pull.key, plan.n_bytes, lambda: source.courtesy.stopped):
        pull.on_disk.clear()
    folder = spool.folder / pull.key / plan.series_key

    def question() -> list[_File]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        refs: list[FileRef] = []

        def keep(content: bytes) -> None:
            refs.append(_write(spool.folder, folder / f"{len(refs):06d}.dcm", content))

        source.client.fetch(pull.told.study_instance_uid, uid, keep)
        return _checked(read_headers(spool.source, refs), told)

    files = source.courtesy.ask(question)
    if any(isinstance(each, FileIssue) for each in files):
        files = source.courtesy.ask(
            question
        )  # cut on its way, or broken where it is kept: the second time tells
    pull.files[uid] = tuple(_named(each, told, pull.told.study_instance_uid, uid) for each in files)
    pull.on_disk.add(uid)


def _write(root: Path, path: Path, content: bytes) -> FileRef:
    path.write_bytes(content)
    found = path.stat()
    return FileRef(bytes(path.relative_to(root)), None, found.st_size, found.st_mtime_ns)


def _checked(found: Iterable[_File | ZipFound], told: dict[str, Instance]) -> list[_File]:
    """The files of the instances that were announced. Raises Incomplete when some are missing."""
    files = [each for each in found if not isinstance(each, ZipFound)]
    named = {each.sop_instance_uid: each for each in files if each.sop_instance_uid in told}
    unnamed = [each for each in files if each.sop_instance_uid is None]
    if len(named) + len(unnamed) < len(told):
        raise Incomplete(len(named) + len(unnamed), len(told))
    return [*named.values(), *unnamed]


def _named(file: _File, told: dict[str, Instance], study_uid: str, series_uid: str) -> _File:
    """A file as part of its series: its content is the one that was told of, so that the revision stays."""
    if isinstance(file, Instance):
        return replace(
            file,
            content_digest=told[file.sop_instance_uid].content_digest,
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
        )
    return replace(file, study_instance_uid=study_uid, series_instance_uid=series_uid)


def _with_files(pull: Pull) -> StudyInstances:
    """The study with what its fetched files say in the place of what was told of them."""
    kept = [i for i in pull.told.instances if i.series_instance_uid not in pull.files]
    files = [each for found in pull.files.values() for each in found]
    instances = [*kept, *(each for each in files if isinstance(each, Instance))]
    issues = [each for each in files if isinstance(each, FileIssue)]
    return replace(
        pull.told,
        instances=tuple(sorted(instances, key=lambda i: (i.series_instance_uid, i.sop_instance_uid))),
        issues=(*pull.told.issues, *issues),
    )


def _as_told(selection: StudySelection, told: StudySelection) -> StudySelection:
    """A selection under the revisions by which the study is known from the query."""
    revisions = {each.series_key: each.series_revision for each in told.series}
    study_revision = told.study.study_revision

    def revision_of(key: str, own: str) -> str:
        return revisions.get(key, own)

    return replace(
        selection,
        study=replace(selection.study, study_revision=study_revision),
        series=[
            replace(each, series_revision=revision_of(each.series_key, each.series_revision))
            for each in selection.series
        ],
        selections=[
            replace(
                each,
                study_revision=study_revision,
                series_revision=revision_of(each.series_key, each.series_revision),
            )
            for each in selection.selections
        ],
        plans=[
            replace(each, series_revision=revision_of(each.series_key, each.series_revision))
            for each in selection.plans
        ],
    )
