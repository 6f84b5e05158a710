"""The command `ovf`: one Typer app, one verb a file in `flows/verbs/`, one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from flows.errors import Exit, exit_code_of, is_of_a_path
from flows.settings import TRACEBACK_VARIABLE
from flows.verbs import (
    audit,
    care,
    demo,
    evaluate,
    explain,
    export,
    judge,
    model,
    nightly,
    publish,
    reports,
    rescore,
    status,
    sweep,
    train,
    twins,
)

app = typer.Typer(
    name="ovf",
    help="Finds the osteoporotic vertebral fractures that nobody reported in a hospital's CT archive. "
    "Not a medical device. Shipped models were trained on simulated scans: not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(sweep.sweep)
app.command()(nightly.nightly)
app.command()(status.status)
app.add_typer(export.app, name="export")
app.command()(care.requeue)
app.command()(care.check)
app.command()(care.migrate)
app.command()(care.backup)
app.command()(care.forget)
app.command()(demo.demo)
app.command()(twins.twins)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(publish.publish)
app.command()(explain.explain)
app.command()(rescore.rescore)
app.add_typer(judge.app, name="judge")
app.add_typer(model.app, name="model")
app.add_typer(reports.app, name="reports")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run a verb and end the process with its exit code."""
    os.umask(0o077)  # results and identities are the owner's alone
    code = run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of Prefect and Dask outlive their work, and tearing the interpreter down under them prints what looks
    # like faults. Everything of ours is closed by now.
    os._exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run a verb; every agreed error becomes one line on stderr and its exit code."""
    try:
        app(args=arguments, standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except KeyboardInterrupt:
        print("ovf: stopped; call the same command again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        code = exit_code_of(error)
        if code is Exit.UNEXPECTED and os.environ.get(TRACEBACK_VARIABLE, "0") != "0":
            traceback.print_exc()
        kind = f"{type(error).__name__}: " if code is Exit.UNEXPECTED else ""
        told = f"{error.filename}: {error.strerror}" if is_of_a_path(error) else str(error)
        print(f"ovf: {kind}{told}", file=sys.stderr)
        return int(code)
    return 0


if __name__ == "__main__":
    main()
