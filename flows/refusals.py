"""What is wrong with how a sweep was asked for, said at once: what a sweep starts takes many seconds to be there."""

from __future__ import annotations

from flows.errors import SettingsError
from flows.pacs import is_pacs, pacs_client, read_manners
from flows.settings import Settings
from models.registry import verify_model
from tasks.profile import Cohort, read_cohort
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


def cohort_of(archive: str, settings: Settings) -> Cohort:
    """Whose scans are swept. A PACS is asked for a range of days: its other studies are left as they were.

    So a night that asks for the last days decides nothing anew of those before. Raises SettingsError.
    """
    since, until = (None, None) if is_pacs(archive) else settings.days()
    try:
        return read_cohort(
            min_age_years=settings.min_age,
            since=since,
            until=until,
            cohort=settings.cohort,
            opt_out=settings.opt_out,
            body_part=settings.body_part,
            description=settings.description,
            station=settings.station,
        )
    except OSError as error:
        name = "cohort" if str(settings.cohort) == str(error.filename) else "opt_out"
        raise SettingsError(f"setting {name}: {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"cohort or opt-out: {error}") from error
