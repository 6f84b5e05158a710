"""Scored scans as CSV, one line each, and back: what a test leaves beside a model, so that others can count again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)

_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "int | None": lambda text: int(text) if text else None,
    "float": float,
    "bool": lambda text: text == "True",
}


def write_rows(path: Path, kind: type[Row], rows: Sequence[Row], *, digits: int | None = None) -> None:
    """Write rows of a flat dataclass; `digits`: significant ones of a number, all of them unless told."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value, digits) for name, value in asdict(row).items()})


def _cell(value: Any, digits: int | None) -> Any:
    return f"{value:.{digits}g}" if digits is not None and isinstance(value, float) else value


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows that `write_rows` wrote."""
    readers = {field.name: _READERS[str(field.type)] for field in fields(kind)}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            kind(**{name: readers[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]
