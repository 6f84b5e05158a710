-- One row per damaged thing that an archive holds now: a quarantined series, or the files of no series by reason. With when it
-- was reported first and last (null: never), and how many there were then. $archive_key.
WITH problems AS (
    SELECT series_key, series_revision, reason, 1 AS n
    FROM series_outcome WHERE archive_key = $archive_key AND outcome = 'quarantined'
    UNION ALL
    SELECT '', '', reason, n_files FROM file_count WHERE archive_key = $archive_key AND outcome = 'quarantined'
)
SELECT
    problems.series_key,
    problems.series_revision,
    problems.reason,
    problems.n::BIGINT AS n,
    known.n AS n_reported,
    known.first_reported_at,
    known.last_reported_at
FROM problems
LEFT JOIN night_problem AS known
    ON known.archive_key = $archive_key
    AND known.series_key = problems.series_key
    AND known.series_revision = problems.series_revision
    AND known.reason = problems.reason
ORDER BY problems.reason, problems.series_key
