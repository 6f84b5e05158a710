-- Distances and limits that are none, models with two current limits, and distances of no score.
SELECT 'distance' AS origin, series_key AS key
FROM domain_distance
WHERE NOT isfinite(distance) OR distance < 0
UNION ALL
SELECT 'limit', model_digest
FROM domain_limit
WHERE NOT isfinite(limit_distance) OR limit_distance <= 0
UNION ALL
SELECT 'two limits', model_digest
FROM domain_limit
WHERE is_current
GROUP BY model_digest
HAVING count(*) > 1
UNION ALL
SELECT 'no score', series_key
FROM domain_distance ANTI JOIN score USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
