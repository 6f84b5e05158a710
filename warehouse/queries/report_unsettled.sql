-- Reports whose link is to be settled anew: not linked yet, or linked to a study that has gone, changed its accession number or
-- its patient, or is no longer the only one of its number. The identity file is attached as `identity`.
WITH shared AS (
    SELECT trim(accession_number) AS accession_number
    FROM identity.study_identity
    GROUP BY 1
    HAVING count(DISTINCT study_key) > 1
)
SELECT report.*, told.accession_number, told.patient_id
FROM report
JOIN identity.report_text AS told USING (report_key)
LEFT JOIN identity.study_identity AS study ON study.study_key = report.study_key
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = study.patient_key
WHERE report.reason IN ('link_no_study', 'link_patient') OR report.reason = 'link_ambiguous'
    OR (
        report.outcome = 'linked'
        AND (
            trim(study.accession_number) IS DISTINCT FROM told.accession_number
            OR (told.patient_id IS NOT NULL AND trim(patient.patient_id) IS DISTINCT FROM told.patient_id)
            OR (told.patient_id IS NULL AND told.accession_number IN (SELECT accession_number FROM shared))
        )
    )
ORDER BY report.report_key
