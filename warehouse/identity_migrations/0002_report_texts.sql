-- Report texts and the words behind each statement: they may name people, so they lie here.

CREATE TABLE report_text (
    report_key VARCHAR NOT NULL,
    accession_number VARCHAR,
    patient_id VARCHAR,
    report_id VARCHAR,
    text VARCHAR NOT NULL
);
COMMENT ON TABLE report_text IS 'A report as it came. Key: report_key.';
COMMENT ON COLUMN report_text.report_key IS 'Keyed pseudonym of the report''s content.';
COMMENT ON COLUMN report_text.accession_number IS 'As in the file, without blanks around it; null when there is none.';
COMMENT ON COLUMN report_text.patient_id IS 'As in the file, without blanks around it; null when there is none.';
COMMENT ON COLUMN report_text.report_id IS 'As in the file; null when there is none.';
COMMENT ON COLUMN report_text.text IS 'The text, unchanged.';

CREATE TABLE report_evidence (
    report_key VARCHAR NOT NULL,
    lexicon_digest VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    statement VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL,
    trigger VARCHAR
);
COMMENT ON TABLE report_evidence IS 'The words behind one statement of a report. Key: report_key, lexicon_digest, number.';
COMMENT ON COLUMN report_evidence.report_key IS 'Pseudonym of the report.';
COMMENT ON COLUMN report_evidence.lexicon_digest IS 'SHA-256 of rules and grammar.';
COMMENT ON COLUMN report_evidence.number IS 'Order in the text, from 0.';
COMMENT ON COLUMN report_evidence.statement IS 'present | possible | absent';
COMMENT ON COLUMN report_evidence.evidence IS 'The sentence, as it was written.';
COMMENT ON COLUMN report_evidence.trigger IS 'The words that denied or doubted it; null when present.';
