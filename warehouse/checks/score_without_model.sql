-- Models that have scores but no row.
SELECT model_digest, count(*) AS n_scores
FROM score ANTI JOIN model USING (model_digest)
GROUP BY model_digest
