-- Series that belong to no study of an archive and that no selection knows. (Of a study that has gone from its archive
-- the selections stay; of one that was requeued the study does.)
SELECT series_key, series_revision, study_key
FROM series
ANTI JOIN study USING (study_key)
ANTI JOIN selection USING (series_key, series_revision)
