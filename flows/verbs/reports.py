"""`ovf reports label`, `import`, `diff`: what radiology reports say about vertebral fractures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, WarehouseOption
from tasks.lexicon import Lexicon, LexiconError
from tasks.report_files import FORMATS, ReportFileError
from warehouse.store import Store

app = typer.Typer(help="Radiology reports: read what they state.", no_args_is_help=True)

LexiconOption = Annotated[
    Path | None, typer.Option("--lexicon", help="a site's own rules (TOML), on top of the shipped ones")
]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="of a CSV; guessed among UTF-8 and GB18030 unless told")
]


@app.callback()
def group() -> None:
    """Radiology reports: read what they state."""


@app.command()
def label(
    source: Annotated[Path, typer.Argument(help=".csv or .parquet with a column `text`")],
    out: Annotated[Path, typer.Option(help="file to write: .csv or .parquet")],
    lexicon: LexiconOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Label any file of report texts, without a warehouse: all its columns, and what each text states.

    Example: ovf reports label reports.csv --out labelled.csv
    """
    from flows.report_label import MissingColumn, label_file
    from tasks.statements import Labeller

    _check_formats(source, out)
    try:
        labelled = label_file(source, out, Labeller(_lexicon(lexicon)), encoding=encoding)
    except (MissingColumn, ReportFileError) as error:
        raise typer.BadParameter(str(error)) from error
    counts = ", ".join(f"{count:,} {statement}" for statement, count in sorted(labelled.counts.items()))
    print(f"{labelled.n_rows:,} reports ({labelled.encoding}) → {out}: {counts or 'none'}")
    if labelled.renamed:
        print(f"the file has columns of these names already, so ours are {', '.join(labelled.renamed)}")


@app.command("import")
def import_file(
    source: Annotated[Path, typer.Argument(help=".csv or .parquet with accession_number, report_date, text")],
    warehouse: WarehouseOption = DEFAULT,
    lexicon: LexiconOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Store reports, link them to the studies by accession number, and label what they state.

    Optional columns: patient_id, report_id, status. Works during a sweep; a second import of the same file changes
    nothing. Texts lie in the identity file only.

    Example: ovf reports import reports.csv --warehouse north/warehouse.duckdb
    """
    from flows.report_import import import_reports
    from flows.report_summary import import_lines
    from tasks.report_files import columns_of, encoding_of, read_rows
    from tasks.report_rows import REQUIRED
    from tasks.statements import Labeller

    _check_formats(source)
    labeller = Labeller(_lexicon(lexicon))
    store = Store.open(warehouse, create=False)
    try:
        encoding = encoding or ("parquet" if source.suffix == ".parquet" else encoding_of(source))
        columns = columns_of(source, encoding)
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise typer.BadParameter(
                f"{source.name} has no column {', '.join(missing)}; its columns are: {', '.join(columns)}"
            )
        counts = import_reports(store, read_rows(source, encoding), labeller)
    except ReportFileError as error:
        raise typer.BadParameter(str(error)) from error
    print("\n".join(import_lines(counts, encoding)))


@app.command()
def diff(
    warehouse: WarehouseOption = DEFAULT,
    lexicon: LexiconOption = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="list accession numbers and the words behind each change")
    ] = False,
) -> None:
    """Show which reports another lexicon would label otherwise. Writes nothing; the next import with it does.

    Example: ovf reports diff --lexicon our-words.toml
    """
    from flows.report_relabel import differences
    from flows.report_summary import diff_lines
    from tasks.statements import Labeller

    labeller = Labeller(_lexicon(lexicon))
    changes = list(differences(Store.open(warehouse, create=False), labeller))
    print("\n".join(diff_lines(changes, identified=identified)))


def _check_formats(source: Path, out: Path | None = None) -> None:
    for path in (source, out):
        if path is not None and path.suffix not in FORMATS:
            raise typer.BadParameter(f"{path.name}: the name must end in {' or '.join(FORMATS)}")
    if not source.is_file():
        raise typer.BadParameter(f"there is no file {source.name}")
    if out is not None and out.exists() and out.samefile(source):
        raise typer.BadParameter("--out names the file that is read")


def _lexicon(path: Path | None) -> Lexicon:
    from tasks.statements import lexicon_with, shipped_lexicon

    try:
        return shipped_lexicon() if path is None else lexicon_with(path)
    except LexiconError as error:
        raise SettingsError(str(error)) from error
