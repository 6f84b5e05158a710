-- The identity file: who and what the pseudonyms of the warehouse are. Owner-only, opened only for --identified.
-- Every row is replaced when the archive corrects it.

CREATE TABLE patient_identity (
    patient_key VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    patient_id VARCHAR NOT NULL,
    issuer_of_patient_id VARCHAR
);
COMMENT ON TABLE patient_identity IS 'Who a patient pseudonym is. Key: patient_key.';
COMMENT ON COLUMN patient_identity.patient_key IS 'Keyed pseudonym of site, issuer and PatientID.';
COMMENT ON COLUMN patient_identity.site IS 'Name of the site, as given by the operator.';
COMMENT ON COLUMN patient_identity.patient_id IS 'PatientID (0010,0020).';
COMMENT ON COLUMN patient_identity.issuer_of_patient_id IS 'IssuerOfPatientID (0010,0021); null when absent.';

CREATE TABLE study_identity (
    study_key VARCHAR NOT NULL,
    patient_key VARCHAR,
    study_instance_uid VARCHAR NOT NULL,
    accession_number VARCHAR
);
COMMENT ON TABLE study_identity IS 'Which study a study pseudonym is. Key: study_key.';
COMMENT ON COLUMN study_identity.study_key IS 'Keyed pseudonym of StudyInstanceUID.';
COMMENT ON COLUMN study_identity.patient_key IS 'Keyed pseudonym of the patient; null without PatientID.';
COMMENT ON COLUMN study_identity.study_instance_uid IS 'StudyInstanceUID (0020,000D).';
COMMENT ON COLUMN study_identity.accession_number IS 'AccessionNumber (0008,0050); null when absent.';

CREATE TABLE series_identity (
    series_key VARCHAR NOT NULL,
    study_key VARCHAR NOT NULL,
    series_instance_uid VARCHAR NOT NULL
);
COMMENT ON TABLE series_identity IS 'Which series a series pseudonym is. Key: series_key.';
COMMENT ON COLUMN series_identity.series_key IS 'Keyed pseudonym of SeriesInstanceUID and split label.';
COMMENT ON COLUMN series_identity.study_key IS 'Keyed pseudonym of the study.';
COMMENT ON COLUMN series_identity.series_instance_uid IS 'SeriesInstanceUID (0020,000E).';
