-- Scored studies of one archive with what one model says of them now, and who they are; the identity file is attached as
-- `identity`. Studies of opted-out and erased patients are not scored, and what lies beyond the model's domain is not
-- evaluable, so neither is here. $archive_key, $model_digest.
SELECT
    decided.study_key,
    flagged.series_key,
    flagged.series_revision,
    flagged.storage_recipe,
    flagged.view_recipe,
    flagged.model_digest,
    flagged.model_id,
    model.is_simulated_only,
    flagged.operating_point_id,
    point.calibration_slope,
    point.calibration_intercept,
    point.threshold,
    flagged.logit,
    flagged.probability,
    flagged.is_flagged,
    score.code_version,
    score.scored_at,
    known.study_instance_uid,
    patient.patient_id
FROM study_outcome AS decided
JOIN flagged
    ON flagged.series_key = decided.series_key
    AND flagged.series_revision = decided.series_revision
    AND flagged.model_digest = $model_digest
JOIN score
    ON score.series_key = flagged.series_key
    AND score.series_revision = flagged.series_revision
    AND score.storage_recipe = flagged.storage_recipe
    AND score.view_recipe = flagged.view_recipe
    AND score.model_digest = flagged.model_digest
JOIN model ON model.model_digest = flagged.model_digest
JOIN operating_point AS point ON point.model_digest = flagged.model_digest AND point.is_current
JOIN identity.study_identity AS known ON known.study_key = decided.study_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = known.patient_key
WHERE decided.archive_key = $archive_key AND decided.outcome = 'scored' AND flagged.is_flagged IS NOT NULL
ORDER BY flagged.probability DESC, decided.study_key
