-- A model that has scored here, with its current operating point and domain limit (null: none), and the calibration that it
-- shipped with (the current one where that is not kept) and the share of cases that it holds for. $model_digest: this
-- model; null: every one. $shipped: id of what ships; $simulated_share: share of cases in trainings on simulated scans.
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
    farthest.fitted_on,
    coalesce(own.calibration_slope, point.calibration_slope) AS own_slope,
    coalesce(own.calibration_intercept, point.calibration_intercept) AS own_intercept,
    coalesce(own.case_share, CASE WHEN model.is_simulated_only THEN $simulated_share END) AS own_case_share
FROM model
LEFT JOIN operating_point AS point ON point.model_digest = model.model_digest AND point.is_current
LEFT JOIN operating_point AS own ON own.model_digest = model.model_digest AND own.operating_point_id = $shipped
LEFT JOIN domain_limit AS farthest ON farthest.model_digest = model.model_digest AND farthest.is_current
WHERE ($model_digest::VARCHAR IS NULL OR model.model_digest = $model_digest)
    AND model.model_digest IN (SELECT model_digest FROM score)
ORDER BY model.model_id, model.model_digest
