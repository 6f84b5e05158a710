-- Grain: one row per study with a report that counts. A lexicon writes only what it changes, so the statement is that of
-- the highest position among those that wrote one for the report.

CREATE VIEW current_statement AS
SELECT
    current.study_key,
    current.report_key,
    current.status,
    current.reported_at,
    current.n_versions,
    current.reader_group,
    stated.lexicon_digest,
    stated.statement,
    stated.wording,
    stated.levels,
    stated.acuity,
    stated.treatment,
    stated.cause,
    stated.n_statements
FROM current_report AS current
JOIN report_statement AS stated ON stated.report_key = current.report_key
JOIN lexicon ON lexicon.lexicon_digest = stated.lexicon_digest
QUALIFY row_number() OVER (PARTITION BY current.study_key ORDER BY lexicon.position DESC) = 1;
COMMENT ON VIEW current_statement IS 'What the report of each study states about vertebral fractures, by the lexicon that counts; unread: there was no text.';
