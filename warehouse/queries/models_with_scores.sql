-- One row per model that has scores of current series, the newest first.
SELECT
    model_id,
    model_digest,
    count(*) AS n_scores,
    bool_or(model.is_simulated_only) AS is_simulated_only
FROM current_score LEFT JOIN model USING (model_digest, model_id)
GROUP BY model_id, model_digest
ORDER BY max(recency) DESC
