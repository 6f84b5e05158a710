-- What is already decided of the relation wanted_series (series_key, series_revision) under one decision key: a score,
-- or a final rejection. One row per series that is decided. Parameters: the five digests of the decision.
SELECT series_key, series_revision, 'scored' AS outcome
FROM score JOIN wanted_series USING (series_key, series_revision)
WHERE storage_recipe = $storage_recipe AND view_recipe = $view_recipe AND model_digest = $model_digest
UNION
SELECT series_key, series_revision, outcome
FROM rejection JOIN wanted_series USING (series_key, series_revision)
WHERE profile_digest = $profile_digest AND reader_version = $reader_version
    AND storage_recipe = $storage_recipe AND view_recipe = $view_recipe AND model_digest = $model_digest
    AND outcome <> 'failed'
