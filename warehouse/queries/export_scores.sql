-- One row per study found. $model_id: scores of this model; null: the newest answer of each series.
SELECT * FROM export_scores($model_id::VARCHAR) ORDER BY study_key
