-- One row per study that a model has scored and may judge: the logit and the week of the study. $model_digest.
SELECT study_key, logit, date_trunc('week', study.study_date)::DATE AS week
FROM flagged
LEFT JOIN (SELECT study_key, min(study_date) AS study_date FROM study GROUP BY study_key) AS study USING (study_key)
WHERE model_digest = $model_digest AND is_evaluable
QUALIFY row_number() OVER (PARTITION BY study_key ORDER BY logit DESC, series_key) = 1
ORDER BY study_key
