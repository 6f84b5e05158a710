"""Lists the rows of docs/faults.md that no test is named after: `make faults`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"^\| (T\d\d) \| ([^|]+) \|", re.MULTILINE)
_TEST_NAME = re.compile(r"^\s*(?:async )?def test_((?:T\d\d_)+)", re.MULTILINE)


def fault_rows(catalogue: str) -> dict[str, str]:
    """Id and title of each row, in order. `catalogue` is the text of docs/faults.md."""
    return {row: title.strip() for row, title in _ROW.findall(catalogue)}


def named_rows(sources: list[str]) -> set[str]:
    """Ids that stand in the name of a test function (`test_T13_...`, `test_T11_T12_...`)."""
    names = (name for source in sources for name in _TEST_NAME.findall(source))
    return {row for name in names for row in re.findall(r"T\d\d", name)}


def main() -> None:
    rows = fault_rows((ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))
    sources = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("tests/*/**/test_*.py"))]
    open_rows = [row for row in rows if row not in named_rows(sources)]
    for row in open_rows:
        print(f"{row}  {rows[row]}")
    print(f"{len(rows) - len(open_rows)} of {len(rows)} rows have a test")


if __name__ == "__main__":
    main()
