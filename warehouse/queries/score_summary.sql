-- One row per model with newest scores: how many scans, how many flagged, the middle of their probabilities.
SELECT
    model_id,
    count(*) AS n_scored,
    count(*) FILTER (is_flagged) AS n_flagged,
    median(probability) AS median_probability
FROM flagged
WHERE is_newest AND is_evaluable
GROUP BY model_id
ORDER BY model_id
