"""Whose scans a sweep looks at, from its settings and the files that they name."""

from __future__ import annotations

from flows.errors import SettingsError
from flows.pacs import is_pacs
from flows.settings import Settings
from tasks.profile import Cohort, read_cohort


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
