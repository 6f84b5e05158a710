"""How far a sweep is: a line or a bar on the terminal, and a small file that `ovf status` reads from elsewhere."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.console import make_console

FILE_EVERY_S = 1.0
LINE_EVERY_S = 15.0


@dataclass(slots=True)
class Counts:
    """Where a sweep stands. Studies go found → decided; scored and failed are among the decided."""

    phase: str = "starting"
    files_seen: int = 0
    files_new: int = 0
    files_expected: int | None = None  # from the crawl before, when there was one
    studies_found: int = 0
    studies_decided: int = 0
    studies_scored: int = 0
    studies_failed: int = 0
    shards_open: int = 0
    is_crawl_done: bool = False
    seconds_left: float | None = None  # None: not known yet


@dataclass(slots=True)
class Board:
    """Shows and stores counts. `mode`: auto (a bar on a terminal, else lines), plain (lines), none."""

    path: Path
    run_id: str
    mode: str = "auto"
    counts: Counts = field(default_factory=Counts)
    _started: float = field(default_factory=time.monotonic)
    _filed: float = 0.0
    _lined: float = 0.0
    _scoring_since: float | None = None
    _bar: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> Board:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lined = self._started
        if self.mode == "auto" and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(
                *columns, TimeElapsedColumn(), console=make_console(stderr=True), transient=True
            )
            self._task = self._bar.add_task("starting", total=None, note="")
            self._bar.start()
        self.update()
        return self

    def __exit__(self, *error: object) -> None:
        self.update(force=True)
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line for the operator, above the bar."""
        if self.mode == "none":
            return
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def update(self, *, force: bool = False) -> None:
        """Refresh what is shown and stored, at most as often as is useful."""
        now = time.monotonic()
        self.counts.seconds_left = self._estimate(now)
        if force or now - self._filed >= FILE_EVERY_S:
            self._filed = now
            self._store()
        if self._bar is not None and self._task is not None:
            total = self.counts.studies_found if self.counts.is_crawl_done else None
            note = line_of(self.counts)
            self._bar.update(
                self._task,
                description=self.counts.phase,
                total=total,
                completed=self.counts.studies_decided,
                note=note,
            )
        elif self.mode != "none" and now - self._lined >= LINE_EVERY_S:
            self._lined = now
            print(f"{self.counts.phase}: {line_of(self.counts)}", file=sys.stderr, flush=True)

    def _estimate(self, now: float) -> float | None:
        """Seconds left at the pace since the first study was decided; None until five are."""
        counts = self.counts
        if counts.studies_decided and self._scoring_since is None:
            self._scoring_since = now
        left = counts.studies_found - counts.studies_decided
        if counts.is_crawl_done and left <= 0:
            return 0.0
        if counts.studies_decided < 5 or self._scoring_since is None or not counts.is_crawl_done:
            return None
        return left * (now - self._scoring_since) / counts.studies_decided

    def _store(self) -> None:
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        values = asdict(self.counts) | {"run_id": self.run_id, "updated_at": stamp, "pid": os.getpid()}
        values["elapsed_s"] = round(time.monotonic() - self._started, 1)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(values))
        temporary.replace(self.path)


def line_of(counts: Counts) -> str:
    """The counts in one line."""
    text = f"{counts.files_seen:,} files, {counts.studies_decided:,} of {counts.studies_found:,}"
    text += "" if counts.is_crawl_done else "+"
    text += f" studies decided, {counts.studies_scored:,} scored"
    if counts.studies_failed:
        text += f", {counts.studies_failed:,} failed"
    if counts.seconds_left:
        text += f", about {duration_text(counts.seconds_left)} left"
    return text


def duration_text(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
