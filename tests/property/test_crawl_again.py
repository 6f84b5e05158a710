"""Crawling again after any changes ends with what a fresh crawl finds, plus what has vanished."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from crawl_tools import is_conserved, run, studies
from factory import ct_dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.index import Index


def image(seed: int, index: int, **attributes: Any) -> bytes:
    buffer = io.BytesIO()
    ct_dataset(index, seed=seed, rows=4, columns=4, **attributes).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


IMAGES = [image(seed, index) for seed in range(2) for index in range(2)]
POOL = [
    *IMAGES,
    image(0, 1, SeriesInstanceUID="1.2.3", SOPInstanceUID="1.2.4"),  # a second series
    image(0, 0, KVP=80),  # the same SOP instance with other contents
    IMAGES[1][:-5],  # truncated
    IMAGES[2][:300],  # cut in its header
    b"text",
    b"",
]
NAMES = ["a", "b", "c", "x/a", "x/b", "y/z/a"]
STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(POOL)),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("link"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
)


def change(archive: Path, step: tuple[str, str, Any]) -> None:
    kind, name, other = step
    path = archive / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "write":
        path.unlink(missing_ok=True)  # a hard link must not change its twin
        path.write_bytes(other)
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif path.exists() and not (archive / other).exists():
        (archive / other).parent.mkdir(parents=True, exist_ok=True)
        if kind == "move":
            path.rename(archive / other)
        else:
            (archive / other).hardlink_to(path)


def live(index: Index) -> dict[str, Any]:
    """Studies without what has vanished from them."""
    found = {}
    for uid, study in studies(index).items():
        instances = [each for each in study.instances if each.sop_instance_uid not in study.vanished]
        n_files = study.n_files - len(study.vanished)
        if n_files:
            found[uid] = (
                [(each.sop_instance_uid, each.content_digest) for each in instances],
                study.conflicts - study.vanished,
                sorted(each.reason for each in study.issues),
                n_files,
            )
    return found


# Two identical copies are compared byte by byte; that one of them was must not show when the other changes.
@example([[("write", "a", POOL[0]), ("write", "b", POOL[0])], [("write", "a", POOL[5])]])
# A broken file does no harm beside the whole one, until that one is gone.
@example([[("write", "b", POOL[1])], [("delete", "b", None), ("write", "a", POOL[6])]])
@given(st.lists(st.lists(STEP, max_size=5), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_crawl_of_a_changed_archive_equals_a_fresh_one(rounds: list[list[tuple[str, str, Any]]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        archive = folder / "archive"
        archive.mkdir()
        with Index(folder / "again", partitions=2) as again:
            for steps in rounds:
                for step in steps:
                    change(archive, step)
                run(archive, again)
                assert is_conserved(again)
            run(archive, again)  # names whose file was read under another name until now
            with Index(folder / "fresh", partitions=2) as fresh:
                run(archive, fresh)
                assert live(again) == live(fresh)
                assert again.file_counts() == fresh.file_counts()
                if not again.totals().n_files_vanished:
                    assert again.totals() == fresh.totals()
    finally:
        shutil.rmtree(folder)
