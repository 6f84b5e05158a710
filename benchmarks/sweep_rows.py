"""Rows 5 to 8: whole sweeps. Each time is that of the large archive less that of the small one: without start-up."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.archives import SERIES_A_STUDY, write_archive
from benchmarks.measure import Row
from benchmarks.model import benchmark_model
from benchmarks.sweeps import Run, run_bare_loop, run_sweep

N_SMALL, N_LARGE = 20, 220  # studies: 200 scans and 2,000 series apart; ten times more series and a few
MOST_OTHERS = 0.05  # of the cores, used by others: beyond it seconds by the clock decide nothing
MOST_SHARE, MOST_OVERHEAD, LEAST_SPEED_UP, MOST_MEMORY = 5.0, 1.15, 1.6, 1.2


@dataclass(frozen=True)
class Both:
    """The same way over the small and over the large archive."""

    small: Run
    large: Run

    @property
    def wall_s(self) -> float:
        """Seconds that the studies apart take: start-up is the same in both."""
        return self.large.wall_s - self.small.wall_s

    @property
    def processor_s(self) -> float:
        """Processor seconds that the studies apart take."""
        return self.large.processor_s - self.small.processor_s

    @property
    def start_up_s(self) -> float:
        """What is left of the small one's time when its scans are taken away."""
        return max(0.0, self.small.wall_s - self.wall_s * N_SMALL / (N_LARGE - N_SMALL))


@dataclass(frozen=True)
class Turn:
    """All ways, once."""

    loop: Both
    one: Both  # sweeps with one worker, everything on one core
    two: Both  # sweeps with two workers on two cores
    again: Both  # sweeps of the same archives, nothing new


def sweep_rows(folder: Path, *, turns: int = 1, n_small: int = N_SMALL, n_large: int = N_LARGE) -> list[Row]:
    """Rows 5 to 8."""
    small, large = folder / "archive-small", folder / "archive-large"
    write_archive(small, n_small)
    write_archive(large, n_large)
    model = benchmark_model(folder)
    found = [_turn(folder / f"turn-{number}", small, large, model) for number in range(turns)]
    return [_overhead(found), _speed_up(found), _again(found), _memory(found)]


def _turn(folder: Path, small: Path, large: Path, model: str) -> Turn:
    """Small and large by turns, so that what else runs here meets all ways alike."""
    runs: dict[str, list[Run]] = {"loop": [], "one": [], "again": [], "two": []}
    for size, archive in (("small", small), ("large", large)):
        place = folder / size
        one, two = place / "one" / "w.duckdb", place / "two" / "w.duckdb"
        runs["one"].append(run_sweep(archive, one, model, n_workers=1, n_cores=1))
        runs["loop"].append(run_bare_loop(archive, place / "loop" / "w.duckdb", model))
        runs["two"].append(run_sweep(archive, two, model, n_workers=2, n_cores=2))
        runs["again"].append(run_sweep(archive, one, model, n_workers=1, n_cores=1))
        shutil.rmtree(place)
    both = {name: Both(*each) for name, each in runs.items()}
    for each in both.values():
        _check(each, both["loop"])
    return Turn(**both)


def _check(both: Both, loop: Both) -> None:
    """Every way scored the same number of studies. Raises RuntimeError."""
    if (both.small.n_scored, both.large.n_scored) != (loop.small.n_scored, loop.large.n_scored):
        raise RuntimeError("the sweep and the bare loop scored different numbers of studies")


def _overhead(turns: list[Turn]) -> Row:
    ratio = statistics.median(turn.one.wall_s / turn.loop.wall_s for turn in turns)
    processor = statistics.median(turn.one.processor_s / turn.loop.processor_s for turn in turns)
    first = turns[0]
    return Row(
        number="5",
        what=f"sweep of {N_LARGE - N_SMALL} scans under Prefect + Dask, one worker, one core",
        against="a bare loop over the same functions on one core",
        ours=f"{first.one.wall_s:.0f} s",
        peer=f"{first.loop.wall_s:.0f} s",
        ratio=ratio,
        target=MOST_OVERHEAD,
        bound="at most",
        start_up=f"{first.one.start_up_s:.0f} s / {first.loop.start_up_s:.0f} s",
        note=f"in processor seconds {processor:.2f} ×",
        is_busy=_is_busy(turns),
        numbers=_numbers(turns),
    )


def _speed_up(turns: list[Turn]) -> Row:
    first = turns[0]
    bound = statistics.median(2 * turn.one.processor_s / turn.two.processor_s for turn in turns)
    return Row(
        number="6",
        what="two one-core workers, everything on two cores",
        against="one, everything on one core",
        ours=f"{first.two.wall_s:.0f} s",
        peer=f"{first.one.wall_s:.0f} s",
        ratio=statistics.median(turn.one.wall_s / turn.two.wall_s for turn in turns),
        target=LEAST_SPEED_UP,
        start_up=f"{first.two.start_up_s:.0f} s / {first.one.start_up_s:.0f} s",
        note=f"by processor seconds {bound:.2f} ×, had nobody else used the cores and were none ever idle",
        is_busy=_is_busy(turns),
    )


def _again(turns: list[Turn]) -> Row:
    """The second sweep inside its flow, against the first without its start-up: the harder of the two ways."""
    first = turns[0]
    if any(turn.again.large.has_workers for turn in turns):
        raise RuntimeError("a sweep with nothing new started workers")
    shares = [100 * (turn.again.large.flow_s or 0.0) / _work_s(turn.one) for turn in turns]
    whole = statistics.median(100 * turn.again.large.wall_s / turn.one.large.wall_s for turn in turns)
    return Row(
        number="7",
        what=f"sweep again, nothing new, {N_LARGE * SERIES_A_STUDY:,} series",
        against="the first sweep, one worker on one core",
        ours=f"{first.again.large.flow_s:.1f} s",
        peer=f"{_work_s(first.one):.0f} s",
        ratio=statistics.median(shares),
        target=MOST_SHARE,
        bound="at most",
        unit="%",
        start_up=f"{first.again.large.wall_s - (first.again.large.flow_s or 0.0):.0f} s / {first.one.start_up_s:.0f} s",
        note=f"no workers were started; {whole:.1f} % with both start-ups",
    )


def _is_busy(turns: list[Turn]) -> bool:
    ways = [way for turn in turns for way in (turn.loop, turn.one, turn.two)]
    return any(run.others_share > MOST_OTHERS for way in ways for run in (way.small, way.large))


def _work_s(both: Both) -> float:
    return both.wall_s * N_LARGE / (N_LARGE - N_SMALL)


def _memory(turns: list[Turn]) -> Row:
    first = turns[0].one
    return Row(
        number="8",
        what=f"peak memory of the driver, {N_LARGE * SERIES_A_STUDY:,} series",
        against=f"{N_SMALL * SERIES_A_STUDY:,} series",
        ours=f"{first.large.peak_mb:.0f} MB",
        peer=f"{first.small.peak_mb:.0f} MB",
        ratio=statistics.median(turn.one.large.peak_mb / turn.one.small.peak_mb for turn in turns),
        target=MOST_MEMORY,
        bound="at most",
    )


def _numbers(turns: list[Turn]) -> dict[str, Any]:
    return {
        f"turn {number}": {
            name: {size: getattr(getattr(turn, name), size).as_dict() for size in ("small", "large")}
            for name in ("loop", "one", "two", "again")
        }
        for number, turn in enumerate(turns)
    }
