-- Reports that are neither linked nor say why, or linked ones with a reason.
SELECT report_key, outcome, reason
FROM report
WHERE (outcome = 'linked') IS DISTINCT FROM (study_key IS NOT NULL AND reason IS NULL AND message IS NULL)
    OR (outcome <> 'linked' AND (reason IS NULL OR message IS NULL OR study_key IS NOT NULL))
