-- Selections of a series revision that is not there.
SELECT study_key, series_key, series_revision
FROM selection ANTI JOIN series USING (series_key, series_revision)
