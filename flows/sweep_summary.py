"""What a sweep did, as two small records. No prefect here: verbs that only look need none of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LevelCount:
    """One conservation line: found = scored + excluded + quarantined + failed + pending."""

    level: str  # file | series | study
    found: int
    scored: int
    excluded: int
    quarantined: int
    failed: int
    pending: int
    is_conserved: bool


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """What a sweep did; small, without identifiers."""

    run_id: str
    levels: list[LevelCount]
    reasons: list[tuple[str, str, str | None, int]]  # level, outcome, reason, n
    n_flagged: int
    model_id: str
    is_simulated_only: bool
    used_workers: bool
    failed_checks: list[str]
    published: Path
    duration_s: float
    n_failed_series: int
    n_failed_files: int = 0  # that could not be read: what they belong to may lack slices
    n_failed_queries: int = 0  # what a PACS did not answer: studies or series that nobody knows of yet

    @property
    def is_incomplete(self) -> bool:
        """Whether something failed that the next run tries again: exit code 20."""
        return bool(self.n_failed_series or self.n_failed_files or self.n_failed_queries)


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What a night did; small, without identifiers. Counts are of studies."""

    sweep: SweepSummary
    page: Path
    n_new: int
    n_changed: int
    n_carried: int
    n_left: int
    n_scored: int
    n_flagged: int
    alerts: tuple[str, ...]
    to_do: tuple[str, ...]
    is_canary_enrolled: bool
