-- Slabs of a series revision that is not there.
SELECT series_key, series_revision, storage_recipe
FROM slab ANTI JOIN series USING (series_key, series_revision)
