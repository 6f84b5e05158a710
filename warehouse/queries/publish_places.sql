-- Studies that have something in a PACS: who they are (the identity file is attached as `identity`) and where they end now; those
-- of one archive, and those that are in no archive any more (outcome 'vanished'). $archive_key, $target.
SELECT
    known.study_key,
    coalesce(decided.outcome, 'vanished') AS outcome,
    known.patient_key,
    known.study_instance_uid,
    patient.patient_id
FROM identity.study_identity AS known
LEFT JOIN study_outcome AS decided
    ON decided.study_key = known.study_key AND decided.archive_key = $archive_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = known.patient_key
WHERE known.study_key IN (SELECT study_key FROM publication WHERE target = $target)
    AND (decided.study_key IS NOT NULL OR known.study_key NOT IN (SELECT study_key FROM study))
ORDER BY known.study_key
