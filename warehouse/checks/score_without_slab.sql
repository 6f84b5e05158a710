-- Scores without the geometry of their slab.
SELECT series_key, series_revision, storage_recipe
FROM score ANTI JOIN slab USING (series_key, series_revision, storage_recipe)
