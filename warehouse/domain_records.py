"""Records of how far a score lies from what its model has seen, and where the limit is; see `warehouse.records`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DomainLimitRecord:
    """A limit on the domain distance of a model's scores: a number beside it, changed without scoring again."""

    model_digest: str
    limit_id: str  # shipped, or a name of this hospital
    domain_id: str  # the yardstick that it is a limit of
    limit_distance: float | None  # None: no limit
    rule: str
    fitted_on: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class DomainDistanceRecord:
    """Distance of one score by one yardstick, from the features that the score keeps."""

    series_key: str
    series_revision: str
    storage_recipe: str
    view_recipe: str
    model_digest: str
    domain_id: str
    distance: float
