-- Current series with a slab that one model and view have not scored. is_kept: its file is there to be scored again.
-- $view_recipe, $model_digest.
SELECT DISTINCT slab.series_key, slab.series_revision, slab.storage_recipe, slab.is_kept
FROM slab
JOIN current_series USING (series_key, series_revision)
WHERE current_series.outcome = 'eligible'
    AND NOT EXISTS (
        SELECT 1
        FROM score
        WHERE score.series_key = slab.series_key
            AND score.series_revision = slab.series_revision
            AND score.storage_recipe = slab.storage_recipe
            AND score.view_recipe = $view_recipe
            AND score.model_digest = $model_digest
    )
ORDER BY slab.storage_recipe, slab.series_key
