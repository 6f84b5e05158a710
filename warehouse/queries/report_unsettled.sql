-- Reports whose link is to be settled anew: not linked yet, or linked to a study that has gone or changed its accession
-- number. The identity file is attached as `identity`.
SELECT report.*, told.accession_number, told.patient_id
FROM report
JOIN identity.report_text AS told USING (report_key)
LEFT JOIN identity.study_identity AS study ON study.study_key = report.study_key
WHERE report.reason IN ('link_no_study', 'link_patient') OR report.reason = 'link_ambiguous'
    OR (report.outcome = 'linked' AND trim(study.accession_number) IS DISTINCT FROM told.accession_number)
ORDER BY report.report_key
