-- Studies of one archive that have something in a PACS: who they are (the identity file is attached as `identity`) and where
-- they end now. $archive_key, $target.
SELECT
    decided.study_key,
    decided.outcome,
    study.patient_key,
    known.study_instance_uid,
    patient.patient_id
FROM study_outcome AS decided
JOIN study ON study.archive_key = decided.archive_key AND study.study_key = decided.study_key
JOIN identity.study_identity AS known ON known.study_key = decided.study_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = known.patient_key
WHERE decided.archive_key = $archive_key
    AND decided.study_key IN (SELECT study_key FROM publication WHERE target = $target)
ORDER BY decided.study_key
