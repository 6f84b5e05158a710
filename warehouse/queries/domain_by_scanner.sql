-- How far the scans of each scanner lie from what a model has seen: one row per scanner. $model_digest.
SELECT
    coalesce(nullif(concat_ws(' ', series.manufacturer, series.model_name), ''), 'unknown') AS scanner,
    count(*) AS n_scored,
    count(flagged.domain_distance) AS n_measured,
    median(flagged.domain_distance) AS middle,
    quantile_cont(flagged.domain_distance, 0.95) AS high,
    count(*) FILTER (flagged.refusal = 'not_evaluable:domain') AS n_beyond
FROM flagged
JOIN series USING (series_key, series_revision)
WHERE flagged.model_digest = $model_digest
GROUP BY ALL
ORDER BY middle DESC NULLS LAST, scanner
