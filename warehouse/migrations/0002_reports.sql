-- What radiology reports state. Their texts, accession numbers and evidence lie in the identity file.

CREATE TABLE report (
    report_key VARCHAR NOT NULL,
    study_key VARCHAR,
    status VARCHAR NOT NULL,
    reported_at TIMESTAMP,
    sequence BIGINT NOT NULL,
    n_characters BIGINT NOT NULL,
    outcome VARCHAR NOT NULL,
    reason VARCHAR,
    message VARCHAR
);
COMMENT ON TABLE report IS 'One version of one radiology report, linked or with the reason why not. Key: report_key. The link follows the studies: every import settles it anew.';
COMMENT ON COLUMN report.report_key IS 'Keyed pseudonym of accession number, PatientID, date, status and text: the same content twice is one row.';
COMMENT ON COLUMN report.study_key IS 'Pseudonym of the study with its accession number (0008,0050); null when it is not linked.';
COMMENT ON COLUMN report.status IS 'preliminary | final | addendum | corrected | cancelled. Without one in the file: final.';
COMMENT ON COLUMN report.reported_at IS 'Date, and time if any, that the file gives, its zone as there; null without one.';
COMMENT ON COLUMN report.sequence IS 'Order of first import, from 1: decides between versions of one date and status.';
COMMENT ON COLUMN report.n_characters IS 'Length of the text; 0 when there is none.';
COMMENT ON COLUMN report.outcome IS 'linked | pending (no such study yet) | quarantined | excluded';
COMMENT ON COLUMN report.reason IS 'Reason code; null when linked.';
COMMENT ON COLUMN report.message IS 'The reason in words, from a fixed template.';

CREATE TABLE report_statement (
    report_key VARCHAR NOT NULL,
    lexicon_digest VARCHAR NOT NULL,
    statement VARCHAR NOT NULL,
    wording VARCHAR NOT NULL,
    levels VARCHAR[] NOT NULL,
    acuity VARCHAR,
    treatment VARCHAR,
    cause VARCHAR,
    n_statements BIGINT NOT NULL
);
COMMENT ON TABLE report_statement IS 'What a lexicon reads in a report and the addenda before it. Key: report_key, lexicon_digest. A lexicon writes only where it differs from those before it.';
COMMENT ON COLUMN report_statement.report_key IS 'Pseudonym of the report.';
COMMENT ON COLUMN report_statement.lexicon_digest IS 'SHA-256 of rules and grammar.';
COMMENT ON COLUMN report_statement.statement IS 'present | possible | absent | unmentioned | unread, of vertebral compression fracture or deformity. unread: an empty text.';
COMMENT ON COLUMN report_statement.wording IS 'fracture | ambiguous (only deformity, wedging, height loss, cement) | none';
COMMENT ON COLUMN report_statement.levels IS 'Levels named, such as T12, from the top down.';
COMMENT ON COLUMN report_statement.acuity IS 'new | old | unchanged; null when not said.';
COMMENT ON COLUMN report_statement.treatment IS 'vertebroplasty, kyphoplasty, cement, joined by a semicolon; null when none is named.';
COMMENT ON COLUMN report_statement.cause IS 'traumatic | pathological; null when none is named.';
COMMENT ON COLUMN report_statement.n_statements IS 'Statements in the text; the strongest counts.';

CREATE TABLE lexicon (
    lexicon_digest VARCHAR NOT NULL,
    names VARCHAR NOT NULL,
    position BIGINT NOT NULL
);
COMMENT ON TABLE lexicon IS 'A lexicon that has labelled reports here. Key: lexicon_digest.';
COMMENT ON COLUMN lexicon.lexicon_digest IS 'SHA-256 of rules and grammar.';
COMMENT ON COLUMN lexicon.names IS 'File names of its parts, joined by a comma.';
COMMENT ON COLUMN lexicon.position IS 'The highest one is the lexicon that counts; 0 until its first pass over all reports has ended.';
