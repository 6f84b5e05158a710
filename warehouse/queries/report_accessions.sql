-- Accession numbers of reports (the report key where there is none): all, or those with a version that no lexicon has
-- labelled. $is_all: all of them. The identity file is attached as `identity`.
SELECT DISTINCT coalesce(told.accession_number, 'report ' || told.report_key) AS label_group
FROM identity.report_text AS told
WHERE $is_all::BOOLEAN OR told.report_key NOT IN (SELECT report_key FROM report_statement)
ORDER BY label_group
