-- In which PACS something of ours lies, or may lie, about one patient; the identity file is attached as `identity`.
-- $patient_key, or $patient_id with $issuer (null: of any issuer).
SELECT DISTINCT publication.target
FROM publication
JOIN identity.study_identity AS study ON study.study_key = publication.study_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = study.patient_key
WHERE publication.kind <> 'rejection'
    AND (
        publication.state IN ('sending', 'published', 'superseded')
        OR (publication.state = 'failed' AND publication.reason = 'no_answer')
    )
    AND (
        study.patient_key = $patient_key::VARCHAR
        OR (
            patient.patient_id = $patient_id::VARCHAR
            AND ($issuer::VARCHAR IS NULL OR patient.issuer_of_patient_id = $issuer::VARCHAR)
        )
    )
ORDER BY publication.target
