"""What a training says on the way: where a stage stands, how many scans are done. At most twice a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from models.optimise import Progress

Say = Callable[[str], None]
SAY_EVERY_S = 30.0


def to_stderr(text: str) -> None:
    """Says it at once, beside what a command prints as its result."""
    print(text, file=sys.stderr, flush=True)


def progress_words(say: Say) -> Callable[[Progress], None]:
    """Say where a stage stands, at its ends and every half minute."""
    last = [-SAY_EVERY_S]

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] < SAY_EVERY_S and progress.step < progress.n_steps:
            return
        last[0] = now
        say(
            f"{progress.stage}: step {progress.step} of {progress.n_steps}, loss {progress.loss:.4f}, "
            f"about {progress.seconds_left / 60:.0f} min left"
        )

    return report


def counter(what: str, n: int, say: Say) -> Callable[[int], None]:
    """Say how many of `n` scans are done."""
    last = [time.monotonic()]

    def count(done: int) -> None:
        if time.monotonic() - last[0] >= SAY_EVERY_S or done == n:
            last[0] = time.monotonic()
            say(f"{what} {done} of {n} scans")

    return count
