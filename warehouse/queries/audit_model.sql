-- The model of an audit and what its flags rest on: model, current operating point (null when it has none), and the lexicon
-- that counts. No row for a model without scores. $model_digest.
SELECT
    model.model_id,
    model.model_digest,
    model.is_simulated_only,
    point.operating_point_id,
    point.threshold,
    (SELECT lexicon_digest FROM lexicon ORDER BY position DESC LIMIT 1) AS lexicon_digest,
    (SELECT names FROM lexicon ORDER BY position DESC LIMIT 1) AS lexicon_names
FROM model
LEFT JOIN operating_point AS point ON point.model_digest = model.model_digest AND point.is_current
WHERE model.model_digest = $model_digest
    AND model.model_digest IN (SELECT model_digest FROM score)
