"""`ovf requeue`, `check`, `migrate`, `backup`, `forget`: looking after a warehouse."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from flows.console import make_console
from flows.errors import Exit, SettingsError
from flows.summary import conservation_line
from flows.sweep_summary import LevelCount
from flows.verbs.options import DEFAULT, WarehouseOption
from tasks.index import Index
from warehouse import checks, decisions
from warehouse.lease import archive_lease
from warehouse.queries import query
from warehouse.reasons import REASONS
from warehouse.store import Store


def requeue(
    reason: Annotated[str, typer.Option(help="reason code, with or without its detail, such as no_decoder")],
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Take decisions with one reason back, so that the next sweep decides those studies again. Scores stay.

    Example: ovf requeue --reason no_decoder
    """
    code = reason.split(":", 1)[0]
    if code not in REASONS:
        raise SettingsError(f"there is no reason {code}; `ovf status` shows those that occur")
    store = Store.open(warehouse, create=False)
    with store.write() as connection:
        n_studies = decisions.requeue(connection, reason)
    print(f"{n_studies:,} studies will be decided again by the next sweep")
    if not n_studies:
        print("Either the reason does not occur (see `ovf status`), or it follows from other decisions.")


def check(warehouse: WarehouseOption = DEFAULT) -> None:
    """Check that everything found is accounted for, and that every row fits the others. Exit 1 when not.

    Example: ovf check
    """
    console = make_console()
    store = Store.open(warehouse, create=False)
    with store.read_live() as connection:
        results = checks.run_checks(connection)
        levels = connection.execute(query("conservation"), {"archive_key": None}).fetchall()
    for row in levels:
        console.print(f"archive {row[0][:8]} {conservation_line(LevelCount(*row[1:]))}", soft_wrap=True)
    for result in results:
        verdict = "ok" if not result.n_rows else f"{result.n_rows:,} offending rows: {result.description}"
        console.print(f"{result.name}: {verdict}", soft_wrap=True)
    if any(result.n_rows for result in results):
        raise typer.Exit(Exit.UNEXPECTED)


def migrate(warehouse: WarehouseOption = DEFAULT) -> None:
    """Bring a warehouse of an earlier version to this one's schema. A copy is kept beside it.

    Example: ovf migrate --warehouse north/warehouse.duckdb
    """
    applied = Store.migrate(warehouse)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do: the schema is up to date")


def backup(
    target: Annotated[
        Path, typer.Argument(help="folder to make; holds identities and the key: keep it safe")
    ],
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Copy warehouse, identity file and key to a new folder, and open the copy to see that it is whole.

    Example: ovf backup /backup/ovf-2026-11-21
    """
    copied = Store.open(warehouse, create=False).backup(target)
    print(f"backed up to {copied}; to restore, put the files back and sweep again")


def forget(
    patient_id: Annotated[str | None, typer.Option(help="PatientID as in the archive")] = None,
    patient_key: Annotated[str | None, typer.Option(help="pseudonym, as in an export")] = None,
    issuer: Annotated[str | None, typer.Option(help="IssuerOfPatientID, where the archive has one")] = None,
    slabs: Annotated[
        Path | None, typer.Option(help="folder of the slabs, if not beside the warehouse")
    ] = None,
    leave_published: Annotated[
        bool, typer.Option("--leave-published", help="although results of the patient lie in a PACS")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Erase a patient from warehouse, identity file, index and slabs; later sweeps leave the patient out.

    The archive itself is not touched. What was published into a PACS is withdrawn first, with `ovf publish --retract`:
    afterwards nobody knows any more whose it is.

    Example: ovf forget --patient-key 3f9a...
    """
    if (patient_id is None) == (patient_key is None):
        raise typer.BadParameter("give --patient-id or --patient-key")
    from flows.kept_split import forget_in_splits
    from tasks.shard_work import kept_slab_path

    store = Store.open(warehouse, create=False)
    if not leave_published:
        _refuse_published(store, {"patient_id": patient_id, "patient_key": patient_key, "issuer": issuer})
    if not yes:
        typer.confirm("Erase this patient for good?", abort=True)
    indexes = sorted(store.paths.index.iterdir())
    with contextlib.ExitStack() as leases:
        for path in indexes:  # a sweep that runs would put the patient's files back into its index
            leases.enter_context(archive_lease(store.paths.leases, path.name))
        erased = store.forget(patient_id=patient_id, patient_key=patient_key, issuer=issuer)
        folder = slabs or store.paths.directory / "slabs"
        n_files = sum(_delete(kept_slab_path(folder, *series)) for series in erased.series)
        for path in indexes:
            with Index(path) as index:
                index.erase(erased.study_instance_uids)
        forget_in_splits(store)
    print(
        f"erased {len(erased.study_keys):,} studies and {n_files:,} slab files; the published copy was renewed"
    )
    print(
        "The archive was not touched: files that stay there are listed again, and left out, by the next sweep. Models "
        "that were trained on the patient, and folders of trainings, keep the pseudonym: delete those that must not."
    )


def _refuse_published(store: Store, patient: dict[str, str | None]) -> None:
    with store.read_live_identified() as connection:
        where = connection.execute(query("publications_of_patient"), patient).fetchall()
    if where:
        raise typer.BadParameter(
            f"results of this patient lie in {', '.join(row[0] for row in where)}: withdraw them first "
            "(ovf publish ARCHIVE --to ADDRESS --retract PATIENT_KEY), or say --leave-published"
        )


def _delete(slab: Path) -> int:
    """Delete a slab file, and what a killed run left beside it."""
    paths = list(slab.parent.glob(f"{slab.stem}*"))
    for path in paths:
        path.unlink()
    return len(paths)
