"""What a morning page tells, as one record: made by flows, read by the page and by Prefect's artifact."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReasonRow:
    """Why studies of the night, or damaged things of the archive, are not scored."""

    outcome: str
    reason: str
    words: str
    n: int
    next_step: str
    since: str = ""  # first told, for what is damaged


@dataclass(frozen=True)
class FlaggedRow:
    """One study flagged tonight, by pseudonym."""

    study_key: str
    probability: float
    scanner: str
    is_superseding: bool


@dataclass(frozen=True)
class NightPoint:
    """One night of the chart: flags of scored studies, and what the baseline explains (None: no baseline yet)."""

    label: str
    n_scored: int
    n_flagged: int
    low: int | None
    high: int | None
    is_tonight: bool = False


@dataclass(frozen=True)
class MorningNumbers:
    """One night. Times are texts in the zone of the site. No identifiers of patients, only pseudonyms of studies."""

    site: str
    night: str  # local date of its start
    started: str
    duration: str
    window: str  # empty: none
    since: str  # what had arrived by then was in already; empty: the first night
    stopped: str = ""  # why the night stopped before writing; empty: it landed
    n_new: int = 0
    n_changed: int = 0
    n_carried: int = 0
    n_scored: int = 0
    n_superseded: int = 0
    n_flagged: int = 0
    n_left: int = 0
    n_failed_series: int = 0
    conservation: tuple[str, ...] = ()
    reasons: tuple[ReasonRow, ...] = ()
    flagged: tuple[FlaggedRow, ...] = ()
    alerts: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    new_groups: tuple[str, ...] = ()
    n_baseline: int = 0
    baseline_needed: int = 0
    new_problems: tuple[ReasonRow, ...] = ()
    standing_problems: tuple[ReasonRow, ...] = ()
    n_quiet_problems: int = 0  # known, told within a week
    nights: tuple[NightPoint, ...] = ()
    published: str = ""  # what went back to the PACS; empty: nothing was asked for
    to_do: tuple[str, ...] = ()
    model_id: str = ""
    is_simulated_only: bool = True
    facts: tuple[tuple[str, str], ...] = field(default=())  # versions and digests


SIMULATED = "The model was trained on simulated scans only. Its flags mean nothing for patients. Not for clinical use."
