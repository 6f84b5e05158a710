-- Scores of a series revision that is not there.
SELECT series_key, series_revision, model_digest
FROM score ANTI JOIN series USING (series_key, series_revision)
