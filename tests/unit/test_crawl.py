"""The crawl over small archives, once and again: rows T01, T04, T11, T12, T14, T35 to T38 of the fault catalogue."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from crawl_tools import Watched, contents, is_conserved, land, run, studies
from factory import ct_dataset, make_ct_series, make_enhanced_ct, uid, write_dicom

from tasks.crawl import Progress, crawl, read_here
from tasks.header import read_headers
from tasks.index import Index
from tasks.instance import FileRef
from tasks.sources import open_source


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index", partitions=3)


def study(index: Index, seed: int = 0):  # type: ignore[no-untyped-def]
    return studies(index)[uid("study", seed)]


def test_every_file_is_in_a_study_or_has_a_reason(archive: Path, index: Index) -> None:
    for seed in range(5):
        make_ct_series(archive / str(seed), 3, seed=seed)
    (archive / "notes.txt").write_text("text")
    (archive / "empty").touch()
    waves = run(archive, index)
    assert [wave.is_last for wave in waves] == [True]
    assert waves[-1].progress == Progress(17, 17, waves[-1].progress.n_bytes, None)
    assert index.file_counts() == [("excluded", "not_dicom", 1), ("quarantined", "empty", 1)]
    totals = index.totals()
    assert (totals.n_files_found, totals.n_instances, totals.n_studies, totals.n_series) == (17, 15, 5, 5)
    assert totals.is_crawl_complete
    assert is_conserved(index)


def test_instances_come_back_from_the_index_as_they_were_read(archive: Path, index: Index) -> None:
    make_ct_series(archive, 4)
    make_enhanced_ct(archive / "enhanced", 3)
    write_dicom(ct_dataset(9, RescaleSlope=None, ImagePositionPatient=None), archive / "poor")
    run(archive, index)
    source = open_source(str(archive))
    refs = [listing.ref(entry) for listing in source.walk() for entry in listing.entries]
    read = sorted(read_headers(source, refs), key=lambda each: each.sop_instance_uid)  # type: ignore[union-attr,return-value]
    found = study(index).instances
    assert sorted(found, key=lambda each: each.sop_instance_uid) == read
    assert [len(each.frames) for each in found if each.frames] == [3]


def test_a_second_crawl_opens_nothing_and_settles_nothing(archive: Path, index: Index) -> None:
    make_ct_series(archive, 5)
    (archive / "notes.txt").write_text("text")
    (archive / "link").symlink_to("notes.txt")
    source = Watched(open_source(str(archive)))
    run(source, index)
    assert len(land(index)) == 1
    before = contents(index)
    source.opened.clear()

    def no_workers(refs: list[FileRef]) -> None:
        raise AssertionError("nothing is new")

    waves = run(source, index, read_batch=no_workers)
    assert source.opened == []
    assert waves[-1].progress.n_read == 0
    assert waves[-1].progress.n_expected == 7
    assert land(index) == []
    assert contents(index) == before


def test_a_late_instance_makes_its_study_settle_again(archive: Path, index: Index) -> None:
    make_ct_series(archive / "1", 5, gap_at=2)
    make_ct_series(archive / "2", 5, seed=1)
    run(archive, index)
    assert len(land(index)) == 2
    write_dicom(ct_dataset(2), archive / "late" / "slice")
    run(archive, index)
    assert land(index) == [uid("study", 0)]
    assert len(study(index).instances) == 5


def test_a_study_touched_while_it_was_processed_stays_open(archive: Path, index: Index) -> None:
    make_ct_series(archive, 2)
    run(archive, index)
    (ticket,) = index.settled_studies(None)
    assert list(index.settled_studies(None)) == []  # handed out once
    write_dicom(ct_dataset(7), archive / "late")
    run(archive, index)
    index.set_revision(ticket, "of the first two slices")
    (again,) = index.settled_studies(None)
    assert (again.study_revision, again.n_files) == ("of the first two slices", 3)


def test_studies_flow_while_the_crawl_goes_on(archive: Path, index: Index) -> None:
    for seed in range(6):
        make_ct_series(archive / str(seed), 5, seed=seed)
    source = open_source(str(archive))
    settled: list[list[str]] = []
    for wave in crawl(
        source, index, read_batch=read_here(source), wave_files=5, batch_files=5, in_flight=0, stable_s=0
    ):
        settled.append(land(index, None if wave.is_last else wave.number))
    assert [uid("study", seed) for seed in range(6)] == [each for wave in settled for each in wave]
    assert settled[0] == []  # touched in the first wave
    assert settled[1] == [uid("study", 0)]


def test_hashed_layouts_wait_until_the_end(archive: Path, index: Index) -> None:
    for seed in range(3):
        for path in make_ct_series(archive / "in", 6, seed=seed, name=f"{seed}-{{index}}"):
            path.rename(archive / path.name[::-1])
    source = open_source(str(archive))
    for wave in crawl(
        source, index, read_batch=read_here(source), wave_files=3, batch_files=3, in_flight=0, stable_s=0
    ):
        settled = land(index, None if wave.is_last else wave.number)
        assert bool(settled) == wave.is_last
    assert [study(index, seed).n_files for seed in range(3)] == [6, 6, 6]


def test_T01_an_empty_file_leaves_the_others_alone(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 5)
    paths[2].write_bytes(b"")
    run(archive, index)
    assert len(study(index).instances) == 4
    assert index.file_counts() == [("quarantined", "empty", 1)]


def test_T04_a_truncated_file_is_an_issue_of_its_series(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 5)
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[:-500])
    run(archive, index)
    found = study(index)
    (issue,) = found.issues
    assert (issue.reason, issue.detail) == ("truncated", "missing_bytes=500")
    assert issue.series_instance_uid == uid("series", 0)
    assert (len(found.instances), found.n_files) == (4, 5)
    assert is_conserved(index)
    land(index)
    paths[2].write_bytes(whole)
    run(archive, index)
    assert land(index) == [uid("study", 0)]
    assert (len(study(index).instances), study(index).issues) == (5, ())


def test_T04_a_broken_copy_beside_a_whole_one_does_no_harm(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    (archive / "cut").write_bytes(paths[1].read_bytes()[:-100])
    run(archive, index)
    assert (len(study(index).instances), study(index).issues, study(index).n_files) == (3, (), 4)


def test_T11_identical_copies_are_counted_once(archive: Path, index: Index) -> None:
    make_ct_series(archive / "a", 4)
    shutil.copytree(archive / "a", archive / "b")
    shutil.copytree(archive / "a", archive / "c")
    run(archive, index)
    found = study(index)
    assert (len(found.instances), found.n_files, found.duplicates) == (4, 12, 8)
    assert found.duplicates_by_series == ((uid("series", 0), 8),)
    assert found.conflicts == frozenset()
    assert is_conserved(index)


def test_T12_one_instance_uid_in_two_series_loses_neither(archive: Path, index: Index) -> None:
    """Key images, or series made of another's files: both are there with all their slices, both are in conflict."""
    make_ct_series(archive / "a", 3)
    other = uid("series", "key images")
    [key] = make_ct_series(archive / "b", 1, SeriesInstanceUID=other, SOPInstanceUID=uid("instance", 0, 1))
    run(archive, index)
    found = study(index)
    assert Counter(each.series_instance_uid for each in found.instances) == {uid("series", 0): 3, other: 1}
    assert found.conflicts == {uid("instance", 0, 1)}
    assert is_conserved(index)
    key.unlink()
    run(archive, index)
    assert study(index).conflicts == frozenset()


