"""What is wrong with how a sweep was asked for, said at once: what a sweep starts takes many seconds to be there."""

from __future__ import annotations

from flows.pacs import is_pacs, pacs_client, read_manners
from flows.settings import Settings
from flows.sweep_cohort import cohort_of
from models.registry import verify_model
from tasks.sources import open_source


def refuse_at_once(archive: str, settings: Settings) -> None:
    """Look at everything that a sweep reads before it begins. Nothing is written, and no PACS is asked anything.

    Raises SettingsError, ArchiveUnreachable, ModelError.
    """
    if is_pacs(archive):
        # Above all an address with a password: it would become a parameter of a flow, which Prefect shows.
        pacs_client(archive, settings)
        read_manners(settings)
    else:
        open_source(archive)
    settings.days()
    cohort_of(archive, settings)
    verify_model(settings.model)
