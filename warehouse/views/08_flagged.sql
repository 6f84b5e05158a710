-- Grain: one row per current score. Probability and flag by the model's current operating point, computed when looked
-- at and never stored; null where the model has no current operating point.

CREATE VIEW flagged AS
SELECT
    score.study_key,
    score.series_key,
    score.series_revision,
    score.storage_recipe,
    score.view_recipe,
    score.model_digest,
    score.model_id,
    score.is_newest,
    score.logit,
    score.n_slices,
    point.operating_point_id,
    point.threshold,
    1 / (1 + exp(-(point.calibration_slope * score.logit + point.calibration_intercept))) AS probability,
    1 / (1 + exp(-(point.calibration_slope * score.logit + point.calibration_intercept))) >= point.threshold
        AS is_flagged
FROM current_score AS score
LEFT JOIN operating_point AS point
    ON point.model_digest = score.model_digest AND point.is_current;
COMMENT ON VIEW flagged IS 'Calibrated probability and flag of each current score, by its model''s current operating point.';