@pytest.mark.parametrize("position", [-1, -10_000])
def test_T12_copies_with_other_contents_conflict(archive: Path, index: Index, position: int) -> None:
    """Also where only a byte in the middle of the pixels differs, which no sample sees."""
    paths = make_ct_series(archive, 3, rows=128, columns=128)
    data = bytearray(paths[1].read_bytes())
    data[position] ^= 1
    (archive / "other").write_bytes(bytes(data))
    shutil.copy(archive / "other", archive / "same as other")
    run(archive, index)
    found = study(index)
    assert found.conflicts == {uid("instance", 0, 1)}
    assert (len(found.instances), found.n_files, found.duplicates) == (3, 5, 1)
    digest_before = found.instances
    (archive / "other").unlink()
    (archive / "same as other").unlink()
    run(archive, index)
    assert study(index).conflicts == frozenset()
    assert study(index).instances != digest_before  # the revision changes when the conflict is gone
    assert is_conserved(index)


def test_T14_names_folders_and_order_do_not_matter(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for seed in range(3):
        make_ct_series(first / f"study {seed}", 6, seed=seed)
        make_ct_series(
            first / f"study {seed}", 4, seed=seed, SeriesInstanceUID=uid("more", seed), name="m{index}"
        )
    (first / "text").write_text("text")
    shutil.copy(first / "study 1" / "0001.dcm", first / "copy")
    rng = random.Random(1)
    for number, path in enumerate(sorted(first.rglob("*"), key=lambda _: rng.random())):
        if path.is_file():
            target = second / str(number % 4) / f"{rng.random()}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    with Index(tmp_path / "i") as one, Index(tmp_path / "j", partitions=5) as two:
        run(first, one)
        run(second, two, batch_files=3, wave_files=7)
        assert contents(one) == contents(two)
        assert is_conserved(one)


def test_T14_renamed_files_are_the_same_study(archive: Path, index: Index) -> None:
    make_ct_series(archive / "a", 6)
    make_ct_series(archive / "y", 3, seed=1)
    run(archive, index)
    land(index)
    before = contents(index)
    (archive / "a").rename(archive / "z")
    (archive / "y").rename(archive / "b")
    run(archive, index)
    assert contents(index) == before
    assert index.totals().n_files_vanished == 0
    assert is_conserved(index)


def test_T35_hard_links_are_read_once(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    os.link(paths[0], archive / "again")
    os.link(paths[0], archive / "more")
    source = Watched(open_source(str(archive)))
    run(source, index)
    assert len(source.opened) == 3
    assert index.file_counts() == [("excluded", "duplicate", 2)]
    assert study(index).n_files == 3
    source.opened.clear()
    run(source, index)
    assert source.opened == []
    paths[0].unlink()
    run(source, index)
    run(source, index)
    assert (study(index).n_files, study(index).vanished) == (3, frozenset())
    assert index.file_counts() == [("excluded", "duplicate", 1)]
    (archive / "again").unlink()
    run(source, index)
    assert (study(index).n_files, study(index).vanished, index.file_counts()) == (3, frozenset(), [])
    assert is_conserved(index)


def test_T35_many_files_in_one_folder(archive: Path, index: Index) -> None:
    for number in range(3000):
        (archive / f"{number}").write_bytes(b"text")
    run(archive, index)
    assert index.file_counts() == [("excluded", "not_dicom", 3000)]


def test_T36_no_path_comes_from_data(tmp_path: Path, archive: Path, index: Index) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    before = sorted(os.listdir(tmp_path))
    evil = ["../canary", f"{canary}", "a\0b", "CON", "..", "%2e%2e/", "x" * 64]
    study, series, instance = (f"1.{number}{'9' * 61}" for number in (1, 2, 3))
    template = bytes_of_image(study, series, instance)
    for number, name in enumerate(evil):
        data = template
        for placeholder in (study, series, instance, "PLACEHOLDER" * 5 + "PLACEHOLD"):
            data = data.replace(placeholder.encode(), name.encode()[:64].ljust(64, b"\0"))
        (archive / f"{number}").write_bytes(data)
    run(archive, index)
    land(index)
    assert index.totals().n_studies == len(evil)
    assert all(len(each.instances) == 1 for each in studies(index).values())
    assert canary.read_text() == "untouched"
    assert sorted({*os.listdir(tmp_path)} - {*before}) == []


def bytes_of_image(study: str, series: str, instance: str) -> bytes:
    buffer = io.BytesIO()
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance}
    ct_dataset(PatientID="PLACEHOLDER" * 5 + "PLACEHOLD", **uids).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_T37_an_unreadable_file_is_failed_and_tried_again(archive: Path, index: Index, number: int) -> None:
    make_ct_series(archive, 3)
    source = Watched(open_source(str(archive)), {b"0001.dcm": OSError(number, "fault")})
    run(source, index, read_batch=read_here(source))
    assert index.file_counts() == [("failed", "io", 1)]
    assert len(study(index).instances) == 2
    assert is_conserved(index)
    source.errors.clear()
    run(source, index)
    assert index.file_counts() == []
    assert len(study(index).instances) == 3


def test_T37_what_was_read_stands_while_a_changed_file_cannot_be_read(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    run(archive, index)
    land(index)
    os.utime(paths[1], ns=(1, 1))
    source = Watched(open_source(str(archive)), {b"0001.dcm": OSError(errno.EIO, "fault")})
    run(source, index, read_batch=read_here(source))
    assert len(study(index).instances) == 3
    assert land(index) == []
    assert is_conserved(index)


def test_T37_files_below_an_unreadable_folder_have_not_vanished(archive: Path, index: Index) -> None:
    make_ct_series(archive / "a" / "b", 3)
    run(archive, index)

    class Closed(Watched):
        def walk(self):  # type: ignore[no-untyped-def]
            from tasks.sources import DirectoryListing, Problem

            yield DirectoryListing(b"", ())
            yield DirectoryListing(b"a", (), problem=Problem("io", "error=EACCES"))

    run(Closed(open_source(str(archive))), index)
    assert index.file_counts() == [("failed", "io", 1)]
    assert index.totals().n_files_vanished == 0
    run(archive, index)
    assert index.file_counts() == []
    assert is_conserved(index)


def test_T37_a_file_that_goes_while_it_is_read_is_failed_not_lost(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    source = open_source(str(archive))

    def read(refs: list[FileRef]):  # type: ignore[no-untyped-def]
        paths[1].unlink(missing_ok=True)
        return read_here(source)(refs)

    run(archive, index, read_batch=read)
    assert index.file_counts() == [("failed", "io", 1)]
    run(archive, index)
    assert index.file_counts() == []
    assert is_conserved(index)


def test_T38_a_file_that_is_still_being_written_waits(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[:2000])
    waited: list[float] = []

    def sleep(duration_s: float) -> None:
        waited.append(duration_s)
        paths[2].write_bytes(whole)  # its writer goes on meanwhile

    run(archive, index, stable_s=3, sleep=sleep)
    assert len(waited) == 1
    assert 0 < waited[0] <= 3
    assert index.file_counts() == [("pending", "unstable", 1)]
    assert len(study(index).instances) == 2
    assert is_conserved(index)
    run(archive, index)
    assert index.file_counts() == []
    assert len(study(index).instances) == 3


def test_T38_files_written_a_moment_ago_are_read_in_the_same_crawl(archive: Path, index: Index) -> None:
    make_ct_series(archive, 3)
    waited: list[float] = []
    run(archive, index, stable_s=3, sleep=waited.append)
    assert len(waited) == 1
    assert study(index).n_files == 3
    old_s = time.time() - 60
    for path in archive.iterdir():
        os.utime(path, (old_s, old_s))
    run(archive, index, stable_s=3, sleep=waited.append)
    assert len(waited) == 1


def test_a_new_time_stamp_alone_changes_nothing(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    run(archive, index)
    land(index)
    os.utime(paths[0], ns=(5, 5))
    assert run(archive, index)[-1].progress.n_read == 1
    assert land(index) == []
    assert run(archive, index)[-1].progress.n_read == 0
    assert is_conserved(index)


def test_new_contents_under_an_old_name_replace_the_instance(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 3)
    run(archive, index)
    land(index)
    write_dicom(ct_dataset(1, KVP=80), paths[1])
    run(archive, index)
    assert land(index) == [uid("study", 0)]
    assert sorted(each.kvp or 0 for each in study(index).instances) == [80, 120, 120]
    write_dicom(ct_dataset(1, seed=9), paths[1])  # an instance of another study
    run(archive, index)
    assert sorted(land(index)) == sorted([uid("study", 0), uid("study", 9)])
    assert (study(index).n_files, study(index, 9).n_files) == (2, 1)
    paths[1].write_text("text")
    run(archive, index)
    assert list(studies(index)) == [uid("study", 0)]
    assert index.file_counts() == [("excluded", "not_dicom", 1)]
    assert is_conserved(index)


def test_vanished_files_keep_their_instances_and_say_so(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive / "a", 3)
    (archive / "text").write_text("text")
    run(archive, index)
    land(index)
    data = paths[1].read_bytes()
    status = paths[1].stat()
    paths[1].unlink()
    (archive / "text").unlink()
    run(archive, index)
    assert land(index) == []
    assert study(index).vanished == {uid("instance", 0, 1)}
    assert (len(study(index).instances), index.totals().n_files_vanished) == (3, 1)
    assert index.file_counts() == []
    assert is_conserved(index)
    paths[1].write_bytes(data)
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    run(archive, index)
    assert (study(index).vanished, index.totals().n_files_vanished) == (frozenset(), 0)
    shutil.rmtree(archive / "a")
    run(archive, index)
    assert len(study(index).vanished) == 3
    assert is_conserved(index)


def test_a_batch_whose_worker_dies_twice_fails_its_files_only(archive: Path, index: Index) -> None:
    make_ct_series(archive, 6)
    source = open_source(str(archive))
    tries: list[int] = []

    class Dead:
        def result(self) -> list:  # type: ignore[type-arg]
            raise RuntimeError("worker died")

    def read(refs: list[FileRef]):  # type: ignore[no-untyped-def]
        if any(ref.path == b"0002.dcm" for ref in refs):
            tries.append(len(refs))
            return Dead()
        return read_here(source)(refs)

    run(archive, index, read_batch=read, batch_files=2)
    assert tries == [2, 2]
    assert index.file_counts() == [("failed", "worker_died", 2)]
    assert len(study(index).instances) == 4
    run(archive, index)
    assert len(study(index).instances) == 6
    assert is_conserved(index)


def test_batches_in_flight_are_bounded(archive: Path, index: Index) -> None:
    make_ct_series(archive, 40)
    source = open_source(str(archive))
    flying, most = [0], [0]

    class Late:
        def __init__(self, refs: list[FileRef]) -> None:
            self.refs = refs
            flying[0] += 1
            most[0] = max(most[0], flying[0])

        def result(self) -> list:  # type: ignore[type-arg]
            flying[0] -= 1
            return read_headers(source, self.refs)  # type: ignore[return-value]

    run(archive, index, read_batch=Late, batch_files=2, in_flight=3)
    assert 1 < most[0] <= 4
    assert study(index).n_files == 40


def test_reasons_can_be_tried_again(archive: Path, index: Index) -> None:
    paths = make_ct_series(archive, 2)
    for path in paths:
        path.write_bytes(path.read_bytes()[132:])  # meta without preamble
    run(archive, index)
    assert index.file_counts() == [("quarantined", "no_meta", 2)]
    source = open_source(str(archive))
    run(archive, index, retry_reasons=["no_meta"], read_batch=read_here(source, accept_no_meta=True))
    assert index.file_counts() == []
    assert study(index).instances[0].remarks == ("no_meta",)


def test_progress_is_told_with_an_estimate(archive: Path, index: Index) -> None:
    make_ct_series(archive / "a", 3)
    make_ct_series(archive / "b", 3, seed=1)
    told: list[Progress] = []
    note: Callable[[Progress], None] = told.append
    run(archive, index, on_progress=note)
    assert [each.n_seen for each in told] == [0, 3, 6, 6]
    run(archive, index, on_progress=note)
    assert told[-1].n_expected == 6


def test_the_index_is_for_its_owner_only(archive: Path, tmp_path: Path, index: Index) -> None:
    make_ct_series(archive, 2)
    run(archive, index)
    folder = tmp_path / "index"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
