-- Current series with a slab that one model and view have not scored. is_kept: its file is there to be scored again.
-- The slabs of a series have one file: the newest that was kept. $view_recipe, $model_digest.
WITH newest_use AS (SELECT storage_recipe, max(started_at) AS started_at FROM run GROUP BY storage_recipe),
wanted AS (
    SELECT slab.*
    FROM slab
    JOIN current_series USING (series_key, series_revision)
    LEFT JOIN newest_use USING (storage_recipe)
    WHERE current_series.outcome = 'eligible'
    QUALIFY row_number() OVER (
        PARTITION BY slab.series_key, slab.series_revision
        ORDER BY slab.is_kept DESC, newest_use.started_at DESC NULLS LAST, slab.storage_recipe DESC
    ) = 1
)
SELECT wanted.series_key, wanted.series_revision, wanted.storage_recipe, wanted.is_kept
FROM wanted
WHERE NOT EXISTS (
    SELECT 1
    FROM score
    WHERE score.series_key = wanted.series_key
        AND score.series_revision = wanted.series_revision
        AND score.storage_recipe = wanted.storage_recipe
        AND score.view_recipe = $view_recipe
        AND score.model_digest = $model_digest
)
ORDER BY wanted.storage_recipe, wanted.series_key
