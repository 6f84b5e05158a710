-- Who and which some studies are; the identity file is attached as `identity`. $study_keys: a list.
SELECT
    study.study_key,
    patient.patient_id,
    patient.issuer_of_patient_id,
    study.accession_number,
    study.study_instance_uid
FROM identity.study_identity AS study
LEFT JOIN identity.patient_identity AS patient ON patient.patient_key = study.patient_key
WHERE study.study_key IN (SELECT unnest($study_keys::VARCHAR[]))
