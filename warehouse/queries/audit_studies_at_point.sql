-- audit_studies of $model_digest, flagged by its operating point $operating_point_id instead of the current one: so what an audit
-- says of flags is of those that its sample was drawn by, whatever threshold or calibration came after.
WITH point AS (
    SELECT calibration_slope, calibration_intercept, threshold
    FROM operating_point
    WHERE model_digest = $model_digest AND operating_point_id = $operating_point_id
),
logits AS (
    SELECT series_key, probability AS now, any_value(logit) AS logit
    FROM flagged
    WHERE model_digest = $model_digest AND probability IS NOT NULL
    GROUP BY series_key, probability
),
studies AS (
    SELECT
        studies.*,
        point.threshold,
        1 / (1 + exp(-(point.calibration_slope * logits.logit + point.calibration_intercept))) AS drawn
    FROM audit_studies($model_digest::VARCHAR) AS studies
    LEFT JOIN logits ON logits.series_key = studies.series_key AND logits.now = studies.probability
    LEFT JOIN point ON true
)
SELECT * EXCLUDE (threshold, drawn) REPLACE (
    coalesce(drawn, probability) AS probability,
    CASE WHEN drawn IS NULL THEN ai WHEN drawn >= threshold THEN 'flagged' ELSE 'not_flagged' END AS ai
)
FROM studies
