-- One row per study found. $model_digest: scores of this model; null: the newest answer of each series.
SELECT * FROM export_scores($model_digest::VARCHAR) ORDER BY study_key
