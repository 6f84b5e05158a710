"""Reads the header comment of a .sql file. Pure."""

from __future__ import annotations


def description_of(sql: str) -> str:
    """The comment lines before the first statement, as one text."""
    lines = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)
