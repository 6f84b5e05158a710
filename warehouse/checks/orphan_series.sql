-- Series whose study is in no archive.
SELECT series_key, series_revision, study_key
FROM series ANTI JOIN study USING (study_key)
