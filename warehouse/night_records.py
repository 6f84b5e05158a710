"""Records of nightly screening: nights, the watermark, alerts, the canary, and damaged things reported before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NightRecord:
    """One night that landed; the whole table is volatile."""

    run_id: str
    archive_key: str
    arrived_since: dt.datetime | None  # UTC; None: the first night
    arrived_until: dt.datetime  # UTC
    window_ends_at: dt.datetime | None  # UTC; None: no window
    n_new: int  # studies
    n_changed: int  # studies
    n_carried: int  # studies
    n_left: int  # studies
    n_scored: int  # studies
    n_flagged: int  # studies
    n_failed: int  # series
    duration_s: float  # by a monotonic clock
    precision: str
    canary_difference: float  # largest, as a share of its tolerance
    cusum_up: float | None  # log likelihood ratio at the end of the night
    cusum_down: float | None


@dataclass(frozen=True, slots=True)
class WatermarkRecord:
    """Up to when the arrivals of an archive have been taken in."""

    archive_key: str
    arrived_until: dt.datetime  # UTC
    run_id: str


@dataclass(frozen=True, slots=True)
class NightAlertRecord:
    """One thing that changed, and by how much."""

    run_id: str
    signal: str  # flag_rate | flag_cusum | score_distribution | domain_distance | exclusions
    subject: str  # whom it is about, such as a scanner; "all"
    message: str
    n: int  # scans or studies judged
    observed: float
    expected: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class CanaryRecord:
    """What a model says of one case of the golden set, as enrolled."""

    model_digest: str
    storage_recipe: str
    view_recipe: str
    precision: str  # fp32 | bf16 | fp16
    golden_case: str
    golden_digest: str  # SHA-256 of the set's files
    logit: float
    slice_logits: list[float]
    grey_mean: list[float]  # of each image that the model read, 0 to 255
    device: str
    code_version: str
    enrolled_at: dt.datetime  # UTC


@dataclass(frozen=True, slots=True)
class NightProblemRecord:
    """Something damaged that was reported in the morning, and when last."""

    archive_key: str
    series_key: str  # "" for files that belong to no series
    series_revision: str
    reason: str
    n: int
    first_reported_at: dt.datetime  # UTC
    last_reported_at: dt.datetime  # UTC


NIGHT_RECORDS = (NightRecord, WatermarkRecord, NightAlertRecord, CanaryRecord, NightProblemRecord)
