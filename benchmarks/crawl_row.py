"""Row 1: headers read by the crawl, against pydicom."""

from __future__ import annotations

import itertools
from dataclasses import fields
from pathlib import Path

from benchmarks import pydicom_reader
from benchmarks.measure import Row, in_turns
from benchmarks.scans import write_headers
from tasks.crawl import crawl, read_here
from tasks.header import read_headers
from tasks.index import Index
from tasks.instance import Instance
from tasks.sources import open_source
from tasks.sources.base import Source

N_FILES, TURNS = 3000, 5


def crawl_rows(folder: Path) -> list[Row]:
    """The whole crawl (walk, headers, checks, digest, index on disk) against pydicom's walk and headers alone."""
    archive = folder / "headers"
    write_headers(archive, N_FILES)
    source = open_source(str(archive))
    check_same_values(source, archive)
    new_name = itertools.count()
    pair = in_turns(
        lambda: _crawl(source, folder / f"index-{next(new_name)}"),
        lambda: pydicom_reader.read_all(archive),
        turns=TURNS,
    )
    ours, peer = N_FILES / pair.ours_median_s, N_FILES / pair.peer_median_s
    return [
        Row(
            number="1",
            what="crawl, files per second and core",
            against="pydicom.dcmread(stop_before_pixels, specific_tags) + the same values",
            ours=f"{ours:,.0f}/s",
            peer=f"{peer:,.0f}/s",
            ratio=pair.times_faster,
            target=3.0,
            note="ours includes the walk, the checks, a digest and the index on disk; headers of 100 elements",
            numbers={"files": N_FILES, "ours_s": pair.ours_s, "peer_s": pair.peer_s, "spread": pair.spread},
        )
    ]


def _crawl(source: Source, index: Path) -> None:
    with Index(index) as opened:
        for _ in crawl(source, opened, read_batch=read_here(source)):
            pass


def check_same_values(source: Source, archive: Path) -> None:
    """Both readers say the same of every field they share. Raises RuntimeError naming one that differs."""
    refs = [listing.ref(entry) for listing in source.walk() for entry in listing.entries]
    names = {field.name for field in fields(Instance)}
    for ours, peer in zip(read_headers(source, refs), pydicom_reader.read_all(archive), strict=True):
        if not isinstance(ours, Instance):
            raise RuntimeError("a file of the benchmark is no instance")
        differing = [name for name, value in peer.items() if name in names and getattr(ours, name) != value]
        if differing:
            raise RuntimeError(f"the two readers differ in {differing[0]}")
