-- Selections that are neither eligible nor say why, or eligible ones without a rank or with a reason.
SELECT study_key, series_key, outcome, reason, rank
FROM selection
WHERE CASE
    WHEN outcome = 'eligible' THEN reason IS NOT NULL OR rank IS NULL OR rank < 1
    ELSE reason IS NULL OR message IS NULL OR rank IS NOT NULL
END
