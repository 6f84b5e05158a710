"""One way to print: plain text, wide enough for tables when the output goes to a file."""

from __future__ import annotations

from rich.console import Console

WIDTH_OF_FILES = 118


def make_console(*, stderr: bool = False) -> Console:
    """A console that adds no colours of its own to numbers."""
    console = Console(highlight=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, stderr=stderr, width=WIDTH_OF_FILES)
