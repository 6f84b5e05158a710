-- Outcomes that do not exist, or not in that table.
SELECT 'selection' AS origin, outcome, count(*) AS n FROM selection
WHERE outcome NOT IN ('eligible', 'excluded', 'quarantined', 'failed', 'pending') GROUP BY outcome
UNION ALL
SELECT 'rejection', outcome, count(*) FROM rejection
WHERE outcome NOT IN ('excluded', 'quarantined', 'failed') GROUP BY outcome
UNION ALL
SELECT 'file_count', outcome, count(*) FROM file_count
WHERE outcome NOT IN ('excluded', 'quarantined', 'failed', 'pending') GROUP BY outcome
