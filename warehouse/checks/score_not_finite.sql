-- Scores with a logit or feature that is not a number, or is infinite.
SELECT series_key, series_revision, model_digest, logit
FROM score
WHERE NOT isfinite(logit)
    OR NOT coalesce(isfinite(list_sum(slice_logits)), true)
    OR NOT coalesce(isfinite(list_sum(slice_features)), true)
