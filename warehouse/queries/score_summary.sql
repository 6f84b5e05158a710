-- One row per model with newest scores: how many scans, how many flagged, the middle of their probabilities. Several weights
-- of one model_id are a row each; short_digest tells them apart.
SELECT
    model_id,
    left(model_digest, 12) AS short_digest,
    count(*) AS n_scored,
    count(*) FILTER (is_flagged) AS n_flagged,
    median(probability) AS median_probability
FROM flagged
WHERE is_newest AND is_evaluable
GROUP BY model_id, model_digest
ORDER BY model_id, short_digest
