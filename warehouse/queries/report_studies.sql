-- The studies with some accession numbers, and whose they are; the identity file is attached as `identity`.
-- $accession_numbers: a list, without blanks around them.
SELECT DISTINCT trim(study.accession_number) AS accession_number, study.study_key, trim(patient.patient_id) AS patient_id
FROM identity.study_identity AS study
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = study.patient_key
WHERE trim(study.accession_number) IN (SELECT unnest($accession_numbers::VARCHAR[]))
ORDER BY ALL
