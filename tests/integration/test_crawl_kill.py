"""A crawl killed at any moment: the next one ends with the index of an undisturbed one."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from crawl_tools import contents, is_conserved, land, run, studies
from factory import make_ct_series, uid

from tasks.index import INDEX_VERSION, Index
from tasks.index_studies import StudyPartition
from tasks.instance import FileRef

CHILD = """
import sys, time
from pathlib import Path
from tasks.crawl import crawl, read_here
from tasks.index import INDEX_VERSION, Index
from tasks.sources import open_source

source = open_source(sys.argv[1])
read = read_here(source)

def slowly(refs):
    time.sleep(0.03)
    return read(refs)

with Index(Path(sys.argv[2]), partitions=3, flush_rows=11) as index:
    print("ready", flush=True)
    for wave in crawl(source, index, read_batch=slowly, batch_files=5, wave_files=40, in_flight=2, stable_s=0):
        for ticket in index.settled_studies(None if wave.is_last else wave.number):
            index.set_revision(ticket, "landed")
print("done", flush=True)
"""


def make_archive(folder: Path) -> Path:
    for seed in range(6):
        make_ct_series(folder / f"{seed}", 20, seed=seed)
    mixed = make_ct_series(folder / "in", 40, seed=7)
    for number, path in enumerate(mixed):
        path.rename(folder / f"{number % 6}" / f"other {number}")
    packed = make_ct_series(folder / "in", 30, seed=8)
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packed:
            archive.write(path, path.name)
            path.unlink()
    (folder / "text").write_text("text")
    return folder


def start(archive: Path, index: Path) -> subprocess.Popen[str]:
    project = Path(__file__).parents[2]
    command = [sys.executable, "-c", CHILD, str(archive), str(index)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_T41_a_crawl_killed_again_and_again_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive")
    with Index(tmp_path / "undisturbed", partitions=3) as index:
        run(archive, index)
        land(index)
        expected = contents(index)
    rng, n_interrupted = random.Random(5), 0
    for _ in range(8):
        child = start(archive, tmp_path / "killed")
        time.sleep(rng.uniform(0.01, 0.25))
        child.send_signal(signal.SIGKILL)
        output, _ = child.communicate(timeout=30)
        n_interrupted += "done" not in output
    assert n_interrupted >= 4
    with Index(tmp_path / "killed", partitions=3) as index:
        run(archive, index)
        assert contents(index) == expected
        assert is_conserved(index)
        land(index)
        assert list(index.settled_studies(None)) == []
        tickets = [ticket for batch in index.studies() for ticket in batch]
        assert {ticket.study_revision for ticket in tickets} == {"landed"}
        run(archive, index)
        assert contents(index) == expected


def test_instances_without_their_files_are_taken_back(tmp_path: Path) -> None:
    """The moment between the two commits of a flush: instances are there, their files are not."""
    make_ct_series(tmp_path / "archive", 3)
    with Index(tmp_path / "index", partitions=1) as index:
        run(tmp_path / "archive", index)
        before = contents(index)
        instance = studies(index)[uid("study", 0)].instances[0]
    part = StudyPartition(tmp_path / "index" / "studies-000.sqlite", 0, 10**6, INDEX_VERSION)
    part.begin(flush=10**6)
    for number in (7, 8):
        late = replace(instance, sop_instance_uid=uid("late", number), file=FileRef(f"{number}".encode()))
        part.add(late, wave=99)
    part.commit()
    assert part.instances_of(uid("study", 0)).n_files == 5
    part.close()
    with Index(tmp_path / "index") as index:
        assert contents(index) == before


@pytest.mark.parametrize("partitions", [1, 4])
def test_an_index_keeps_its_number_of_partitions(tmp_path: Path, partitions: int) -> None:
    make_ct_series(tmp_path / "archive", 2)
    with Index(tmp_path / "index", partitions=partitions) as index:
        run(tmp_path / "archive", index)
    with Index(tmp_path / "index", partitions=9) as index:
        assert studies(index)[uid("study", 0)].n_files == 2
    assert len(list((tmp_path / "index").glob("studies-*.sqlite"))) == partitions


@pytest.mark.parametrize("damage", ["version", "bytes"])
def test_an_index_that_cannot_be_used_is_made_anew(tmp_path: Path, damage: str) -> None:
    make_ct_series(tmp_path / "archive", 3)
    with Index(tmp_path / "index", partitions=2) as index:
        run(tmp_path / "archive", index)
        before = contents(index)
    for path in (tmp_path / "index").glob("studies-001.sqlite"):
        if damage == "bytes":
            path.write_bytes(b"no database" * 1000)
        else:
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version = 99")
    with Index(tmp_path / "index", partitions=2) as index:
        assert studies(index) == {}
        run(tmp_path / "archive", index)
        assert contents(index) == before
