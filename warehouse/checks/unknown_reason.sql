-- Reasons that stand nowhere, or beside an outcome that is not theirs.
WITH given AS (
    SELECT 'selection' AS origin, outcome, reason FROM selection WHERE reason IS NOT NULL
    UNION
    SELECT 'rejection', outcome, reason FROM rejection
    UNION
    SELECT 'file_count', outcome, reason FROM file_count
    UNION
    SELECT 'report', outcome, reason FROM report WHERE reason IS NOT NULL
)
SELECT origin, outcome, reason
FROM given
ANTI JOIN known_reason
    ON known_reason.code = split_part(given.reason, ':', 1) AND known_reason.outcome = given.outcome
