-- Failed rejections of what has a score under the same recipes and model.
SELECT series_key, series_revision, rejection.reason
FROM rejection SEMI JOIN score USING (series_key, series_revision, storage_recipe, view_recipe, model_digest)
WHERE rejection.outcome = 'failed'
