"""Two ways of doing the same, timed in turns; a row of the table from what they took."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

NOT_MEASURABLE = "not measurable here"
BUSY = "undecided: busy machine"


@dataclass(frozen=True)
class Pair:
    """Seconds of both ways, turn by turn."""

    ours_s: tuple[float, ...]
    peer_s: tuple[float, ...]

    @property
    def times_faster(self) -> float:
        """Median over the turns of the peer's time by ours: a machine that is busy slows both of a turn."""
        return statistics.median(peer / ours for ours, peer in zip(self.ours_s, self.peer_s, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """Least and greatest ratio of one turn."""
        ratios = [peer / ours for ours, peer in zip(self.ours_s, self.peer_s, strict=True)]
        return min(ratios), max(ratios)

    @property
    def ours_median_s(self) -> float:
        """Median of our times."""
        return statistics.median(self.ours_s)

    @property
    def peer_median_s(self) -> float:
        """Median of the peer's times."""
        return statistics.median(self.peer_s)


@dataclass(frozen=True)
class Row:
    """One line of the table. `target` is the least ratio, or the most where `bound` says so."""

    number: str
    what: str
    against: str
    ours: str
    peer: str
    ratio: float | None
    target: float
    bound: Literal["at least", "at most"] = "at least"
    unit: str = "×"  # % where the ratio is a share
    start_up: str = ""
    note: str = ""
    is_busy: bool = False  # others used the cores meanwhile, so that seconds by the clock say little
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """met, missed, or why there is none."""
        if self.ratio is None:
            return NOT_MEASURABLE
        if self.is_busy:
            return BUSY
        is_met = self.ratio >= self.target if self.bound == "at least" else self.ratio <= self.target
        return "met" if is_met else "missed"

    def as_dict(self) -> dict[str, Any]:
        """What a child process hands to its parent, and the results file holds."""
        return {**asdict(self), "verdict": self.verdict}


def row_of(values: dict[str, Any]) -> Row:
    """The row that `as_dict` has written."""
    return Row(**{each.name: values[each.name] for each in fields(Row) if each.name in values})


def in_turns(ours: Callable[[], object], peer: Callable[[], object], *, turns: int) -> Pair:
    """Time both, A B A B, after one untimed turn of each that fills caches and imports what is lazy."""
    ours()
    peer()
    ours_s, peer_s = [], []
    for _ in range(turns):
        ours_s.append(seconds(ours))
        peer_s.append(seconds(peer))
    return Pair(tuple(ours_s), tuple(peer_s))


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of one call, all threads together, with the garbage of the last one gone before.

    The inputs lie in memory and both ways have one thread, so this is the wall-clock time of a core that nobody
    else uses; and it stays so where somebody does.
    """
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started
