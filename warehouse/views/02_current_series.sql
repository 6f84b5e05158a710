-- Grain: one row per archive, study of it, and series of the study's current revision, as decided by the newest
-- profile and reader that decided this revision.

CREATE VIEW current_series AS
WITH newest AS (
    SELECT study_key, study_revision, max(recency) AS recency
    FROM selection JOIN profile_recency USING (profile_digest, reader_version)
    GROUP BY study_key, study_revision
)
SELECT
    study.archive_key,
    study.patient_key,
    selection.*,
    series.n_instances,
    series.n_files
FROM study
JOIN newest ON newest.study_key = study.study_key AND newest.study_revision = study.study_revision
JOIN profile_recency ON profile_recency.recency = newest.recency
JOIN selection
    ON selection.study_key = study.study_key
    AND selection.study_revision = study.study_revision
    AND selection.profile_digest = profile_recency.profile_digest
    AND selection.reader_version = profile_recency.reader_version
JOIN series
    ON series.series_key = selection.series_key
    AND series.series_revision = selection.series_revision;
COMMENT ON VIEW current_series IS 'What selection says now: one row per archive, study and series of the study''s current revision, by the newest profile and reader that decided it.';
