-- Rejections of a series revision that is not there.
SELECT series_key, series_revision, reason
FROM rejection ANTI JOIN series USING (series_key, series_revision)
