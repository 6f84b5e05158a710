"""Reads and writes files of reports: CSV (UTF-8, UTF-16 with its mark, GB18030) and Parquet, row by row.

Fields are told apart by commas, or by the semicolons or tabs that spreadsheets write where a comma is a decimal point.

The encoding is guessed only where one reading is left: what is no UTF-8 is GB18030 when its foreign signs stand side by
side, as Chinese does, and Windows-1252 when they stand alone, as accents and degree signs do.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = (".csv", ".parquet")
# A report of 10 MB is read as it is; a larger field is a quote that never closes.
LARGEST_FIELD = 256 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_ROWS_PER_BATCH = 2000
_SAMPLE_CHARACTERS = 2_000_000
_FOREIGN_RUN = re.compile(r"[^\x00-\x7f]+")
# Chinese stands in words and sentences; accents and degree signs, read as GB18030, stand alone.
_LONG_RUN_SHARE = 0.5
_BAD = "\ufffd"  # in the place of bytes that are no sign
_BAD_SHARE = 0.2
# Signs that reports in Chinese are full of; and how many signs it takes to miss them.
_USUAL_SIGNS, _ENOUGH_SIGNS, _PRIVATE_SHARE = "骨肺未见", 100, 0.02
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ZIP_MARK = b"PK\x03\x04"  # of .xlsx and .ods too
_DELIMITERS = (",", ";", "\t")
_LONGEST_HEADER = 1024 * 1024
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class ReportFileError(Exception):
    """The file cannot be read as reports; the message says why. It names no content of a row."""


def encoding_of(path: Path) -> str:
    """The encoding of a text file. Raises ReportFileError when none fits."""
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == _ZIP_MARK:
        raise ReportFileError(f"{path.name} is a spreadsheet or an archive, no CSV: save it as CSV (UTF-8)")
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if _decodes(path, "utf-8"):
        return "utf-8"
    runs = _foreign_runs(path, "gb18030")
    if _looks_chinese(runs) and _decodes(path, "gb18030"):
        if _is_other_script(runs):
            raise ReportFileError(
                f"{path.name} is no GB18030, perhaps Big5: convert it, or name its --encoding"
            )
        return "gb18030"
    if damaged := _damaged(_foreign_runs(path, "utf-8"), runs):
        raise ReportFileError(
            f"{path.name} is {damaged} but for some bytes (a text cut in two?): mend them, or convert it"
        )
    if _decodes(path, "cp1252"):
        return "cp1252"
    raise ReportFileError(f"{path.name} is neither UTF-8 nor GB18030: convert it, or name its --encoding")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _foreign_runs(path: Path, encoding: str) -> list[str]:
    """Signs beyond ASCII at the file's beginning, those side by side together; what is none in the encoding is _BAD."""
    with path.open(encoding=encoding, errors="replace") as stream:
        return _FOREIGN_RUN.findall(stream.read(_SAMPLE_CHARACTERS))


def _looks_chinese(runs: Sequence[str]) -> bool:
    told = [len(run) for run in runs if run.strip(_BAD)]
    return sum(n for n in told if n > 1) >= _LONG_RUN_SHARE * sum(told)


def _is_other_script(runs: Sequence[str]) -> bool:
    """Chinese by its bytes and not by its signs: Big5 and Shift-JIS read as GB18030 give signs that nobody uses."""
    foreign = "".join(runs)
    n_private = sum("\ue000" <= sign <= "\uf8ff" for sign in foreign)
    is_strange = len(foreign) >= _ENOUGH_SIGNS and not _has_usual_signs(foreign)
    return n_private > _PRIVATE_SHARE * len(foreign) or is_strange


def _has_usual_signs(foreign: str) -> bool:
    return any(sign in foreign for sign in _USUAL_SIGNS)


