-- Grain: one row per archive, outcome and reason. Files of a series end where their series ends. Files of a study
-- beyond those of its series are further copies. Where a series was counted with more copies than this archive holds,
-- its instances are counted instead.

CREATE VIEW file_outcome AS
WITH series AS MATERIALIZED (
    SELECT archive_key, study_key, outcome, reason, n_files, n_instances FROM series_outcome
),
counted AS (
    SELECT
        study.archive_key,
        study.study_key,
        study.n_files,
        per_study.study_key IS NOT NULL AS is_decided,
        coalesce(per_study.n_in_series <= study.n_files, false) AS is_by_files,
        CASE WHEN is_by_files THEN n_in_series ELSE n_instances END AS n_counted
    FROM study
    LEFT JOIN (
        SELECT archive_key, study_key, sum(n_files)::BIGINT AS n_in_series, sum(n_instances)::BIGINT AS n_instances
        FROM series
        GROUP BY archive_key, study_key
    ) AS per_study ON per_study.archive_key = study.archive_key AND per_study.study_key = study.study_key
),
parts AS (
    SELECT
        series.archive_key,
        series.outcome,
        series.reason,
        CASE WHEN counted.is_by_files THEN series.n_files ELSE series.n_instances END AS n_files
    FROM series JOIN counted USING (archive_key, study_key)
    UNION ALL
    SELECT archive_key, 'excluded', 'duplicate', n_files - n_counted
    FROM counted WHERE is_decided AND n_files <> n_counted
    UNION ALL
    SELECT archive_key, 'pending', NULL, n_files FROM counted WHERE NOT is_decided
    UNION ALL
    SELECT archive_key, outcome, reason, n_files FROM file_count
)
SELECT archive_key, outcome, reason, sum(n_files)::BIGINT AS n_files
FROM parts
GROUP BY archive_key, outcome, reason;
COMMENT ON VIEW file_outcome IS 'Where files end: one row per archive, outcome and reason, with their number.';
