"""`ovf publish`: results back into the PACS, as SR and picture; off unless asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.errors import Exit, SettingsError
from flows.settings import Settings, read_settings
from flows.verbs.options import DEFAULT, SCORED_MODEL, WarehouseOption

if TYPE_CHECKING:
    from flows.publish import Archive, PublishRequest, PublishSummary
    from flows.publish_heat import Pictures
    from flows.publish_retract import RetractSummary
    from tasks.targets.base import Target
    from warehouse.store import Store

_STEPS = {
    "publish": "to be published",
    "supersede": "to be published in the place of an earlier result",
    "unchanged": "published already",
    "withdrawn": "withdrawn: they stay so until they are scored otherwise",
    "not_flagged": "not flagged",
    "opted_out": "opted out",
}
_MISSING = {
    "absent": "no longer in the archive, or its index: sweep again",
    "changed": "changed since they were scored: sweep again",
    "no_answer": "the archive's PACS did not answer for them: run the same command again",
    "unreadable": "their headers cannot be read: check the archive",
    "unbuilt": "no object can be made with the values in their headers: look into one",
    "other_patient": "the header names another patient than the identity file: sweep again, then look into it",
}
_FAILED = {
    "unreachable": "not sent: nobody answers, or the picture before it was not taken",
    "no_answer": "sent, and no answer came: the next run sends them again, as the same objects",
    "refused": "refused by the receiver",
}


def publish(
    archive: Annotated[
        str, typer.Argument(help="the archive the results are from, as in ovf sweep", show_default=False)
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", help="dicomweb+https://HOST/PATH or dimse://CALLED@HOST:PORT"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="write the objects into --out, count, and send nothing")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for the objects of a dry run; they hold identities")
    ] = None,
    test_system: Annotated[
        str | None, typer.Option(help="name of the test system behind --to; the objects say it")
    ] = None,
    retract: Annotated[
        str | None,
        typer.Option(help="withdraw: all, superseded, no-longer-scored, or a study or patient key"),
    ] = None,
    all_scored: Annotated[
        bool, typer.Option("--all-scored", help="also studies that are not flagged")
    ] = False,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="the SR alone")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="so many studies at most")] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"results of this model; needed when several have scored: {SCORED_MODEL}"),
    ] = None,
    opt_out: Annotated[
        Path | None, typer.Option(help="PatientIDs that are left out, one a line, besides those of the sweep")
    ] = None,
    slabs: Annotated[
        Path | None, typer.Option(help="folder of the slabs, if not beside the warehouse")
    ] = None,
    calling: Annotated[str | None, typer.Option(help="our application entity title")] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="file with user:password or Bearer TOKEN, mode 0600")
    ] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Put results into the original studies of a PACS: an SR, and a picture with the heat map. Marked as not verified.

    Flagged studies only, each once; a new result takes the place of an earlier one. A model trained on simulated scans
    is refused unless --test-system names where they go. Begin with --dry-run.

    Example: ovf publish /archive/ct --dry-run --out objects
    """
    if dry_run == (out is None) or (to is None and not dry_run):
        raise typer.BadParameter("give --to ADDRESS; or --dry-run with --out FOLDER")
    if test_system is not None and not (test_system.isascii() and test_system.isprintable()):
        raise typer.BadParameter("--test-system is plain ASCII: it stands in objects of any character set")
    settings = read_settings(
        warehouse=warehouse,
        model=model,
        opt_out=opt_out,
        slabs=slabs,
        pacs_calling=calling,
        pacs_credentials=credentials,
    )
    from flows.publish import Work
    from flows.publish import dry_run as write_dry
    from flows.publish import publish as send
    from flows.publish_retract import Withdrawal
    from flows.publish_retract import retract as withdraw
    from warehouse.store import Store

    store = Store.open(warehouse, create=False)
    address = _address(to)
    with _archive(archive, settings, store) as opened, _target(to, settings, dry_run) as target:
        if retract is not None:
            withdrawn = withdraw(Withdrawal(store, opened, address, target, out), retract)
            _say_retracted(withdrawn, out)
            n_failed = withdrawn.n_left
        else:
            request = _request(store, settings, model, test_system, all_scored, limit)
            pictures = None if no_pictures else _pictures(store, settings, request)
            work = Work(store, opened, request, address, pictures)
            if target is None:
                assert out is not None
                summary = write_dry(work, out)
            else:
                summary = send(work, target)
            _say(summary, out)
            n_failed = summary.n_failed
    if n_failed:
        raise typer.Exit(Exit.RETRIABLE)


