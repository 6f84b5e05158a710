-- Grain: one row per current score. Probability and flag by the model's current operating point, computed when looked
-- at and never stored; null where the model has no current operating point, and where the scan is not evaluable
-- (refusal: why): then the model has said nothing that counts.

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
    CASE WHEN score_refusal.reason IS NULL
        THEN 1 / (1 + exp(-(point.calibration_slope * score.logit + point.calibration_intercept)))
    END AS probability,
    CASE WHEN score_refusal.reason IS NULL
        THEN 1 / (1 + exp(-(point.calibration_slope * score.logit + point.calibration_intercept))) >= point.threshold
    END AS is_flagged,
    score_domain.domain_distance,
    score_domain.domain_limit,
    score_refusal.reason AS refusal,
    score_refusal.reason IS NULL AS is_evaluable
FROM current_score AS score
LEFT JOIN operating_point AS point
    ON point.model_digest = score.model_digest AND point.is_current
LEFT JOIN score_domain
    ON score_domain.series_key = score.series_key
    AND score_domain.series_revision = score.series_revision
    AND score_domain.storage_recipe = score.storage_recipe
    AND score_domain.view_recipe = score.view_recipe
    AND score_domain.model_digest = score.model_digest
LEFT JOIN score_refusal
    ON score_refusal.series_key = score.series_key
    AND score_refusal.series_revision = score.series_revision
    AND score_refusal.storage_recipe = score.storage_recipe
    AND score_refusal.view_recipe = score.view_recipe
    AND score_refusal.model_digest = score.model_digest;
COMMENT ON VIEW flagged IS 'Calibrated probability and flag of each current score, by its model''s current operating point.';
