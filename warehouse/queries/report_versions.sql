-- The versions of some reports with their texts, and what the lexicon that counts reads in them now ($lexicon_digest first,
-- then by position; null when none has). $label_groups: accession numbers, or `report ` and the key where there is none.
WITH told AS (
    SELECT *, coalesce(accession_number, 'report ' || report_key) AS label_group
    FROM identity.report_text
),
stated AS (
    SELECT report_statement.*
    FROM report_statement JOIN lexicon USING (lexicon_digest)
    QUALIFY row_number() OVER (
        PARTITION BY report_key
        ORDER BY (lexicon_digest = $lexicon_digest::VARCHAR) DESC, position DESC
    ) = 1
)
SELECT
    told.label_group,
    told.report_key,
    told.accession_number,
    report.study_key,
    told.text,
    report.status,
    report.reported_at,
    report.sequence,
    report.outcome,
    report.reason,
    stated.lexicon_digest,
    stated.statement,
    stated.wording,
    stated.levels,
    stated.acuity,
    stated.treatment,
    stated.cause,
    stated.n_statements
FROM told
JOIN report USING (report_key)
LEFT JOIN stated USING (report_key)
WHERE told.label_group IN (SELECT unnest($label_groups::VARCHAR[]))
ORDER BY told.label_group, report.sequence
