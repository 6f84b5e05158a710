"""One way to print: plain text, wide enough for tables when the output goes to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

WIDTH_OF_FILES = 118


def make_console(*, stderr: bool = False) -> Console:
    """A console that adds no colours of its own to numbers."""
    console = Console(highlight=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, stderr=stderr, width=WIDTH_OF_FILES)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that is gone when the work is done; hands out `progress(done, total)`."""
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def megabytes(n_bytes: float) -> str:
    """`1.1 MB`, `340 MB`, `2.2 GB`, `1.1 TB`."""
    value, units = n_bytes / 1e6, ["MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if value < 10 else f"{value:.0f} {units[0]}"
