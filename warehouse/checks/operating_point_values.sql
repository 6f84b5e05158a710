-- Operating points with a threshold outside 0 to 1, or a calibration that is no number or turns the order around.
SELECT model_digest, operating_point_id, threshold, calibration_slope, calibration_intercept
FROM operating_point
WHERE threshold NOT BETWEEN 0 AND 1 OR isnan(threshold)
    OR NOT isfinite(calibration_slope) OR calibration_slope <= 0 OR NOT isfinite(calibration_intercept)
