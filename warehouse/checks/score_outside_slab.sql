-- Scores that name a slice the slab does not have.
SELECT score.series_key, score.series_revision, slab.n_slices
FROM score JOIN slab USING (series_key, series_revision, storage_recipe)
WHERE list_min(score.slice_index) < 0 OR list_max(score.slice_index) >= slab.n_slices
