"""Keeps the table of reasons and flags in docs/operators-guide.md in step with warehouse/reasons.py.

Run it after a change: `.venv/bin/python scripts/reasons_table.py`. A test fails until you do.
"""

from __future__ import annotations

import re
from pathlib import Path

from warehouse.reasons import FLAGS, REASONS

GUIDE = Path(__file__).parents[1] / "docs" / "operators-guide.md"
BEGIN, END = "<!-- reasons: begin -->", "<!-- reasons: end -->"
_NUMBER = re.compile(r"\{[^}]*\}")  # a place in a template where a measured number goes


def reasons_markdown() -> str:
    """The two tables, in the order of warehouse/reasons.py."""
    lines = ["| reason | outcome | what it says | what to do |", "|---|---|---|---|"]
    for reason in REASONS.values():
        text = _NUMBER.sub("…", reason.template)
        lines.append(f"| `{reason.code}` | {reason.outcome.value} | {text} | {reason.next_step} |")
    lines += [
        "",
        "Remarks on a row (`flags`); they change no outcome:",
        "",
        "| flag | what it says |",
        "|---|---|",
    ]
    lines += [f"| `{flag}` | {text} |" for flag, text in FLAGS.items()]
    return "\n".join(lines)


def with_table(guide: str) -> str:
    """The guide's text with the tables renewed between their two marks."""
    before, rest = guide.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{reasons_markdown()}\n{END}{after}"


if __name__ == "__main__":
    GUIDE.write_text(with_table(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
