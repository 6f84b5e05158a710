-- Series that belong to no study of an archive and that no selection knows. When a study has gone from its archive,
-- its selections stay; when it was requeued, its own row does.
SELECT series_key, series_revision, study_key
FROM series
ANTI JOIN study USING (study_key)
ANTI JOIN selection USING (series_key, series_revision)
