-- One row per study that a model has scored and may judge, by the series that stands for it in `export_scores`: the logit and the
-- week of the study. $model_digest.
SELECT told.study_key, score.logit, date_trunc('week', told.study_date)::DATE AS week
FROM export_scores($model_digest::VARCHAR) AS told
JOIN flagged AS score
    ON score.series_key = told.series_key
    AND score.model_digest = $model_digest
    AND score.is_evaluable
    AND score.probability IS NOT DISTINCT FROM told.probability
WHERE told.outcome = 'scored'
QUALIFY row_number() OVER (PARTITION BY told.study_key ORDER BY score.logit DESC) = 1
ORDER BY told.study_key
