-- The slabs kept of some series as they were scored last: for the pictures of a worklist. $series_keys, $model_digest.
SELECT DISTINCT current_score.series_key, current_score.series_revision
FROM current_score
JOIN slab USING (series_key, series_revision, storage_recipe)
WHERE current_score.model_digest = $model_digest
    AND list_contains($series_keys, current_score.series_key)
    AND slab.is_kept
ORDER BY current_score.series_key
