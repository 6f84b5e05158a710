"""What a model brings into a warehouse beside its scores: its row, its operating point, its domain limit.

Numbers that this hospital chose (`ovf model calibrate`, `ovf model domain`) stay current; those that the model ships
with stand beside. A limit that was chosen on another yardstick (the reference was fitted again) goes: no new scan is
measured by it, and without a distance none would ever be beyond it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.kept_split import keep_split
from models.domain import DomainReference, read_domain
from models.registry import describe_model, read_operating_point
from warehouse.domain_records import DomainDistanceRecord, DomainLimitRecord
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import ModelRecord, OperatingPointRecord
from warehouse.store import Store

SHIPPED = "shipped"
# Scores whose distances are computed and landed at a time: 32 features × 20 images each, 5 MB.
DISTANCES_AT_ONCE = 2000


def model_row(model: str | Path) -> ModelRecord:
    """The row of an installed model. Raises ModelError."""
    found = describe_model(model)
    return ModelRecord(found.digest, found.model_id, found.architecture, found.is_simulated_only, found.card)


def shipped_point(model: str | Path) -> OperatingPointRecord:
    """The operating point that a model ships with. Raises ModelError."""
    point = read_operating_point(model)
    return OperatingPointRecord(
        model_digest=describe_model(model).digest,
        operating_point_id=SHIPPED,
        calibration_slope=point.calibration_slope,
        calibration_intercept=point.calibration_intercept,
        threshold=point.threshold,
        rule=point.rule,
        is_current=True,
        case_share=point.case_share,
    )


def shipped_limit(domain: DomainReference) -> DomainLimitRecord:
    """The domain limit that a model ships with."""
    return DomainLimitRecord(
        model_digest=domain.model_digest,
        limit_id=SHIPPED,
        domain_id=domain.domain_id,
        limit_distance=domain.limit,
        rule=domain.limit_rule,
        fitted_on=domain.fitted_on,
        is_current=True,
    )


def land_model(store: Store, model: str | Path) -> None:
    """Land what an installed model brings, and the distances that its scores here still lack. Raises ModelError."""
    keep_split(store, model)
    land_beside(store, [model_row(model), shipped_point(model)], read_domain(model))


def land_beside(store: Store, rows: list[object], domain: DomainReference | None) -> None:
    """Land a model's rows and its domain; nothing shipped takes the place of what was chosen here.

    Distances come before the limit, so that no study is judged by a yardstick that has not measured it.
    """
    if domain is not None:
        while lacking := _missing_distances(store, domain):
            store.land(LandingBatch.of(lacking))
        rows = [*rows, shipped_limit(domain)]
    with store.read_live() as connection:
        chosen = set(connection.execute(query("chosen_numbers"), {"shipped": SHIPPED}).fetchall())
    store.land(LandingBatch.of(_unless_chosen(row, chosen) for row in rows))


def _unless_chosen(row: object, chosen: set[tuple[str, str, str | None]]) -> object:
    if isinstance(row, OperatingPointRecord) and ("operating_point", row.model_digest, None) in chosen:
        return replace(row, is_current=False)
    if isinstance(row, DomainLimitRecord) and ("domain_limit", row.model_digest, row.domain_id) in chosen:
        return replace(row, is_current=False)
    return row


def _missing_distances(store: Store, domain: DomainReference) -> list[DomainDistanceRecord]:
    """The next distances by this yardstick, of scores that have none, from the features that they keep."""
    with store.read_live() as connection:
        rows = connection.execute(
            query("scores_without_distance"),
            {"model_digest": domain.model_digest, "domain_id": domain.domain_id, "most": DISTANCES_AT_ONCE},
        ).fetchall()
    found = []
    for series_key, series_revision, storage_recipe, view_recipe, features in rows:
        images = np.array(features, np.float32).reshape(-1, len(domain.mean))
        found.append(
            DomainDistanceRecord(
                series_key=series_key,
                series_revision=series_revision,
                storage_recipe=storage_recipe,
                view_recipe=view_recipe,
                model_digest=domain.model_digest,
                domain_id=domain.domain_id,
                distance=domain.distance(images),
            )
        )
    return found
