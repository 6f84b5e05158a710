-- The cases of an audit in the order of reading, with what is needed to open the scans; neither score, report nor cell. The
-- identity file is attached as `identity`. $audit_id: the audit.
WITH named AS (
    SELECT unit.case_id, string_agg(study.accession_number, '; ' ORDER BY study.accession_number) AS accession_numbers
    FROM (SELECT case_id, unnest(study_keys) AS study_key FROM audit_unit WHERE audit_id = $audit_id::VARCHAR) AS unit
    JOIN identity.study_identity AS study ON study.study_key = unit.study_key
    GROUP BY unit.case_id
)
SELECT unit.case_id, patient.patient_id, named.accession_numbers, unit.study_date
FROM audit_unit AS unit
LEFT JOIN named ON named.case_id = unit.case_id
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = unit.patient_key
WHERE unit.audit_id = $audit_id::VARCHAR
ORDER BY unit.position