def _damaged(by_utf_8: Sequence[str], by_gb18030: Sequence[str]) -> str | None:
    """The encoding of a file that decodes but for a few bytes; it must not be taken for Windows-1252."""
    foreign = "".join(by_utf_8)
    if len(foreign) > 2 * foreign.count(_BAD):
        return "UTF-8"
    foreign = "".join(by_gb18030)
    is_rare = foreign.count(_BAD) < _BAD_SHARE * len(foreign)
    return "GB18030" if is_rare and _looks_chinese(by_gb18030) and _has_usual_signs(foreign) else None


def columns_of(path: Path, encoding: str | None = None) -> list[str]:
    """The names of the columns. Raises ReportFileError."""
    if path.suffix == ".parquet":
        return [str(name) for name in _parquet(path).schema_arrow.names]
    with _csv_rows(path, encoding or encoding_of(path)) as reader:
        return list(reader.fieldnames or [])


def read_rows(path: Path, encoding: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows as column name → value; None where a row is too short. Raises ReportFileError."""
    if path.suffix == ".parquet":
        for batch in _parquet(path).iter_batches(batch_size=_ROWS_PER_BATCH):
            yield from batch.to_pylist()
        return
    encoding = encoding or encoding_of(path)
    with _csv_rows(path, encoding) as reader:
        last: dict[str, Any] = {}
        for row in reader:
            if None in row:
                raise ReportFileError(
                    f"{path.name}, line {reader.line_num}: more fields than columns; is a quote missing?"
                )
            if last:
                yield last
            last = row
        if _has_swallowed_rows(path, encoding, last):
            raise ReportFileError(
                f"{path.name}: the last row goes on over several lines; is a closing quote missing?"
            )
        if last:
            yield last


def _has_swallowed_rows(path: Path, encoding: str, last: Mapping[str, Any]) -> bool:
    """A quote that never closes takes all rows behind it into one field."""
    if not any("\n" in str(value) for value in last.values()):
        return False
    with path.open(encoding=encoding, newline="") as stream:
        return bool(sum(line.count('"') for line in stream) % 2)


@contextmanager
def _csv_rows(path: Path, encoding: str) -> Iterator[csv.DictReader[str]]:
    csv.field_size_limit(LARGEST_FIELD)
    try:
        with path.open(encoding=encoding, newline="") as stream:
            header = stream.readline(_LONGEST_HEADER)
            stream.seek(0)
            yield csv.DictReader(stream, delimiter=max(_DELIMITERS, key=header.count))
    except (UnicodeDecodeError, LookupError) as error:
        raise ReportFileError(f"{path.name} is not {encoding}") from error
    except csv.Error as error:
        raise ReportFileError(f"{path.name} is no CSV that can be read: {error}") from error


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ReportFileError(f"{path.name} is no Parquet file that can be read") from error


def write_rows(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], guarded: Sequence[str]
) -> int:
    """Write rows as CSV (UTF-8) or Parquet, whole or not at all, owner-only; returns how many.

    In CSV a `guarded` column that begins like a formula gets an apostrophe, as spreadsheets ask for; Parquet is left
    as it is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write = _write_parquet if path.suffix == ".parquet" else _write_csv
        n_rows = write(temporary, columns, rows, guarded)
        temporary.chmod(0o600)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return n_rows


def _write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], guarded: Sequence[str]
) -> int:
    n_rows = 0
    with open(path, "w", encoding="utf-8", newline="", opener=_owner_only) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, **{name: plain_cell(row[name]) for name in guarded}})
            n_rows += 1
    return n_rows


def plain_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: texts come from scanners, and whoever typed them (OWASP)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_SIGNS) else value


def _write_parquet(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], guarded: Sequence[str]
) -> int:
    """All rows at once, so that a column's type is that of all its values."""
    listed = list(rows)
    with open(path, "wb", opener=_owner_only) as stream:
        pq.write_table(pa.table({name: [row[name] for row in listed] for name in columns}), stream)
    return len(listed)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
