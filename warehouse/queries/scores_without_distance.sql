-- The first $most scores of one model that have no distance by one yardstick, with the features to compute it from.
-- $model_digest, $domain_id.
SELECT series_key, series_revision, storage_recipe, view_recipe, slice_features
FROM score
WHERE model_digest = $model_digest
    AND NOT EXISTS (
        SELECT 1
        FROM domain_distance AS away
        WHERE away.domain_id = $domain_id
            AND away.series_key = score.series_key
            AND away.series_revision = score.series_revision
            AND away.storage_recipe = score.storage_recipe
            AND away.view_recipe = score.view_recipe
            AND away.model_digest = score.model_digest
    )
ORDER BY series_key, series_revision, storage_recipe, view_recipe
LIMIT $most
