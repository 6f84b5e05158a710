-- One row per study found, with who it is; the identity file is attached as `identity`.
-- $model_digest: scores of this model; null: the newest answer of each series.
SELECT
    exported.*,
    patient.patient_id,
    known.accession_number,
    known.study_instance_uid,
    series.series_instance_uid
FROM export_scores($model_digest::VARCHAR) AS exported
LEFT JOIN identity.study_identity AS known ON known.study_key = exported.study_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = exported.patient_key
LEFT JOIN identity.series_identity AS series ON series.series_key = exported.series_key
ORDER BY exported.study_key
