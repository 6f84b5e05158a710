"""What a night can be told beyond the settings of its sweep."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flows.errors import SettingsError

_HOUR = r"([01]\d|2[0-3]):[0-5]\d"


class NightSettings(BaseModel):
    """Everything a night can be told. Names are those of the options of `ovf nightly`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: str | None = Field(None, pattern=f"^{_HOUR}-{_HOUR}$", description="HH:MM-HH:MM of local time")
    timezone: str = Field("UTC", description="zone of the window and of the page, such as Europe/Berlin")
    overlap_hours: float = Field(
        168.0, ge=0, le=24 * 60, description="how far a night looks back before the last one"
    )
    baseline_from: dt.date | None = Field(None, description="first day (UTC) of runs that make the baseline")
    renew_canary: bool = False
    out: Path | None = Field(
        None, description="folder of the morning pages; default: nights/ beside the warehouse"
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no such time zone: see /usr/share/zoneinfo") from error
        return value


def read_night(given: dict[str, Any] | None) -> NightSettings:
    """Check what was given. Raises SettingsError naming the key that is wrong."""
    try:
        return NightSettings(**(given or {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {key} of the night: {first['msg']}") from error
