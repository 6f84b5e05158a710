-- Kept slabs of current series. $series: series keys. $is_flagged: also all that are flagged now, by $model_digest (null: the
-- newest answer). domain_distance and is_beyond: of the score by that model, null without one.
WITH scored AS (
    SELECT series_key, series_revision, domain_distance, refusal, is_flagged
    FROM flagged
    WHERE ($model_digest::VARCHAR IS NULL AND is_newest) OR model_digest = $model_digest::VARCHAR
)
SELECT DISTINCT
    kept.series_key,
    kept.series_revision,
    scored.domain_distance,
    CASE WHEN scored.series_key IS NOT NULL
        THEN scored.refusal IS NOT DISTINCT FROM 'not_evaluable:domain'
    END AS is_beyond
FROM current_series AS kept
JOIN slab USING (series_key, series_revision)
LEFT JOIN scored USING (series_key, series_revision)
WHERE slab.is_kept
    AND (
        list_contains($series::VARCHAR[], kept.series_key)
        OR ($is_flagged::BOOLEAN AND coalesce(scored.is_flagged, false))
    )
ORDER BY kept.series_key
