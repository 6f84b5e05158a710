-- Scores that the yardstick of their model's current limit has not measured: they would count as near.
SELECT score.series_key, score.model_digest
FROM score
JOIN domain_limit AS farthest ON farthest.model_digest = score.model_digest AND farthest.is_current
ANTI JOIN domain_distance AS away
    ON away.series_key = score.series_key
    AND away.series_revision = score.series_revision
    AND away.storage_recipe = score.storage_recipe
    AND away.view_recipe = score.view_recipe
    AND away.model_digest = score.model_digest
    AND away.domain_id = farthest.domain_id
