-- Grain: one row per score with a distance by the yardstick of its model's current limit. A score without one counts as
-- near: older models have no yardstick.

CREATE VIEW score_domain AS
SELECT
    away.series_key,
    away.series_revision,
    away.storage_recipe,
    away.view_recipe,
    away.model_digest,
    away.distance AS domain_distance,
    farthest.limit_id,
    farthest.limit_distance AS domain_limit,
    coalesce(away.distance > farthest.limit_distance, false) AS is_beyond
FROM domain_distance AS away
JOIN domain_limit AS farthest
    ON farthest.model_digest = away.model_digest
    AND farthest.domain_id = away.domain_id
    AND farthest.is_current;
COMMENT ON VIEW score_domain IS 'How far each score lies from what its model has seen, and whether that is beyond the limit that counts now.';
