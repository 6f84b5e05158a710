-- Kept slabs of current series; the identity file is attached as `identity`. $series: series keys or SeriesInstanceUIDs.
-- $is_flagged: also all that are flagged now, by $model_digest (null: the newest answer). domain_distance and is_beyond: of the
-- score by that model, null without one.
WITH marked AS (
    SELECT series_key
    FROM flagged
    WHERE $is_flagged::BOOLEAN AND is_flagged
        AND (($model_digest::VARCHAR IS NULL AND is_newest) OR model_digest = $model_digest::VARCHAR)
)
SELECT DISTINCT
    kept.series_key,
    kept.series_revision,
    scored.domain_distance,
    NOT scored.is_evaluable AS is_beyond,
    kept.series_key AS name,
    known.series_instance_uid
FROM current_series AS kept
JOIN slab USING (series_key, series_revision)
LEFT JOIN flagged AS scored
    ON scored.series_key = kept.series_key
    AND scored.series_revision = kept.series_revision
    AND (scored.model_digest = $model_digest OR ($model_digest::VARCHAR IS NULL AND scored.is_newest))
LEFT JOIN identity.series_identity AS known ON known.series_key = kept.series_key
WHERE slab.is_kept
    AND (
        list_contains($series::VARCHAR[], kept.series_key)
        OR list_contains($series::VARCHAR[], known.series_instance_uid)
        OR kept.series_key IN (SELECT series_key FROM marked)
    )
ORDER BY kept.series_key
