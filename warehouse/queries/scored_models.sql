-- One row per model that has scored something here, the one whose scores were written last first. Several may share one
-- model_id: the digest tells them apart.
SELECT model.model_id, model.model_digest
FROM model
JOIN (SELECT model_digest, max(scored_at) AS scored_at FROM score GROUP BY model_digest) AS said USING (model_digest)
ORDER BY said.scored_at DESC, model.model_digest DESC
