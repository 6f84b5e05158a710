"""What several system tests read from the command's output and from a simulated hospital."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

_LINE = re.compile(r"^\s*(files|series|studies): ([\d,]+) found = (.*)$", re.MULTILINE)


def conserved_levels(output: str) -> dict[str, dict[str, int]]:
    """Level → its counts, from the conservation lines; each must add up, and say so."""
    assert "NOT CONSERVED" not in output
    levels: dict[str, dict[str, int]] = {}
    for level, found, parts in _LINE.findall(output):
        counts = {name: int(number.replace(",", "")) for number, name in re.findall(r"([\d,]+) (\w+)", parts)}
        assert sum(counts.values()) == int(found.replace(",", "")), (level, counts)
        levels[level] = counts | {"found": int(found.replace(",", ""))}
    assert set(levels) == {"files", "series", "studies"}
    return levels


def studies_of_truth(hospital: Path) -> list[dict[str, str]]:
    """Rows of the hospital's truth.csv: one per study."""
    with (hospital / "truth.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def warehouse_under_the_key_of(other: Path, folder: Path) -> Path:
    """A path for a new warehouse that shares the key of another, so that their pseudonyms agree."""
    folder.mkdir(parents=True)
    shutil.copy(other.parent / "identity.key", folder / "identity.key")
    return folder / "w.duckdb"
