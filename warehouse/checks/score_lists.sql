-- Scores whose lists do not have one entry per image (features: 32), or with a missing entry.
SELECT series_key, series_revision, model_digest, n_slices
FROM score
WHERE n_slices < 1
    OR len(slice_index) <> n_slices OR len(tile_index) <> n_slices
    OR len(slice_logits) <> n_slices OR len(slice_features) <> 32 * n_slices
    OR list_count(slice_logits) <> n_slices OR list_count(slice_features) <> 32 * n_slices
