"""Labels a file of report texts without a warehouse, so that a radiologist can try the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.report_files import columns_of, encoding_of, read_rows, write_rows
from tasks.statements import Labeller, ReportLabel

ADDED = ("statement", "evidence", "trigger", "levels", "acuity", "wording", "treatment", "cause")
GUARDED = ("evidence", "trigger")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What was labelled."""

    n_rows: int
    counts: Mapping[str, int]  # statement → reports
    encoding: str
    renamed: tuple[str, ...]  # columns of ours whose name the file had already


class MissingColumn(Exception):
    """The file has no such column; the message names those it has."""


def label_file(source: Path, target: Path, labeller: Labeller, *, encoding: str | None = None) -> Labelled:
    """Label the column `text` of a CSV or Parquet file; the target holds all its columns and ours.

    A column that has a name of ours stays; ours is then called `ovf_NAME`. Raises MissingColumn, ReportFileError.
    """
    if source.suffix == ".parquet":
        encoding = "parquet"
    encoding = encoding or encoding_of(source)
    columns = columns_of(source, encoding)
    if "text" not in columns:
        raise MissingColumn(f"{source.name} has no column text; its columns are: {', '.join(columns)}")
    names = {name: _free_name(name, columns) for name in ADDED}
    counts: Counter[str] = Counter()
    rows = _labelled_rows(source, encoding, labeller, names, counts)
    n_rows = write_rows(target, [*columns, *names.values()], rows, [names[name] for name in GUARDED])
    renamed = tuple(new for old, new in names.items() if old != new)
    return Labelled(n_rows, counts, encoding, renamed)


def _free_name(name: str, taken: list[str]) -> str:
    while name in taken:
        name = f"ovf_{name}"
    return name


def _labelled_rows(
    source: Path, encoding: str, labeller: Labeller, names: Mapping[str, str], counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    for row in read_rows(source, encoding):
        text = row["text"]
        label = labeller.label(text if isinstance(text, str) else None)
        counts[label.statement] += 1
        added = fields_of(label)
        yield row | {names[name]: added[name] for name in ADDED}


def fields_of(label: ReportLabel) -> dict[str, str]:
    """A label as the columns of a table; levels joined by blanks."""
    return {
        "statement": label.statement,
        "evidence": label.evidence,
        "trigger": label.trigger,
        "levels": " ".join(label.levels),
        "acuity": label.acuity,
        "wording": label.wording,
        "treatment": label.treatment,
        "cause": label.cause,
    }
