-- One row per level, outcome and reason code (without its detail), with their number, the largest first.
-- $archive_key: one archive; null: all.
WITH parts AS (
    SELECT 'file' AS level, archive_key, outcome, reason, n_files AS n FROM file_outcome
    UNION ALL
    SELECT 'series', archive_key, outcome, reason, 1 FROM series_outcome
    UNION ALL
    SELECT 'study', archive_key, outcome, reason, 1 FROM study_outcome
)
SELECT level, outcome, split_part(reason, ':', 1) AS reason, sum(n)::BIGINT AS n
FROM parts
WHERE $archive_key::VARCHAR IS NULL OR archive_key = $archive_key
GROUP BY level, outcome, split_part(reason, ':', 1)
ORDER BY
    list_position(['file', 'series', 'study'], level),
    list_position(['scored', 'excluded', 'quarantined', 'failed', 'pending'], outcome),
    n DESC,
    reason