def _address(to: str | None) -> str:
    from flows.pacs import archive_name

    return archive_name(to) if to is not None else ""


@contextlib.contextmanager
def _target(to: str | None, settings: Settings, is_dry: bool) -> Iterator[Target | None]:
    from flows.publish_target import open_target

    if to is None or is_dry:
        yield None
        return
    with contextlib.closing(open_target(to, settings)) as target:
        yield target


@contextlib.contextmanager
def _archive(archive: str, settings: Settings, store: Store) -> Iterator[Archive]:
    """The archive and its index, under the lease that sweeps hold: neither changes meanwhile."""
    from flows.pacs import archive_name, is_pacs, open_pacs
    from flows.publish import Archive
    from tasks.identity import Pseudonymizer, key_id_of, load_key
    from tasks.index import Index
    from tasks.sources import open_source
    from warehouse.lease import archive_lease

    key = load_key(store.paths.key)
    store.bind_key(key_id_of(key))
    keys = Pseudonymizer(key, settings.site)
    archive_key = keys.archive_key(archive_name(archive))
    if not (store.paths.index / archive_key).is_dir():
        raise SettingsError("this archive was not swept into this warehouse: name it as in `ovf sweep`")
    source = open_pacs(archive, settings) if is_pacs(archive) else open_source(archive)
    with (
        archive_lease(store.paths.leases, archive_key),
        Index(store.paths.index / archive_key) as index,
    ):
        yield Archive(archive_key, source, index, keys)


def _request(
    store: Store,
    settings: Settings,
    model: str | None,
    test_system: str | None,
    is_all: bool,
    limit: int | None,
) -> PublishRequest:
    from flows.audit_frame import audit_model
    from flows.publish import PublishRequest
    from tasks.profile import read_cohort

    with store.read_live() as connection:
        found = audit_model(connection, model)
    try:
        opted_out = read_cohort(opt_out=settings.opt_out).opt_out_ids
    except (OSError, ValueError) as error:
        raise SettingsError(f"--opt-out: {error}") from error
    return PublishRequest(
        found.model_digest, found.is_simulated_only, test_system, is_all, limit, frozenset(opted_out)
    )


def _pictures(store: Store, settings: Settings, request: PublishRequest) -> Pictures:
    from flows.publish_heat import Pictures

    slabs = settings.slabs or store.paths.directory / "slabs"
    pictures = Pictures(slabs, settings.model, request.model_digest)
    if not pictures.has_model:
        print("the model that scored is not installed here: the SR goes without a picture (see OVF_MODEL)")
    return pictures


def _say(summary: PublishSummary, out: Path | None) -> None:
    for step, text in _STEPS.items():
        if summary.steps[step]:
            print(f"{summary.steps[step]:7,} studies {text}")
    done = f"written to {out}; they hold identities: keep them safe" if out is not None else "published"
    print(f"{summary.n_published:7,} {done}; {summary.n_without_picture:,} without a picture")
    _say_left(summary.missing, summary.failed, summary.n_not_tried)


def _say_retracted(summary: RetractSummary, out: Path | None) -> None:
    done = f"notes written to {out}" if out is not None else "withdrawn"
    print(f"{summary.n_retracted:7,} studies {done}, {summary.n_objects:,} objects")
    _say_left(summary.missing, summary.failed, summary.n_not_tried)
    if summary.missing:
        print(
            "What was left out still lies in the PACS. Where no sweep finds the study, its administrator deletes it."
        )


def _say_left(missing: dict[str, int], failed: dict[str, int], n_not_tried: int) -> None:
    for code, n in sorted(missing.items()):
        print(f"{n:7,} left out: {_MISSING[code]}")
    for code, n in sorted(failed.items()):
        print(f"{n:7,} {_FAILED[code]}")
    if n_not_tried:
        print(f"{n_not_tried:7,} not tried: the PACS does not answer; run the same command again")
