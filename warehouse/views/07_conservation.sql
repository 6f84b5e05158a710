-- Grain: one row per archive and level (file, series, study). found = scored + excluded + quarantined + failed +
-- pending, each level by itself. Found comes from the crawl, the rest from the decisions. is_conserved is null while
-- the crawl is open: then the found counts may lag behind.
-- Says in one pass over series_outcome what study_outcome and file_outcome say in detail; a test compares them.

CREATE VIEW conservation AS
WITH series AS MATERIALIZED (
    SELECT archive_key, study_key, outcome, is_waiting, n_files, n_instances FROM series_outcome
),
per_study AS (
    SELECT
        archive_key,
        study_key,
        sum(n_files)::BIGINT AS n_in_series,
        sum(n_instances)::BIGINT AS n_instances,
        min(CASE
            WHEN outcome = 'scored' THEN 1
            WHEN outcome = 'pending' AND NOT is_waiting THEN 2
            WHEN outcome = 'failed' THEN 3
            WHEN outcome = 'pending' THEN 4
            WHEN outcome = 'quarantined' THEN 5
            ELSE 6
        END) AS place
    FROM series
    GROUP BY archive_key, study_key
),
counted AS (
    SELECT
        study.archive_key,
        study.study_key,
        study.n_files,
        coalesce(
            ['scored', 'pending', 'failed', 'pending', 'quarantined', 'excluded'][per_study.place], 'pending'
        ) AS outcome,
        per_study.study_key IS NOT NULL AS is_decided,
        coalesce(per_study.n_in_series <= study.n_files, false) AS is_by_files,
        CASE WHEN is_by_files THEN n_in_series ELSE n_instances END AS n_counted
    FROM study
    LEFT JOIN per_study ON per_study.archive_key = study.archive_key AND per_study.study_key = study.study_key
),
parts AS (
    SELECT archive_key, 'study' AS level, outcome, count(*) AS n FROM counted GROUP BY ALL
    UNION ALL
    SELECT archive_key, 'series', outcome, count(*) FROM series GROUP BY ALL
    UNION ALL
    SELECT
        series.archive_key, 'file', series.outcome,
        sum(CASE WHEN is_by_files THEN series.n_files ELSE series.n_instances END)
    FROM series JOIN counted USING (archive_key, study_key)
    GROUP BY series.archive_key, series.outcome
    UNION ALL
    SELECT
        archive_key, 'file', CASE WHEN is_decided THEN 'excluded' ELSE 'pending' END,
        sum(n_files - coalesce(n_counted, 0))
    FROM counted GROUP BY ALL
    UNION ALL
    SELECT archive_key, 'file', outcome, sum(n_files) FROM file_count GROUP BY ALL
),
summed AS (
    SELECT
        archive_key,
        level,
        coalesce(sum(n) FILTER (outcome = 'scored'), 0)::BIGINT AS scored,
        coalesce(sum(n) FILTER (outcome = 'excluded'), 0)::BIGINT AS excluded,
        coalesce(sum(n) FILTER (outcome = 'quarantined'), 0)::BIGINT AS quarantined,
        coalesce(sum(n) FILTER (outcome = 'failed'), 0)::BIGINT AS failed,
        coalesce(sum(n) FILTER (outcome = 'pending'), 0)::BIGINT AS pending
    FROM parts
    GROUP BY archive_key, level
),
found AS (
    SELECT archive_key, is_crawl_complete, 'file' AS level, n_files_found AS found FROM archive
    UNION ALL
    SELECT archive_key, is_crawl_complete, 'series', n_series_found FROM archive
    UNION ALL
    SELECT archive_key, is_crawl_complete, 'study', n_studies_found FROM archive
)
SELECT
    archive_key,
    level,
    found,
    coalesce(scored, 0) AS scored,
    coalesce(excluded, 0) AS excluded,
    coalesce(quarantined, 0) AS quarantined,
    coalesce(failed, 0) AS failed,
    coalesce(pending, 0) AS pending,
    CASE
        WHEN is_crawl_complete
        THEN found = coalesce(scored + excluded + quarantined + failed + pending, 0)
    END AS is_conserved
FROM found LEFT JOIN summed USING (archive_key, level);
COMMENT ON VIEW conservation IS 'Everything found is accounted for: one row per archive and level, found against the sum of the outcomes.';
