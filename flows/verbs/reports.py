"""`ovf reports label`, `import`, `diff`: what radiology reports say about vertebral fractures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import SettingsError
from tasks.lexicon import Lexicon, LexiconError
from tasks.report_files import FORMATS, ReportFileError

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
