-- A model that has scored here, with its current operating point and domain limit (null: none). $model: its id or digest.
SELECT
    model.model_digest,
    model.model_id,
    point.calibration_slope,
    point.calibration_intercept,
    point.threshold,
    point.operating_point_id,
    point.rule,
    farthest.domain_id,
    farthest.limit_distance,
    farthest.fitted_on
FROM model
LEFT JOIN operating_point AS point ON point.model_digest = model.model_digest AND point.is_current
LEFT JOIN domain_limit AS farthest ON farthest.model_digest = model.model_digest AND farthest.is_current
WHERE $model::VARCHAR IS NULL OR model.model_id = $model OR model.model_digest = $model
ORDER BY model.model_id
