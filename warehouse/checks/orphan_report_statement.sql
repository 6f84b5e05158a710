-- Statements of a report that is not there, or by a lexicon that is not there.
SELECT report_key, lexicon_digest
FROM report_statement
WHERE report_key NOT IN (SELECT report_key FROM report)
    OR lexicon_digest NOT IN (SELECT lexicon_digest FROM lexicon)
